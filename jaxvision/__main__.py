"""`python -m jaxvision ...` is the same as `jaxvision ...`."""

import sys

from jaxvision import cli

sys.exit(cli.main())

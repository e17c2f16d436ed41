"""The door to code of the user's own: functions in files beside the recipes.

A config names it "my_model.py:create", or "package.module:create" where Python
finds the module. The file, and what it imports from beside it, is one `Bundle`:
it is copied into the folder of the run, and only the copy is used from then on.
While a config is in use, its references stand in it as "my_model@ID:create",
where the ID depends on the content: two versions never mix.

What the user types is consent to run it. What a folder of a run or a sweep
names is run only if this account has typed it before, or with --trust.
"""

from jaxvision.user_code.bundle import Bundle
from jaxvision.user_code.consent import allow, check, trusting
from jaxvision.user_code.copies import read_copies, write_copies
from jaxvision.user_code.loading import (
  function,
  load_module,
  register,
  registered,
)
from jaxvision.user_code.reference import head, is_own, name_of
from jaxvision.user_code.resolving import as_written, open_file, resolve, used

__all__ = [
  "Bundle",
  "allow",
  "as_written",
  "check",
  "function",
  "head",
  "is_own",
  "load_module",
  "name_of",
  "open_file",
  "read_copies",
  "register",
  "registered",
  "resolve",
  "trusting",
  "used",
  "write_copies",
]

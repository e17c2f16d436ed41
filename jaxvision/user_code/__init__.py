"""User-defined functions in Python files outside jaxvision.

A config names a function as "my_model.py:create", or as "package.module:create"
for an importable module. The file and the modules beside it that it imports
form one `Bundle`. The bundle is copied into the run folder, and from then on
only the copy is used. In a loaded config the reference is "my_model@ID:create".
The ID depends on the content, so two versions are never mixed.

Typing a reference is the user's consent to run the code. Code that a run folder
or a sweep folder names runs only if this account has typed it before, or with
--trust.
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
from jaxvision.user_code.resolving import (
  as_located,
  as_written,
  open_file,
  resolve,
  used,
)

__all__ = [
  "Bundle",
  "allow",
  "as_located",
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

"""What an examination of a data set finds, and what to do about it."""

import dataclasses

# From bad to good: what makes results wrong or stops a run, what may, and what
# is merely good to know.
SEVERITIES = ("error", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Finding:
  """One thing that was found.

  Attributes:
    severity: one of SEVERITIES.
    text: what is the case, with numbers and names.
    remedy: what to do about it; empty where nothing needs to be done.
  """

  severity: str
  text: str
  remedy: str = ""

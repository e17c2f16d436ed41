"""Findings of an examination of a data set, with remedies."""

import dataclasses

# error: makes results wrong or stops a run. warning: may do so. note:
# information.
SEVERITIES = ("error", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Finding:
  """One finding.

  Attributes:
    severity: one of SEVERITIES.
    text: the finding, with numbers and names.
    remedy: what to do about it; empty if nothing needs to be done.
  """

  severity: str
  text: str
  remedy: str = ""

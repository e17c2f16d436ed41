"""What runs have done, as pages to read: reads run folders, nothing else."""

from jaxvision.analysis.comparison import write_comparison
from jaxvision.analysis.contact_sheet import (
  write_contact_sheet,
  write_side_by_side,
)
from jaxvision.analysis.report import is_whole, write_report
from jaxvision.analysis.runs import (
  ABSENT,
  compare_configs,
  damaged_arrays,
  flatten,
)
from jaxvision.analysis.significance import interval
from jaxvision.analysis.sweep import write_sweep
from jaxvision.analysis.trials import (
  Trial,
  is_sweep,
  read_asked,
  read_sweep,
  read_trial,
)

__all__ = [
  "ABSENT",
  "Trial",
  "compare_configs",
  "damaged_arrays",
  "flatten",
  "interval",
  "is_sweep",
  "is_whole",
  "read_asked",
  "read_sweep",
  "read_trial",
  "write_comparison",
  "write_contact_sheet",
  "write_report",
  "write_side_by_side",
  "write_sweep",
]

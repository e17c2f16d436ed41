"""What runs have done, as pages to read: reads run folders, nothing else."""

from jaxvision.analysis.comparison import write_comparison
from jaxvision.analysis.contact_sheet import (
  write_contact_sheet,
  write_side_by_side,
)
from jaxvision.analysis.report import write_report
from jaxvision.analysis.runs import ABSENT, compare_configs
from jaxvision.analysis.significance import interval
from jaxvision.analysis.sweep import write_sweep
from jaxvision.analysis.trials import Trial, is_sweep, read_sweep

__all__ = [
  "ABSENT",
  "Trial",
  "compare_configs",
  "interval",
  "is_sweep",
  "read_sweep",
  "write_comparison",
  "write_contact_sheet",
  "write_report",
  "write_side_by_side",
  "write_sweep",
]

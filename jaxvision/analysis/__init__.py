"""What runs have done, as pages to read: reads run folders, nothing else."""

from jaxvision.analysis.comparison import write_comparison
from jaxvision.analysis.contact_sheet import write_contact_sheet
from jaxvision.analysis.report import write_report
from jaxvision.analysis.runs import compare_configs

__all__ = [
  "compare_configs",
  "write_comparison",
  "write_contact_sheet",
  "write_report",
]

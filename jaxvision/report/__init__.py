"""HTML reports of runs, sweeps and explanations.

Those of runs, sweeps and searches read their folders only.
"""

from jaxvision.report.comparison_page import write_comparison
from jaxvision.report.contact_sheet import (
  write_contact_sheet,
  write_side_by_side,
)
from jaxvision.report.explanation_page import PAGE as EXPLANATIONS
from jaxvision.report.explanation_page import (
  Explanation,
  write_explanations,
)
from jaxvision.report.measures import main as main_metric
from jaxvision.report.run_page import is_whole, write_report
from jaxvision.report.search_page import write_search
from jaxvision.report.significance import interval
from jaxvision.report.sweep_page import best_setting, write_sweep
from jaxvision.runs.reading import (
  ABSENT,
  compare_configs,
  damaged_arrays,
  flatten,
)
from jaxvision.runs.search_folder import is_search
from jaxvision.runs.sweep_folder import (
  Trial,
  is_sweep,
  read_definition,
  read_sweep,
  read_trial,
)

__all__ = [
  "ABSENT",
  "EXPLANATIONS",
  "Explanation",
  "Trial",
  "best_setting",
  "compare_configs",
  "damaged_arrays",
  "flatten",
  "interval",
  "is_search",
  "is_sweep",
  "is_whole",
  "main_metric",
  "numbers",
  "overview",
  "read_definition",
  "read_sweep",
  "read_trial",
  "write_comparison",
  "write_contact_sheet",
  "write_explanations",
  "write_report",
  "write_search",
  "write_side_by_side",
  "write_sweep",
]

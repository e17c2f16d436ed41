"""Many runs that answer one question: a space, its trials, who runs them.

An experiment is a Python file, see `jaxvision.sweep.experiment`. Optuna keeps
the trials, in `study` alone, and is only imported by what needs it.
"""

from jaxvision.sweep.again import best_again
from jaxvision.sweep.axes import (
  categorical,
  grid,
  integer,
  log_uniform,
  seeds,
  template,
  uniform,
  zipped,
)
from jaxvision.sweep.crew import Failed, Interrupted, run_crew
from jaxvision.sweep.experiment import Experiment, check, load
from jaxvision.sweep.live import check_complete, open_view
from jaxvision.sweep.objective import maximize, minimize
from jaxvision.sweep.opening import default_searcher, draws, open_sweep
from jaxvision.sweep.rungs import halving
from jaxvision.sweep.searchers import plan, text
from jaxvision.sweep.space import corners
from jaxvision.sweep.worker import Lost, Outcome, Sweep, work

__all__ = [
  "Experiment",
  "Failed",
  "Interrupted",
  "Lost",
  "Outcome",
  "Sweep",
  "best_again",
  "categorical",
  "check",
  "check_complete",
  "corners",
  "default_searcher",
  "draws",
  "grid",
  "halving",
  "integer",
  "load",
  "log_uniform",
  "maximize",
  "minimize",
  "open_sweep",
  "open_view",
  "plan",
  "run_crew",
  "seeds",
  "template",
  "text",
  "uniform",
  "work",
  "zipped",
]

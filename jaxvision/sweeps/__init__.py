"""Sweeps: many runs that answer one question.

An experiment is a Python file (`jaxvision.sweeps.experiment.experiment`).
Optuna stores the trials. Only `study` uses Optuna, and imports it when needed.
"""

from jaxvision.sweeps.experiment.axes import (
  categorical,
  cells,
  folds,
  grid,
  integer,
  log_uniform,
  seeds,
  template,
  uniform,
  zipped,
)
from jaxvision.sweeps.experiment.experiment import Experiment, check, load
from jaxvision.sweeps.experiment.objective import maximize, minimize
from jaxvision.sweeps.experiment.proposals import preview
from jaxvision.sweeps.experiment.pruning import halving
from jaxvision.sweeps.experiment.searchers import plan, text
from jaxvision.sweeps.experiment.space import corners, repetitions, size
from jaxvision.sweeps.stages.children import Ended
from jaxvision.sweeps.stages.children import ranked as ranked_children
from jaxvision.sweeps.stages.definition import Definition as SearchDefinition
from jaxvision.sweeps.stages.definition import load as load_search
from jaxvision.sweeps.stages.folder import claim as claim_search
from jaxvision.sweeps.stages.recipes import write as write_recipes
from jaxvision.sweeps.stages.running import each_sweep
from jaxvision.sweeps.stages.running import open_view as open_search_view
from jaxvision.sweeps.workers.opening import default_searcher, draws, open_sweep
from jaxvision.sweeps.workers.processes import Failed, Interrupted, run_workers
from jaxvision.sweeps.workers.progress import check_complete, open_view
from jaxvision.sweeps.workers.rerun import rerun_best
from jaxvision.sweeps.workers.worker import Lost, Outcome, Sweep, work

__all__ = [
  "Ended",
  "Experiment",
  "Failed",
  "Interrupted",
  "Lost",
  "Outcome",
  "SearchDefinition",
  "Sweep",
  "categorical",
  "cells",
  "check",
  "check_complete",
  "claim_search",
  "corners",
  "default_searcher",
  "draws",
  "each_sweep",
  "folds",
  "grid",
  "halving",
  "integer",
  "load",
  "load_search",
  "log_uniform",
  "maximize",
  "minimize",
  "open_search_view",
  "open_sweep",
  "open_view",
  "plan",
  "preview",
  "ranked_children",
  "repetitions",
  "rerun_best",
  "run_workers",
  "search",
  "seeds",
  "size",
  "template",
  "text",
  "uniform",
  "vectorized",
  "work",
  "write_recipes",
  "zipped",
]

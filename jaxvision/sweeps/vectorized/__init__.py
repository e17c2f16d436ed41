"""The door to the trials of a sweep: each is a run, alone or with others."""

from jaxvision.sweeps.vectorized.objective import check_objective
from jaxvision.sweeps.vectorized.trials import run, run_together

__all__ = ["check_objective", "run", "run_together"]

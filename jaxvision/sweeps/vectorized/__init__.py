"""The trials of a sweep, trained alone or together."""

from jaxvision.sweeps.vectorized.objective import check_objective
from jaxvision.sweeps.vectorized.trials import run, run_together

__all__ = ["check_objective", "run", "run_together"]

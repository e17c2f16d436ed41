"""The trials of a sweep, trained alone or together."""

from jaxvision.sweeps.vectorized.objective import check_objective
from jaxvision.sweeps.vectorized.trackers import check_trackers
from jaxvision.sweeps.vectorized.trials import run, run_together

__all__ = ["check_objective", "check_trackers", "run", "run_together"]

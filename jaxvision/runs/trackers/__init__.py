"""Experiment trackers: services that show the metrics of many runs.

A tracker is a function that opens a run in its service: see contract.py. The
lines of metrics.jsonl are sent to it in a thread of their own: see delivery.py.
"""

from jaxvision.runs.trackers.contract import End, Open, Session, TrackedRun
from jaxvision.runs.trackers.delivery import tracked
from jaxvision.runs.trackers.mlflow_runs import mlflow
from jaxvision.runs.trackers.wandb_runs import wandb

# A function of options returns the function that opens a run.
TRACKERS = {"mlflow": mlflow, "wandb": wandb}

__all__ = [
  "TRACKERS",
  "End",
  "Open",
  "Session",
  "TrackedRun",
  "tracked",
]

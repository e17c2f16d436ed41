"""Sweeps so small that they take no time, and workers that can be killed."""

import json
import pathlib
import sqlite3
from typing import Any

from jaxvision import sweep

RATE = "optimizer.learning_rate"


def experiment(space: dict[str, Any], **fields: Any) -> sweep.Experiment:
  """An experiment of which only the space matters."""
  facts = {
    "question": "Which?",
    "recipe": "recipe.py",
    "overrides": {},
    "objective": sweep.maximize("validation/top1"),
    "read": "The highest.",
  }
  return sweep.Experiment(space=space, **{**facts, **fields})


def open_sweep(
  workdir: pathlib.Path,
  asked: sweep.Experiment,
  *,
  searcher: str = "grid",
  draws: int = 3,
  storage: str = "",
) -> sweep.Sweep:
  """The sweep of a folder, joined if it is there."""
  return sweep.open_sweep(
    workdir,
    asked,
    file="asked.py",
    searcher=searcher,
    draws=draws,
    seed=0,
    storage=storage,
    grace=30,
  )


def stop_hearts(workdir: pathlib.Path) -> None:
  """All claimed trials look as if their workers had died an hour ago."""
  with sqlite3.connect(workdir / "sweep.db") as database:
    database.execute(
      "UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')"
    )
  database.close()


def write_metrics(workdir: pathlib.Path, **values: float) -> None:
  """A run folder with one line of metrics."""
  workdir.mkdir(parents=True, exist_ok=True)
  (workdir / "metrics.jsonl").write_text(json.dumps({"step": 1, **values}))


def run(recipe: str, *, workdir, overrides, watch) -> sweep.Outcome:
  """Does as a training does: measures, is watched, leaves its metrics."""
  del recipe
  value = overrides[RATE]
  for step in (1, 2):
    if reason := watch(step, 2, {"validation/top1": value}):
      return sweep.Outcome("pruned", reason)
  write_metrics(workdir, **{"validation/top1": value})
  return sweep.Outcome("complete")

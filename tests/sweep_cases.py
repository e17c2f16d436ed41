"""Tiny sweeps, and workers that can be killed."""

import json
import pathlib
import sqlite3
from typing import Any

import tiny_runs

from jaxvision import sweeps

RATE = "optimizer.learning_rate"
_TEXT = """
from jaxvision import sweep
QUESTION = "Which rate?"
BASE = {recipe!r}
OVERRIDES = {overrides!r}
SPACE = {{
  "optimizer.learning_rate": sweep.grid(*{rates}),
  "seed": sweep.seeds({seeds}),
}}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The highest."
"""


def write(
  folder: pathlib.Path,
  *,
  rates: tuple[float, ...],
  seeds: int,
  **overrides: Any,
) -> pathlib.Path:
  """Writes an experiment of tiny runs, with its recipe and its data.

  Args:
    folder: of all these files.
    rates: learning rates.
    seeds: number of seeds for each rate.
    **overrides: of the recipe, with __ for the dots in them.
  """
  tiny_runs.write_data(folder)
  tiny_runs.load_config(folder)
  path = folder / "asked.py"
  text = _TEXT.format(
    recipe=str(folder / "recipe.py"),
    overrides={k.replace("__", "."): v for k, v in overrides.items()},
    rates=rates,
    seeds=seeds,
  )
  path.write_text(text, "utf-8")
  return path


def experiment(space: dict[str, Any], **fields: Any) -> sweeps.Experiment:
  """An experiment with a given space."""
  facts = {
    "question": "Which?",
    "recipe": "recipe.py",
    "overrides": {},
    "objective": sweeps.maximize("validation/top1"),
    "read": "The highest.",
  }
  return sweeps.Experiment(space=space, **{**facts, **fields})


def open_sweep(
  workdir: pathlib.Path,
  asked: sweeps.Experiment,
  *,
  searcher: str = "grid",
  draws: int = 3,
  storage: str = "",
) -> sweeps.Sweep:
  """Opens the sweep of a folder."""
  return sweeps.open_sweep(
    workdir,
    asked,
    file="asked.py",
    searcher=searcher,
    draws=draws,
    seed=0,
    storage=storage,
    grace=30,
  )


def stop_heartbeats(workdir: pathlib.Path) -> None:
  """Sets the heartbeats of all claimed trials to an hour ago."""
  with sqlite3.connect(workdir / "sweep.db") as database:
    database.execute(
      "UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')"
    )
  database.close()


def write_metrics(workdir: pathlib.Path, **values: float) -> None:
  """A run folder with one line of metrics."""
  workdir.mkdir(parents=True, exist_ok=True)
  (workdir / "metrics.jsonl").write_text(json.dumps({"step": 1, **values}))


def run(recipe: str, *, workdir, overrides, watch) -> sweeps.Outcome:
  """A fake training run: calls the watch, and writes metrics."""
  del recipe
  value = overrides[RATE]
  for step in (1, 2):
    if reason := watch(step, 2, {"validation/top1": value}):
      return sweeps.Outcome("pruned", reason)
  write_metrics(workdir, **{"validation/top1": value})
  return sweeps.Outcome("complete")

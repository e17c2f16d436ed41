"""Sweep folders as written by workers, created without any run."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

SWEEP = {
  "question": "Which rate & which width?",
  "read": "The highest mean.",
  "recipe": "configs/digits.py:mlp",
  "overrides": {},
  "objective": {
    "metric": "validation/top1",
    "goal": "maximize",
    "at": "last",
  },
  "pruning": None,
  "searcher": "grid",
  "study": "fake-0",
}


def write(
  workdir: pathlib.Path,
  trials: Sequence[Mapping[str, Any]],
  *,
  goal: str = "maximize",
) -> pathlib.Path:
  """Writes a sweep; each trial is {settings, state, value, ...}."""
  workdir.mkdir(parents=True)
  asked = {**SWEEP, "trials": len(trials)}
  asked["objective"] = {**asked["objective"], "goal": goal}
  (workdir / "sweep.json").write_text(json.dumps(asked))
  for number, trial in enumerate(trials):
    folder = workdir / "trials" / f"{number:04d}"
    folder.mkdir(parents=True)
    facts = {"state": "complete", "reason": "", "value": None, **trial}
    facts = {"overrides": facts["settings"], **facts, "number": number}
    (folder / "trial.json").write_text(json.dumps(facts))
    if facts["state"] != "failed":
      _write_run(folder, facts)
  return workdir


def folded(
  settings: Mapping[str, Any],
  fold: int,
  value: float | None = None,
  *,
  folds: int = 3,
  size: int = 10,
  **facts: Any,
) -> dict[str, Any]:
  """A trial on one of the folds of a sweep with `sweep.folds(folds)`.

  Args:
    settings: of the trial, without the fold.
    fold: its number.
    value: of the objective.
    folds: number of folds.
    size: number of examples in the fold.
    **facts: others of the trial, such as its state.
  """
  return {
    "settings": {**settings, "fold": fold},
    "overrides": {**settings, "data.folds": folds, "data.fold": fold},
    "value": value,
    "held_out": size,
    **facts,
  }


def _write_run(folder: pathlib.Path, facts: Mapping[str, Any]) -> None:
  origin = {"recipe": "r.py", "overrides": facts["overrides"], "config": {}}
  (folder / "config.json").write_text(json.dumps(origin))
  value = facts["value"] or 0.0
  lines = [
    {"step": step, "validation/top1": value * step / 20} for step in (10, 20)
  ]
  (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
  result = {
    "status": "finished",
    "step": 20,
    "seconds": 3.5,
    "final": {"split": "test", "metrics": {"top1": value - 0.01}},
  }
  (folder / "result.json").write_text(json.dumps(result))
  (folder / "report.html").write_text("a report")
  if "held_out" in facts:
    held = {"split": "train, a fold", "num_examples": facts["held_out"]}
    record = {"version": 1, "class_names": [], "splits": {"validation": held}}
    (folder / "data.json").write_text(json.dumps(record))

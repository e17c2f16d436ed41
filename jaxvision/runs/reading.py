"""Reading of a run folder, of a finished or an unfinished run.

Only `config.json` is required: it is written first, and a folder without it is
not a run. Other files that are missing or damaged are listed in `Run.problems`
with the reason, because the report of a failed run is needed most.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxvision import files
from jaxvision.files import records
from jaxvision.runs import metrics_log, pages

ABSENT = "<absent>"  # the value of a missing key in comparisons

_EVALUATION = (
  "confusion",
  "mistake_images",
  "mistake_labels",
  "mistake_predictions",
  "mistake_confidences",
  "mistake_ids",
)
# The classes that the teacher of a student gives to its mistakes.
_OPTIONAL = ("mistake_teachers",)

_AXES = {"confusion": 2, "filters": 4, "probabilities": 2, "sample_images": 4}
_FIRST_LAYER = ("name", "filters")
_EXPLANATIONS = ("method", "predicted", "true", "limit", "problem")
_PREDICTIONS = (
  *("positions", "labels", "probabilities", "losses", "sample"),
  *("sample_reasons", "sample_images", "sample_ids"),
  *("embedding", "embedding_shares"),
)


@dataclasses.dataclass(frozen=True)
class Run:
  """The content of a run folder; empty containers for missing files.

  Attributes:
    workdir: the folder, as given.
    recipe: the config file of the run.
    overrides: {dotted key: value} on top of the recipe.
    overfit: number of examples to overfit (--overfit); 0 for all examples.
    config: the nested config with all keys.
    environment: one record per start or restart, oldest first.
    lines: the records of `metrics.jsonl`, in the order of writing.
    result: the record of `result.json`.
    evaluation: the arrays of `evaluation.npz`.
    first_layer: the arrays of `first_layer.npz`.
    explanations: the arrays of `explanations.npz`, heat maps of the mistakes.
    predictions: the arrays of `predictions.npz`.
    pages: sections that the task has written for the report.
    problems: sentences about missing or damaged files, with the reason.
  """

  workdir: pathlib.Path
  recipe: str
  overrides: Mapping[str, Any]
  overfit: int
  config: Mapping[str, Any]
  environment: tuple[Mapping[str, Any], ...]
  lines: tuple[Mapping[str, Any], ...]
  result: Mapping[str, Any]
  evaluation: Mapping[str, np.ndarray]
  first_layer: Mapping[str, np.ndarray]
  explanations: Mapping[str, np.ndarray]
  predictions: Mapping[str, np.ndarray]
  pages: tuple[pages.Page, ...]
  problems: tuple[str, ...]


def read_run(workdir: str | pathlib.Path) -> Run:
  """Reads the folder of a run that may be unfinished.

  Raises:
    FileNotFoundError: the folder has no `config.json`, so it is not a run.
    ValueError: `config.json` cannot be read.
  """
  workdir = pathlib.Path(workdir)
  origin = read_config(workdir)
  result, result_problems = _read_result(workdir / "result.json")
  why = _reason(result)
  environment, environment_problems = _read_starts(workdir / "environment.json")
  lines, line_problems = _read_lines(workdir / "metrics.jsonl", why)
  evaluation, evaluation_problems = _read_arrays(
    workdir / "evaluation.npz",
    required=_evaluation_arrays(origin["config"]),
    shows="confusion matrix, per-class table and mistakes",
    why=why,
  )
  first_layer, first_layer_problems = _read_arrays(
    workdir / "first_layer.npz",
    required=_FIRST_LAYER,
    shows="first-layer filters",
    why=why,
  )
  explanations, explanation_problems = _read_explanations(workdir, evaluation)
  predictions, prediction_problems = _read_predictions(workdir)
  return Run(
    workdir=workdir,
    recipe=origin["recipe"],
    overrides=origin["overrides"],
    overfit=origin["overfit"],
    config=origin["config"],
    environment=tuple(environment),
    lines=tuple(lines),
    result=result,
    evaluation=evaluation,
    first_layer=first_layer,
    explanations=explanations,
    predictions=predictions,
    pages=tuple(pages.read(workdir)),
    problems=(
      *result_problems,
      *environment_problems,
      *line_problems,
      *evaluation_problems,
      *first_layer_problems,
      *explanation_problems,
      *prediction_problems,
    ),
  )


def read_config(workdir: str | pathlib.Path) -> dict[str, Any]:
  """Reads config.json of a run.

  Raises:
    FileNotFoundError: the folder is not a run.
    ValueError: the file is damaged.
  """
  workdir = pathlib.Path(workdir)
  path = workdir / "config.json"
  if not path.exists():
    raise FileNotFoundError(f"{workdir} is not a run: {_not_a_run(workdir)}")
  found = records.read(
    path,
    records.ORIGIN,
    remedy="it defines the run: restore it from a copy, or train in a new "
    "workdir",
  )
  return {"recipe": "", "overrides": {}, "overfit": 0, **found}


def _not_a_run(workdir: pathlib.Path) -> str:
  if not workdir.is_dir():
    return "there is no such folder; pass the --workdir of a training run"
  inside = sorted(path.parent.name for path in workdir.glob("*/config.json"))
  remedy = (
    f"it contains runs, so pass one of them: {', '.join(inside)}"
    if inside
    else "pass a folder that `jaxvision train --workdir` wrote"
  )
  return f"it has no config.json; {remedy}"


def damaged_arrays(workdir: pathlib.Path) -> list[str]:
  """The names of the .npz files that exist but cannot be read."""
  evaluation = _evaluation_arrays(read_config(workdir)["config"])
  required = {
    "evaluation.npz": evaluation,
    "first_layer.npz": _FIRST_LAYER,
    "explanations.npz": _EXPLANATIONS,
    "predictions.npz": _PREDICTIONS,
  }
  return [
    name
    for name, keys in required.items()
    if (workdir / name).exists()
    and _read_arrays(workdir / name, required=keys, shows="", why="")[1]
  ]


def _evaluation_arrays(config: Mapping[str, Any]) -> tuple[str, ...]:
  """The arrays that evaluation.npz must have; other tasks have others."""
  task = config.get("task", {}).get("name", "classification")
  labels = config.get("data", {}).get("labels", "classes")
  taught = task == "distillation" and labels == "classes"
  return _EVALUATION if task == "classification" or taught else ()


def series(run: Run, name: str) -> tuple[np.ndarray, np.ndarray]:
  """A logged metric over the run: `(steps (n,) int, values (n,) float)`.

  Steps are ascending and unique: a resumed run logs the steps after its
  checkpoint again, and the last line counts. A null is NaN.
  """
  values = {line["step"]: line[name] for line in run.lines if name in line}
  steps = sorted(values)
  return (
    np.array(steps, int),
    np.array(
      [np.nan if values[step] is None else values[step] for step in steps],
      float,
    ),
  )


def steps_per_epoch(run: Run) -> float | None:
  """Steps per epoch of the training split; None if the log has no epochs."""
  steps, epochs = series(run, "epoch")
  known = np.isfinite(epochs) & (epochs > 0)
  return float(steps[known][-1] / epochs[known][-1]) if known.any() else None


def final(run: Run) -> tuple[str, Mapping[str, float]]:
  """The split and metrics of the final evaluation; {} if there is none yet.

  A split with the suffix "_ema" was evaluated with the averaged parameters.
  """
  record = run.result.get("final") or {}
  split = str(record.get("split", "no split yet"))
  return averaged(run, split), record.get("metrics", {})


def averaged(run: Run, split: str) -> str:
  """The name of a split in a page: "test_ema" -> "test (EMA)" or "test (SWA)".

  SWA is the equal average, stochastic weight averaging.
  """
  equal = bool(run.config.get("ema", {}).get("start"))
  return split.replace("_ema", " (SWA)" if equal else " (EMA)")


def splits(run: Run) -> dict[str, dict[str, Any]]:
  """The splits in data.json by role: {"split": name, "num_examples": n, ...}.

  {} if the file is missing or damaged, as in runs of old versions.
  """
  found, _ = _read_json(run.workdir / "data.json", {})
  of_roles = found.get("splits")
  if not isinstance(of_roles, dict):
    return {}
  return {
    role: each
    for role, each in of_roles.items()
    if isinstance(each, dict)
    and isinstance(each.get("split"), str)
    and isinstance(each.get("num_examples"), int)
  }


def class_names(run: Run) -> tuple[str, ...]:
  """The names of the classes; their indices if the run has no names."""
  names = run.result.get("class_names") or ()
  num_classes = len(names)
  if "confusion" in run.evaluation:
    num_classes = len(run.evaluation["confusion"])
  elif run.predictions:
    num_classes = run.predictions["probabilities"].shape[1]
  if len(names) != num_classes:
    names = range(num_classes)
  return tuple(str(name) for name in names)


def flatten(config: Any, *, prefix: str = "") -> dict[str, Any]:
  """Flattens a nested config to {dotted key: value}.

  Tuples become lists, as in JSON. An empty section has no keys.
  """
  return dict(_leaves(config, prefix))


def compare_configs(a: Any, b: Any) -> list[tuple[str, Any, Any]]:
  """The differences of two configs, sorted: `(key, value in a, value in b)`.

  Args:
    a: nested mapping or ConfigDict, from memory or from `config.json`.
    b: the same.

  Returns:
    One tuple per dotted key that differs. The value of a missing key is
    `ABSENT`.
  """
  flat_a, flat_b = flatten(a), flatten(b)
  pairs = [
    (key, flat_a.get(key, ABSENT), flat_b.get(key, ABSENT))
    for key in sorted({*flat_a, *flat_b})
  ]
  return [pair for pair in pairs if pair[1] != pair[2]]


def _leaves(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
  if not hasattr(value, "items"):
    yield prefix, _plain(value)
    return
  for key, child in value.items():
    yield from _leaves(child, f"{prefix}.{key}" if prefix else str(key))


def _plain(value: Any) -> Any:
  if isinstance(value, list | tuple):
    return [_plain(item) for item in value]
  return value


def is_finished(result: Mapping[str, Any]) -> bool:
  """Whether a run is complete: all steps, or the end of its patience."""
  return str(result.get("status", "")).startswith("finished")


def evaluated_checkpoint(result: Mapping[str, Any]) -> str:
  """The checkpoint that a result describes: "last", or the step of the best.

  It is the best one if the run has restored it at its end.
  """
  step = str(result.get("checkpoint", "")).rpartition("/")[2]
  is_last = not step.isdecimal() or int(step) == result.get("step")
  return "last" if is_last else step


def _reason(result: Mapping[str, Any]) -> str:
  status = str(result.get("status", "running"))
  if status == "running":
    return "because the run is unfinished or was killed"
  if is_finished(result):
    return "although the run finished"
  return "because the run ended early"


def _read_json(path: pathlib.Path, empty: Any) -> tuple[Any, list[str]]:
  try:
    return files.read_json(path, kind=type(empty)), []
  except FileNotFoundError:
    return empty, [
      f"{path.name} is missing: the run is unfinished or was killed."
    ]
  except (ValueError, OSError) as error:
    return empty, [f"{path.name} cannot be read: {error}."]


def _read_result(path: pathlib.Path) -> tuple[dict[str, Any], list[str]]:
  value, problems = _read_json(path, {})
  good, wrong = records.good(value, records.RESULT)
  return good, [*problems, *(f"In {path.name} {each}." for each in wrong)]


def _read_starts(path: pathlib.Path) -> tuple[list[Any], list[str]]:
  value, problems = _read_json(path, [])
  wrong = [list(records.wrong(each, records.START)) for each in value]
  good = [each for each, why in zip(value, wrong, strict=True) if not why]
  texts = [f"In {path.name} {text}." for why in wrong for text in why]
  return good, [*problems, *texts]


def _read_lines(
  path: pathlib.Path, why: str
) -> tuple[list[Mapping[str, Any]], list[str]]:
  # A process that is killed while it writes leaves an incomplete line, and a
  # resumed run may append to it. Such lines are skipped anywhere in the file.
  lines, incomplete = metrics_log.read_lines(path)
  problems = []
  if incomplete:
    problems.append(
      f"{incomplete} incomplete line{'s' * (incomplete > 1)} of "
      "metrics.jsonl skipped (the process was killed while writing, or the "
      "file is damaged)."
    )
  if not lines:
    problems.append(f"No learning curves: metrics.jsonl is empty, {why}.")
  return lines, problems


def _read_explanations(
  workdir: pathlib.Path, evaluation: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], list[str]]:
  """The heat maps of the mistakes; {} for a run without them.

  Runs of earlier versions, runs without mistakes, and runs with
  evaluate.explain="" have none.
  """
  path = workdir / "explanations.npz"
  mistakes = evaluation.get("mistake_labels", ())
  if not path.is_file() or not len(mistakes):
    return {}, []
  found, problems = _read_arrays(
    path, required=_EXPLANATIONS, shows="heat maps of mistakes", why=""
  )
  if found and len(found["predicted"]) > len(mistakes):
    return {}, [
      f"No heat maps of mistakes: {path.name} has {len(found['predicted'])}, "
      f"and evaluation.npz has {len(mistakes)} mistakes."
    ]
  if found and (text := str(found["problem"])):
    problems = [f"No heat maps of mistakes: {text}."]
  return found, problems


def _read_predictions(
  workdir: pathlib.Path,
) -> tuple[dict[str, np.ndarray], list[str]]:
  """The predictions; {} for runs of earlier versions and other tasks."""
  path = workdir / "predictions.npz"
  if not path.is_file():
    return {}, []
  return _read_arrays(
    path,
    required=_PREDICTIONS,
    shows="predictions, reliability, curves of classes and embedding",
    why="",
  )


def _read_arrays(
  path: pathlib.Path, *, required: tuple[str, ...], shows: str, why: str
) -> tuple[dict[str, np.ndarray], list[str]]:
  if not path.is_file():
    return {}, [f"No {shows}: {path.name} was not written, {why}."]
  try:
    with files.open_regular(path) as file, np.load(file) as arrays:
      found = {key: arrays[key] for key in required}
      if required:
        found |= {key: arrays[key] for key in _OPTIONAL if key in arrays}
    for key, axes in _AXES.items():
      if key in found and found[key].ndim != axes:
        raise ValueError(f"{key} has the shape {found[key].shape}")
    return found, []
  except Exception as error:  # numpy, zipfile and zlib raise many types
    return {}, [f"No {shows}: {path.name} is damaged ({error})."]

"""The contract of an experiment tracker.

  open(run: TrackedRun) -> Session          begins or continues a run
  session.log(step, values)                 a line of metrics.jsonl
  session.finish(end: End)                  once, at the end of the process

All three are called in one thread, which is not that of the training. An
exception ends the tracking of the run in this process, not the training.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from jaxvision.runs import reading, sweep_folder, workdir

_STATES = ("finished", "preempted", "ended early")
_LONGEST_ERROR = 500  # characters


@dataclasses.dataclass(frozen=True)
class TrackedRun:
  """A run, as a tracker knows it.

  Attributes:
    folder: of the run.
    id: 32 hex digits. The processes of a resumed run have the same one.
    sent: the number of lines that earlier processes of the run have sent.
    name: of the run: its folder; for a trial SWEEP/NUMBER.
    group: of a trial: the name of its sweep in the storage; else "".
    axes: of a trial: {key: value or label} of the axes of the sweep; else {}.
    config: {dotted key: value}, with tuples as lists.
  """

  folder: pathlib.Path
  id: str
  sent: int
  name: str
  group: str
  axes: Mapping[str, Any]
  config: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class End:
  """The end of a run, or of a process of it.

  Attributes:
    state: "finished"; "preempted", if the run will be resumed; "ended early",
      as a pruned trial; or "failed".
    status: the status in result.json, which explains the state.
    step: the last step of the run.
    summary: the final metrics, as "final/test/top1"; the best value of the
      metric that selects the best checkpoint, as "best/validation/top1"; and
      its step, "best/step". The names are not those of `Session.log`. Empty if
      the run has none.
    report: the path of the page; None without one.
  """

  state: str
  status: str
  step: int
  summary: Mapping[str, float]
  report: pathlib.Path | None


@dataclasses.dataclass(frozen=True)
class Session:
  """An open run of a tracker.

  Attributes:
    log: (step, values) receives each line of metrics.jsonl once, in their
      order. A step can have two lines: the training's, and the evaluation's.
      Values that are not finite are NaN.
    finish: (end) receives the end, after the last line.
  """

  log: Callable[[int, Mapping[str, float]], None]
  finish: Callable[[End], None]


Open = Callable[[TrackedRun], Session]


def read_run(folder: pathlib.Path, *, id: str, sent: int) -> TrackedRun:
  """Reads what a tracker receives from the folder of a run.

  Raises:
    ValueError, OSError: a file of the run, its trial or its sweep is damaged.
  """
  folder = folder.absolute()
  name, group, axes = folder.name, "", {}
  sweep = folder.parent.parent
  if (folder / "trial.json").is_file() and sweep_folder.is_sweep(sweep):
    name = f"{sweep.name}/{folder.name}"
    group = sweep_folder.read_definition(sweep)["study"]
    axes = sweep_folder.read_trial(folder / "trial.json")["settings"]
  return TrackedRun(
    folder=folder,
    id=id,
    sent=sent,
    name=name,
    group=group,
    axes=axes,
    config=reading.flatten(reading.read_config(folder)["config"]),
  )


def read_end(folder: pathlib.Path, error: BaseException | None) -> End:
  """Reads the end of a run from its folder.

  Args:
    folder: of the run.
    error: that ended the run; None without one. It counts if the process could
      not write it into result.json.
  """
  try:
    result = workdir.read_result(folder)
  except (ValueError, OSError):
    result = {}
  status = str(result.get("status", "running"))
  if status == "running":
    kind = type(error).__name__ if error else "no result"
    status = f"failed: {kind}: {error or 'result.json is missing'}"
    status = " ".join(status.split())[:_LONGEST_ERROR]
  report = folder / "report.html"
  return End(
    state=next((each for each in _STATES if status.startswith(each)), "failed"),
    status=status,
    step=result.get("step", 0),
    summary=_summary(result),
    report=report if report.is_file() else None,
  )


def _summary(result: Mapping[str, Any]) -> dict[str, float]:
  found: dict[str, float] = {}
  if final := result.get("final"):
    named = final["metrics"].items()
    split = f"final/{final['split']}"
    found = {f"{split}/{metric}": value for metric, value in named}
  if best := result.get("best"):
    found |= {
      f"best/{best['metric']}": best["value"],
      "best/step": best["step"],
    }
  return found

"""Run folders that are tracked, and a tracker that keeps what it receives."""

import contextlib
import json
import pathlib
from collections.abc import Iterator

from jaxvision.runs import metrics_log, trackers


def recorder(seen: list, *, failing=lambda kind, step: None) -> trackers.Open:
  """A tracker that appends ("open", run), (step, values), ("end", end).

  Args:
    seen: the list.
    failing: (kind, step) is called before each of them.
  """

  def open_run(run: trackers.TrackedRun) -> trackers.Session:
    failing("open", 0)
    seen.append(("open", run))

    def log(step, values):
      failing("log", step)
      seen.append((step, dict(values)))

    def finish(end):
      failing("finish", end.step)
      seen.append(("end", end))

    return trackers.Session(log=log, finish=finish)

  return open_run


def write_config(folder: pathlib.Path) -> None:
  """Writes config.json, without which a folder is no run."""
  folder.mkdir(parents=True, exist_ok=True)
  config = {"seed": 3, "optimizer": {"options": {"betas": [0.9, 0.99]}}}
  (folder / "config.json").write_text(json.dumps({"config": config}))


def write_result(folder: pathlib.Path, status: str, step: int) -> None:
  """Writes result.json with metrics."""
  result = {
    "status": status,
    "step": step,
    "best": {"step": 4, "metric": "validation/top1", "value": 0.75},
    "final": {"split": "test", "metrics": {"top1": 0.5}},
  }
  (folder / "result.json").write_text(json.dumps(result))


@contextlib.contextmanager
def process(
  folder: pathlib.Path,
  made: dict[str, trackers.Open],
  *,
  first_step: int = 0,
  status: str = "finished",
) -> Iterator:
  """A process of a run: yields write(step, values); it ends with a result."""
  write_config(folder)
  with trackers.tracked({folder: made}) as wake:
    with metrics_log.open_metrics(
      folder,
      first_step=first_step,
      tensorboard=False,
      written=lambda: wake(folder),
    ) as write:
      yield write
    lines = metrics_log.read_metrics(folder)
    write_result(folder, status, int(lines[-1]["step"]) if lines else 0)


def lines(folder: pathlib.Path) -> list[tuple[int, dict[str, float]]]:
  """The (step, values) of metrics.jsonl."""
  found = metrics_log.read_metrics(folder)
  return [(row.pop("step"), row) for row in found]

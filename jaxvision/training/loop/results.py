"""The summary of a run at its start, and its results at its end."""

import logging
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.sharding import Mesh

from jaxvision import (
  metrics,
  parallel,
  report,
  summary,
  trees,
)
from jaxvision.checkpoint import fingerprint
from jaxvision.processes import agreement
from jaxvision.runs import reading
from jaxvision.runs import workdir as workdirs
from jaxvision.training.loop import artifacts, divergence, ending, timing
from jaxvision.training.setup import Parts
from jaxvision.training.step import TrainState, image_sizes

_LOGGER = logging.getLogger(__name__)


def record_start(
  folder: pathlib.Path, mesh: Mesh, *, step: int = 0, ago: float = 0.0
) -> None:
  """Adds a record of this start to environment.json.

  Args:
    folder: of the run.
    mesh: of the run.
    step: the step that the run resumes from.
    ago: seconds since the start of the process.
  """
  workdirs.add_environment(
    folder,
    step=step,
    devices=parallel.describe(mesh),
    backend=jax.default_backend(),
    ago=ago,
  )


def describe(parts: Parts, memory: int | None) -> dict[str, Any]:
  """The fields of result.json that are known before the first step.

  Args:
    parts: of the run.
    memory: of a step on one device, in bytes; None if unknown.
  """
  return {
    "total_steps": parts.steps.total,
    "parameters": trees.count(parts.template.params),
    "flops_per_image": summary.flops_per_image(
      parts.model, image_shape=parts.image_shape
    ),
    "memory_bytes": memory,
    "image_shape": list(map(int, parts.image_shape)),
    "evaluated_shape": list(map(int, _evaluated_shape(parts))),
    "class_names": list(parts.class_names),
  }


def effort(parts: Parts) -> Callable[[int, int], float]:
  """The relative FLOPs of steps with reduced images, see `Settings.effort`."""
  starts = [0, *(start for start, _ in parts.steps.image_sizes)]
  shapes = [
    parts.image_shape,
    *(
      image_sizes.reduced_shape(parts.image_shape, side)
      for _, side in parts.steps.image_sizes
    ),
  ]
  if len(shapes) == 1:
    return lambda step, last: 1.0
  flops = [
    summary.flops_per_image(parts.model, image_shape=shape) for shape in shapes
  ]
  ends = [*starts[1:], parts.steps.total]

  def mean(step: int, last: int) -> float:
    overlaps = [
      max(0, min(end, last) - max(start, step))
      for start, end in zip(starts, ends, strict=True)
    ]
    done = sum(n * each for n, each in zip(overlaps, flops, strict=True))
    return done / (max(last - step, 1) * flops[0])

  return mean


def announce(parts: Parts, facts: Mapping[str, Any]) -> None:
  """Logs the model, its size, the devices and the data."""
  idle = parallel.idle_accelerators()
  if idle:
    _LOGGER.warning(
      "RUNNING ON THE CPU although this machine has an accelerator (%s): jax "
      "was installed without support for it. Install jax[cuda13] or jax[tpu], "
      "or set JAX_PLATFORMS=cpu to use the CPU.",
      ", ".join(idle),
    )
  sizes = [f"{s.num_examples:,} {role}" for role, s in parts.splits.items()]
  memory = facts["memory_bytes"]
  _LOGGER.info(
    "%s: %s parameters, %.3g MFLOPs per image, on %s%s",
    parts.name,
    f"{facts['parameters']:,}",
    facts["flops_per_image"] / 1e6,
    parallel.describe(parts.mesh),
    f", the step takes {memory / 2**20:,.1f} MiB of each" if memory else "",
  )
  _LOGGER.info(
    "%s: %s images %s of %d classes; %d steps of %d images",
    parts.data_name,
    " + ".join(sizes),
    "x".join(map(str, parts.image_shape)),
    len(facts["class_names"]),
    parts.steps.total,
    parts.batches["train"].batch_size,
  )


def _evaluated_shape(parts: Parts) -> tuple[int, int, int]:
  """(h, w, c) of the evaluation images; without them, of training images."""
  evaluated = [
    batches.image_shape
    for role, batches in parts.batches.items()
    if role != "train"
  ]
  return evaluated[0] if evaluated else parts.image_shape


def read_finished(
  folder: pathlib.Path, *, total: int, patience: int, restore_best: bool
) -> dict[str, Any]:
  """The results of a finished run; {} if the run is not finished.

  A missing or incomplete report is rewritten. If the results are damaged, or
  are those of another checkpoint than `restore_best` selects, {} is returned
  too: the run then resumes from its last checkpoint and is evaluated again.

  Args:
    folder: of the run.
    total: number of steps of the complete run.
    patience: number of evaluations without a better one that end the run; with
      0, only the last step ends it.
    restore_best: whether the results are those of the best checkpoint.

  Raises:
    ValueError: the run cannot be evaluated again with the other checkpoint.
  """
  try:
    result = workdirs.read_result(folder, remedy="it is rebuilt")
  except ValueError as error:
    _LOGGER.warning("%s", error)
    return {}
  if not reading.is_finished(result):
    return {}
  ended = 0 < patience <= result.get("waited", 0)
  if result.get("step", total) < total and not ended:
    return {}
  if _describes_other(folder, result, restore_best):
    return {}
  if missing := {"final", "class_names"} - set(result):
    _LOGGER.warning(
      "result.json of %s lacks %s; it is rebuilt",
      folder,
      " and ".join(sorted(missing)),
    )
    return {}
  if damaged := reading.damaged_arrays(folder):
    again = _can_measure_again(folder, result)
    _LOGGER.warning(
      "%s of %s: damaged; %s",
      " and ".join(damaged),
      folder,
      "rebuilt" if again else "lost, because its last checkpoint is missing",
    )
    if again:
      return {}
  _LOGGER.info(
    "%s is finished already: nothing to train. To train again, remove it or "
    "give another workdir.",
    folder,
  )
  if not report.is_whole(folder / "report.html"):
    report.write_report(folder)
  return result


def final_step(record: Mapping[str, Any], *, restore_best: bool) -> int:
  """The step of the checkpoint that the results of a run describe.

  Args:
    record: of the run at its end, or its result.json, with "step" and "best".
    restore_best: whether it is the best one. A run without a finite evaluation
      has no best one, and the last one is taken.
  """
  best = record.get("best") if restore_best else None
  return best["step"] if best else record["step"]


def _describes_other(
  folder: pathlib.Path, result: Mapping[str, Any], restore_best: bool
) -> bool:
  """Whether a result describes another checkpoint than `restore_best` selects.

  Raises:
    ValueError: it does, and the run cannot be evaluated again.
  """
  if not {"checkpoint", "step"} <= result.keys():  # of an older version
    return False
  step = final_step(result, restore_best=restore_best)
  if result["checkpoint"] == _path(step):
    return False
  for needed in (result["step"], step):
    if not (folder / _path(needed)).is_dir():
      raise ValueError(
        f"checkpoint.restore_best is {restore_best}, and the results of "
        f"{folder} are those of {result['checkpoint']}; they cannot be "
        f"computed again, because {_path(needed)} is not there: set it to "
        f"{not restore_best}, or train in another workdir"
      )
  _LOGGER.info("%s is evaluated again, at step %d", folder, step)
  return True


def _path(step: int) -> str:
  """The folder of a checkpoint in the folder of its run."""
  return f"checkpoints/{step}"


def _can_measure_again(folder: pathlib.Path, result: Mapping[str, Any]) -> bool:
  last = result.get("checkpoint")
  return last is not None and (folder / last).is_dir()


def write_stopped(
  folder: pathlib.Path,
  *,
  facts: Mapping[str, Any],
  record: Mapping[str, Any],
  status: str,
) -> None:
  """Writes the results and the report of a run that stopped early."""
  _write(folder, {**facts, "status": status}, record)


def final_split(parts: Parts) -> tuple[str, str]:
  """The role and the metrics prefix of the final evaluation's split."""
  role = "test" if "test" in parts.splits else "validation"
  return role, f"{role}_ema" if parts.averaged else role


def finished(
  parts: Parts,
  facts: Mapping[str, Any],
  *,
  state: TrainState,
  record: Mapping[str, Any],
  evaluation: metrics.Evaluation | None,
  step: int,
) -> dict[str, Any]:
  """The fields of result.json of a finished run, without those of its record.

  Args:
    parts: of the run.
    facts: from `describe`.
    state: of the last step, or of the best checkpoint.
    record: at the end of the run.
    evaluation: of the state on `final_split`; None without such a split.
    step: of the state.

  Raises:
    train_loop.Diverged: a metric is not finite.
  """
  final, last, status = None, record["step"], "finished"
  if last < parts.steps.total:
    status = f"finished: {ending.no_gain(record)}"
  if evaluation:
    _, name = final_split(parts)
    divergence.check_finite(name, evaluation.metrics, step, last=last)
    final = {"split": name, "metrics": evaluation.metrics}
  return {
    **facts,
    "status": status,
    "final": final,
    "fingerprint": fingerprint.of(state),
    "checkpoint": _path(step),
  }


def write_finished(
  folder: pathlib.Path,
  *,
  parts: Parts,
  facts: Mapping[str, Any],
  state: TrainState,
  record: Mapping[str, Any],
  evaluation: metrics.Evaluation | None,
  step: int,
) -> dict[str, Any]:
  """Writes the results and the report of a finished run.

  Args:
    folder: of the run.
    parts, facts, state, record, evaluation, step: as in `finished`.

  Returns:
    The content of result.json.

  Raises:
    train_loop.Diverged: a metric is not finite.
  """
  result = finished(
    parts,
    facts,
    state=state,
    record=record,
    evaluation=evaluation,
    step=step,
  )
  if evaluation:
    role, _ = final_split(parts)
    artifacts.write_evaluation(
      folder,
      parts,
      state,
      evaluation,
      role=role,
      flops=facts["flops_per_image"],
    )
  artifacts.write_filters(folder, parts, state)
  return _write(folder, result, record)


def _write(
  folder: pathlib.Path, result: Mapping[str, Any], record: Mapping[str, Any]
) -> dict[str, Any]:
  """Writes the results and the report on process 0.

  Returns:
    The results, in all processes.
  """

  def write() -> dict[str, Any]:
    written = write_result(folder, result, record)
    report.write_report(folder)
    return written

  return agreement.first(write)


def write_result(
  folder: pathlib.Path, result: Mapping[str, Any], record: Mapping[str, Any]
) -> dict[str, Any]:
  """Writes result.json, with the fields from the record.

  Args:
    folder: of the run.
    result: the other fields, such as those of `finished`.
    record: of the run.

  Returns:
    The content of the file.
  """
  written = {
    **result,
    **{key: record[key] for key in ("step", "seconds", "best", "waited")},
    **timing.summary(record["spent"], workdirs.began(folder)),
  }
  workdirs.write_result(folder, written)
  return written

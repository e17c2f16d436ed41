"""What a run says when it begins, and leaves in its folder when it ends."""

import contextlib
import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxvision import (
  checkpoint,
  data,
  interpret,
  parallel,
  report,
  summary,
  trees,
  user_code,
)
from jaxvision.checkpoint import fingerprint
from jaxvision.evaluation import classification
from jaxvision.processes import agreement
from jaxvision.runs import reading
from jaxvision.runs import workdir as workdirs
from jaxvision.training.loop import evaluators, timing, train_loop
from jaxvision.training.setup import assembly
from jaxvision.training.step import train_step

_LOGGER = logging.getLogger(__name__)


def describe(parts: assembly.Parts, memory: int | None) -> dict[str, Any]:
  """What result.json says of any run; `memory` is what a step needs, bytes."""
  return {
    "total_steps": parts.steps.total,
    "parameters": trees.count(parts.template.params),
    "flops_per_image": summary.flops_per_image(
      parts.model, image_shape=parts.image_shape
    ),
    "memory_bytes": memory,
    "image_shape": list(map(int, parts.image_shape)),
    "evaluated_shape": list(map(int, _evaluated_shape(parts))),
    "class_names": list(parts.splits["train"].class_names),
  }


def announce(parts: assembly.Parts, facts: Mapping[str, Any]) -> None:
  """Tells the user what is trained, of which size and on what."""
  config = parts.config
  idle = parallel.idle_accelerators()
  if idle:
    _LOGGER.warning(
      "RUNNING ON THE CPU although this machine has an accelerator (%s): jax "
      "was installed without support for it. Install jax[cuda13] or jax[tpu], "
      "or set JAX_PLATFORMS=cpu if the CPU is meant.",
      ", ".join(idle),
    )
  sizes = [f"{s.num_examples:,} {role}" for role, s in parts.splits.items()]
  memory = facts["memory_bytes"]
  _LOGGER.info(
    "%s: %s parameters, %.3g MFLOPs per image, on %s%s",
    user_code.as_written(config.model.name),
    f"{facts['parameters']:,}",
    facts["flops_per_image"] / 1e6,
    parallel.describe(parts.mesh),
    f", the step takes {memory / 2**20:,.1f} MiB of each" if memory else "",
  )
  _LOGGER.info(
    "%s: %s images %s of %d classes; %d steps of %d images",
    config.data.name,
    " + ".join(sizes),
    "x".join(map(str, parts.image_shape)),
    len(facts["class_names"]),
    parts.steps.total,
    config.train.batch_size,
  )


def _evaluated_shape(parts: assembly.Parts) -> tuple[int, int, int]:
  """(h, w, c) of the images that the run evaluates, if it does."""
  evaluated = [
    batches.image_shape
    for role, batches in parts.batches.items()
    if role != "train"
  ]
  return evaluated[0] if evaluated else parts.image_shape


def read_finished(folder: pathlib.Path, *, total: int) -> dict[str, Any]:
  """The results of a finished run, {} of one that is to be trained.

  A report that is missing or torn is written again. Where the results
  themselves are damaged the run goes on from its last checkpoint, which
  measures it again.

  Args:
    folder: of the run.
    total: the steps that it shall take.
  """
  try:
    result = workdirs.read_result(folder, remedy="it is made anew")
  except ValueError as error:
    _LOGGER.warning("%s", error)
    return {}
  if result.get("status") != "finished" or result.get("step", total) < total:
    return {}
  if missing := {"final", "class_names"} - set(result):
    _LOGGER.warning(
      "result.json of %s lacks %s; it is made anew",
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
      "made anew" if again else "lost, as its last checkpoint is not there",
    )
    if again:
      return {}
  _LOGGER.info(
    "%s is finished already: nothing to train. Remove it, or give another "
    "workdir, to train again.",
    folder,
  )
  if not report.is_whole(folder / "report.html"):
    report.write_report(folder)
  return result


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
  """The results of a run that did not reach its end."""
  _write(folder, record, {**facts, "status": status})


def write_finished(
  folder: pathlib.Path,
  *,
  parts: assembly.Parts,
  facts: Mapping[str, Any],
  state: train_step.TrainState,
  record: Mapping[str, Any],
  measured: evaluators.Evaluators,
) -> dict[str, Any]:
  """Evaluates the final state, writes and returns the results.

  Raises:
    stopping.Stopped: the run was asked to stop in the middle of it.
    train_loop.Diverged: a metric is not finite.
  """
  role = "test" if "test" in parts.splits else "validation"
  name = f"{role}_ema" if parts.config.ema.decay else role
  final = None
  if name in measured:
    evaluation = measured[name](state)
    check_finite(name, evaluation.metrics, parts.steps.total)
    final = {"split": name, "metrics": evaluation.metrics}
    if agreement.is_first():
      _write_evaluation(folder, evaluation, parts.splits[role])
  path, filters = interpret.first_layer(
    parts.model,
    params=state.params,
    image_shape=parts.image_shape,
    gather=parallel.whole,
  )
  if agreement.is_first():
    workdirs.write_arrays(
      folder / "first_layer.npz", name=path, filters=filters
    )
  result = {
    **facts,
    "status": "finished",
    "final": final,
    "fingerprint": fingerprint.of(state),
    "checkpoint": f"checkpoints/{parts.steps.total}",
  }
  return _write(folder, record, result)


def explain_divergence(
  manager: checkpoint.Manager, error: train_loop.Diverged
) -> str:
  """What is said of a run that diverged; keeps only good checkpoints.

  Those that are known to be bad are moved to WORKDIR/damaged.
  """
  with contextlib.suppress(checkpoint.CheckpointError):
    checkpoint.wait(manager)
  for step in manager.all_steps(read=True):
    if error.good is not None and step > error.good:
      checkpoint.set_aside(manager, step)
  steps = manager.all_steps(read=True)
  kept = (
    f"{checkpoint.directory(manager)}/{max(steps)}" if steps else "none yet"
  )
  return (
    f"stopped at {error}. The last good checkpoint is kept: {kept}. Try a "
    "lower optimizer.learning_rate, a longer schedule.warmup or "
    "optimizer.gradient_clip=1.0, in a new workdir."
  )


def check_finite(name: str, metrics: Mapping[str, float], step: int) -> None:
  """Raises Diverged if a metric of the final state is not finite."""
  broken = [key for key, value in metrics.items() if not np.isfinite(value)]
  if broken:
    raise train_loop.Diverged(
      f"step {step}, the last: {', '.join(f'{name}/{key}' for key in broken)} "
      "is not finite, although the parameters are: the model overflows",
      good=step - 1,
    )


def _write(
  folder: pathlib.Path, record: Mapping[str, Any], facts: Mapping[str, Any]
) -> dict[str, Any]:
  """Writes the result and the report; what process 0 wrote is returned."""

  def write() -> dict[str, Any]:
    result = {
      **facts,
      "step": record["step"],
      "seconds": record["seconds"],
      "best": record["best"],
      **timing.summary(record["spent"], workdirs.began(folder)),
    }
    workdirs.write_result(folder, result)
    report.write_report(folder)
    return result

  return agreement.first(write)


def _write_evaluation(
  folder: pathlib.Path,
  measured: classification.Evaluation,
  split: data.Dataset,
) -> None:
  wrong = measured.mistakes
  workdirs.write_arrays(
    folder / "evaluation.npz",
    confusion=measured.sums["confusion"],
    mistake_images=np.asarray([m.image for m in wrong], np.uint8),
    mistake_labels=np.asarray([m.label for m in wrong], np.int64),
    mistake_predictions=np.asarray([m.prediction for m in wrong], np.int64),
    mistake_confidences=np.asarray([m.confidence for m in wrong], np.float32),
    mistake_ids=np.asarray(split.ids([m.position for m in wrong]), np.str_),
  )

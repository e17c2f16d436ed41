"""The arrays and pages in the folder of a finished run, for its report."""

import pathlib
from typing import Any

import jax
import numpy as np

from jaxvision import interpret, metrics, parallel
from jaxvision.processes import agreement
from jaxvision.runs import pages
from jaxvision.runs import workdir as workdirs
from jaxvision.tasks import contract, generated_images
from jaxvision.training.loop import explained_mistakes, predictions
from jaxvision.training.setup import Parts
from jaxvision.training.step import TrainState


def write_evaluation(
  folder: pathlib.Path,
  parts: Parts,
  state: TrainState,
  evaluation: metrics.Evaluation,
  *,
  role: str,
  flops: float,
) -> None:
  """Writes the arrays and pages of the task about the final evaluation.

  Mistakes get heat maps, see explained_mistakes.py.

  Args:
    folder: of the run.
    parts: of the run.
    state: that was evaluated.
    evaluation: of the state.
    role: of the evaluated split.
    flops: of a forward pass of one image.
  """
  explains = _explains(parts, evaluation)
  explained = explained_mistakes.number(
    parts, len(evaluation.examples) if explains else 0, flops=flops
  )
  needed = explained or parts.task.generator is not None
  variables = _whole_variables(parts, state) if needed else None
  if not agreement.is_first():
    return
  positions = [each.position for each in evaluation.examples]
  ids = parts.splits[role].ids(positions)
  artifacts = parts.task.artifacts(evaluation, parts.class_names, ids)
  arrays = dict(artifacts.arrays)
  if "positions" in arrays:
    named = parts.splits[role].ids(arrays["positions"].tolist())
    arrays["ids"] = np.asarray(named, np.str_)
  workdirs.write_arrays(folder / "evaluation.npz", **arrays)
  if "confusion" in evaluation.sums and evaluation.outputs is not None:
    predictions.write(folder, parts, evaluation.outputs, role=role)
  if explains and "mistake_images" in arrays:
    explained_mistakes.write(
      folder,
      parts,
      contract.of_model(parts.task, variables) if explained else None,
      arrays,
      flops=flops,
    )
  sections = list(artifacts.pages)
  if parts.task.generator is not None:
    sections += generated_images.pages(
      parts.task.generator,
      variables,
      evaluation.examples,
      class_names=parts.class_names,
    )
  if sections:
    pages.write(folder, sections)


def write_filters(
  folder: pathlib.Path, parts: Parts, state: TrainState
) -> None:
  """Writes the filters of the first layer."""
  path, filters = interpret.first_layer(
    parts.model,
    params=contract.of_model(parts.task, state.variables)["params"],
    image_shape=parts.image_shape,
    gather=parallel.whole,
  )
  if agreement.is_first():
    workdirs.write_arrays(
      folder / "first_layer.npz", name=path, filters=filters
    )


def _explains(parts: Parts, evaluation: metrics.Evaluation) -> bool:
  """Whether the report shows mistakes with heat maps.

  Tasks with one class for each image have a confusion matrix.
  """
  has_classes = "confusion" in evaluation.sums
  return bool(parts.explain and has_classes and evaluation.examples)


def _whole_variables(parts: Parts, state: TrainState) -> Any:
  """The evaluated variables in numpy arrays; all processes must call this."""
  variables = state.ema if parts.averaged else state.variables
  return jax.tree.map(parallel.whole, variables)

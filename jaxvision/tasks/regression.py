"""The task of regression: images -> real numbers.

Labels are (b, t) float32: data.labels="numbers". The outputs of the model are
the numbers, in the units of the labels. Scale the labels to the order of 1,
because initial outputs are near 0.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxvision import metrics
from jaxvision.metrics import regression
from jaxvision.runs import pages
from jaxvision.tasks import supervised
from jaxvision.tasks.contract import Artifacts, Batch, Components, Task

_SMALLER = ("mean_absolute_error", "root_mean_squared_error", "loss")


def make(components: Components) -> Task:
  """Returns the task of regression; the model has an output per number."""
  count = components.model.num_classes
  return Task(
    batch={
      "image": (components.image_shape, np.uint8),
      "label": ((count,), np.float32),
      "mask": ((), np.float32),
    },
    init=supervised.make_init(components),
    inputs=supervised.make_inputs(components, supervised.as_float),
    loss=supervised.make_loss(
      components, supervised.as_float, regression.training_sums
    ),
    **supervised.make_evaluation(
      components,
      supervised.as_float,
      regression.sums,
      supervised.mean_of_numbers,
    ),
    merge=regression.merge,
    finish=regression.finish,
    logged=("loss", "mean_absolute_error"),
    measured=("r2", *_SMALLER),
    best={"r2": 1, **dict.fromkeys(_SMALLER, -1)},
    learnt=("r2", 0.99),
    untrained=lambda: None,
    answer=lambda outputs: outputs.astype(jnp.float32),
    rank=_rank,
    predictions=_predictions,
    artifacts=_artifacts,
  )


def _rank(outputs: np.ndarray, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
  """The mean absolute error of each example, and its outputs."""
  return np.abs(outputs - batch["label"]).mean(-1), outputs


def _predictions(
  values: np.ndarray, class_names: Sequence[str], top: int
) -> list[dict[str, Any]]:
  """All numbers, in their order."""
  del top
  pairs = zip(class_names, values.tolist(), strict=True)
  return [{"class": name, "value": value} for name, value in pairs]


def _artifacts(
  evaluation: metrics.Evaluation,
  class_names: Sequence[str],
  ids: Sequence[str],
) -> Artifacts:
  """The metrics of each number, and the images with the largest errors."""
  by_number = regression.per_number(evaluation.sums)
  rows = [
    [name, *(each[i].item() for each in by_number.values())]
    for i, name in enumerate(class_names)
  ]
  columns = {"number": "text", **dict.fromkeys(by_number, "number")}
  found = [
    pages.Page(
      title="Numbers",
      note="Errors are in the units of the labels.",
      table=pages.Table(columns=columns, rows=rows),
    )
  ]
  if evaluation.examples:
    found.append(
      pages.Page(
        title="Largest errors",
        note="Images with the largest mean absolute error.",
        images=np.stack([each.image for each in evaluation.examples]),
        captions=[
          f"label: {_values(each.label)}\n"
          f"output: {_values(each.answer)}\n{name}"
          for each, name in zip(evaluation.examples, ids, strict=True)
        ],
      )
    )
  return Artifacts(arrays=by_number, pages=found)


def _values(numbers: np.ndarray) -> str:
  return ", ".join(f"{value:.4g}" for value in np.ravel(numbers).tolist())

"""The task of multi-label classification: images -> a probability per class.

An image has any number of classes, so each logit decides about its class
independently (sigmoid). Labels are sets, (b, k) uint8 of 0 and 1:
data.labels="sets".
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import metrics
from jaxvision.metrics import multilabel
from jaxvision.runs import pages
from jaxvision.tasks import supervised
from jaxvision.tasks.contract import Artifacts, Batch, Components, Task

_AVERAGES = tuple(
  f"{name}_{average}"
  for name in ("f1", "precision", "recall")
  for average in ("macro", "micro")
)


def make(components: Components) -> Task:
  """Returns the task of multi-label classification."""
  num_classes = components.model.num_classes
  larger = ("mean_average_precision", *_AVERAGES, "subset_accuracy")
  return Task(
    batch={
      "image": (components.image_shape, np.uint8),
      "label": ((num_classes,), np.uint8),
      "mask": ((), np.float32),
    },
    init=supervised.make_init(components),
    inputs=supervised.make_inputs(components, supervised.as_float),
    loss=supervised.make_loss(
      components, supervised.as_float, multilabel.training_sums
    ),
    **supervised.make_evaluation(
      components,
      supervised.as_float,
      multilabel.sums,
      supervised.mean_of_sets,
    ),
    merge=multilabel.merge,
    finish=multilabel.finish,
    logged=("loss", "subset_accuracy", "hamming_loss"),
    measured=(*larger, "hamming_loss", "loss"),
    best={**dict.fromkeys(larger, 1), "hamming_loss": -1, "loss": -1},
    learnt=("subset_accuracy", 1.0),
    untrained=lambda: _untrained(components.loss, num_classes),
    answer=lambda logits: jax.nn.sigmoid(logits.astype(jnp.float32)),
    rank=_rank,
    predictions=supervised.most_probable,
    artifacts=_artifacts,
  )


def _untrained(loss, num_classes: int) -> float | None:
  """The loss at zero logits, k log 2 for sigmoid; None if it needs labels."""
  logits = jnp.zeros((2, num_classes))
  targets = jnp.stack([jnp.zeros(num_classes), jnp.ones(num_classes)])
  empty, full = map(float, loss(logits, targets))
  return empty if np.isclose(empty, full) else None


def _rank(logits: np.ndarray, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
  """The largest logit margin of a wrong decision, and the predicted sets."""
  predicted = (logits > 0).astype(np.uint8)
  wrong = predicted != batch["label"]
  distance = np.where(wrong, np.abs(logits), -np.inf).max(-1)
  return np.where(wrong.any(-1), distance, np.nan), predicted


def _artifacts(
  evaluation: metrics.Evaluation,
  class_names: Sequence[str],
  ids: Sequence[str],
) -> Artifacts:
  """The metrics of each class, and the worst mistakes."""
  by_class = multilabel.per_class(evaluation.sums)
  columns = {"class": "text", "average_precision": "percent"}
  columns |= dict.fromkeys(("f1", "precision", "recall"), "percent")
  columns["support"] = "integer"
  rows = [
    [name, *(_cell(by_class[column][i]) for column in list(columns)[1:])]
    for i, name in enumerate(class_names)
  ]
  found = [
    pages.Page(
      title="Classes",
      note="A class is predicted if its probability is above 0.5. The "
      "average precision does not depend on this threshold. It is undefined "
      "for a class without a positive example.",
      table=pages.Table(columns=columns, rows=rows),
    )
  ]
  if evaluation.examples:
    found.append(
      pages.Page(
        title="Mistakes",
        note="Images with the most confident wrong decision on a class.",
        images=np.stack([each.image for each in evaluation.examples]),
        captions=[
          f"labels: {_names(each.label, class_names)}\n"
          f"predicted: {_names(each.answer, class_names)}\n{name}"
          for each, name in zip(evaluation.examples, ids, strict=True)
        ],
      )
    )
  return Artifacts(arrays=by_class, pages=found)


def _cell(value: float) -> float | None:
  return None if np.isnan(value) else value.item()


def _names(present: np.ndarray, class_names: Sequence[str]) -> str:
  return ", ".join(class_names[i] for i in np.flatnonzero(present)) or "none"

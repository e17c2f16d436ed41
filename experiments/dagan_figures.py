"""The figure of dagan.py: accuracies by the number of examples, and images."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision import report

_SHOWN = 8  # generated images of a class
_PIXELS = 28


def draw(
  accuracies: Mapping[str, Mapping[int, Sequence[float]]],
  real: np.ndarray,
  made: np.ndarray,
  path: pathlib.Path,
) -> None:
  """Draws the means with 95 % intervals, and some images of new classes.

  Args:
    accuracies: {method: {examples: by draw}}, in [0, 1].
    real: (n, h, w, 1) uint8, one image of each of some classes.
    made: (m, n, h, w, 1), images that DAGAN made of them, m at least 8.
    path: of the PNG.
  """
  from matplotlib import pyplot

  figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
  for method, by_count in accuracies.items():
    values = [100 * np.asarray(each) for each in by_count.values()]
    left.errorbar(
      range(len(values)),
      [each.mean() for each in values],
      [report.interval(each) for each in values],
      label=method,
      capsize=2,
      linestyle="--" if "shifts" in method else "-",
      color="C1" if "dagan" in method else "C0",
    )
  counts = next(iter(accuracies.values()))
  left.set_xticks(range(len(counts)), counts)
  left.set_xlabel("examples of each class")
  left.set_ylabel("test accuracy, %")
  left.legend()
  right.imshow(_sheet(real, made), cmap="gray", vmin=0, vmax=255)
  right.set_title("an example, and images that DAGAN made of it", fontsize=9)
  right.axis("off")
  figure.savefig(path, dpi=80, bbox_inches="tight")
  pyplot.close(figure)


def _sheet(real: np.ndarray, made: np.ndarray) -> np.ndarray:
  """A row for each class: the example, a gap, the generated images."""
  gap = np.full((real.shape[1], 6), 128)
  rows: list[Any] = []
  for i, example in enumerate(real[..., 0]):
    rows.append(np.hstack([example, gap, *made[:_SHOWN, i, :, :, 0]]))
  return np.vstack(rows).astype(np.uint8)

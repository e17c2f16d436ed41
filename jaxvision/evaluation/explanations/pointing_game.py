"""The pointing game: is the maximum of a heat map on the object?

Zhang, Lin, Brandt, Shen and Sclaroff 2016 (Top-down Neural Attention by
Excitation Backprop, arXiv 1608.00507), section 4.1. A map hits if its maximum
is in the region of the object, which is grown by a tolerance of 15 pixels:
boxes at each side, masks by a square of 31x31. The accuracy is that of each
class, and then the mean over the classes.
"""

from collections.abc import Sequence

import numpy as np

TOLERANCE = 15  # pixels

Box = tuple[int, int, int, int]


def of_boxes(boxes: Sequence[Box], shape: tuple[int, int]) -> np.ndarray:
  """The union of boxes as a region, (h, w) bool.

  Args:
    boxes: (top, left, bottom, right) in pixels; bottom and right are one past
      the last row and column.
    shape: (h, w).
  """
  region = np.zeros(shape, bool)
  for top, left, bottom, right in boxes:
    region[top:bottom, left:right] = True
  return region


def grown(regions: np.ndarray, *, tolerance: int = TOLERANCE) -> np.ndarray:
  """Regions (b, h, w) bool, grown by a square of 2 tolerance + 1 pixels."""
  from scipy import ndimage

  side = 2 * tolerance + 1
  largest = ndimage.maximum_filter(
    regions.astype(np.uint8), size=(1, side, side), mode="constant"
  )
  return largest > 0


def smoothed(maps: np.ndarray, *, share: float) -> np.ndarray:
  """Maps (b, h, w), smoothed by a Gaussian.

  Args:
    maps: raw.
    share: sigma, as a share of the longer side; 0.02 in the paper. 0 returns
      the maps.
  """
  from scipy import ndimage

  if not share:
    return maps
  sigma = share * max(maps.shape[1:])
  return ndimage.gaussian_filter(maps, (0, sigma, sigma))


def hits(maps: np.ndarray, regions: np.ndarray) -> np.ndarray:
  """Whether the maximum of each map is in its region, (b,) bool.

  Of equal maxima the first one counts, in the order of rows and columns.

  Args:
    maps: (b, h, w).
    regions: (b, h, w) bool, already grown.
  """
  best = np.asarray(maps).reshape(len(maps), -1).argmax(axis=1)
  return regions.reshape(len(maps), -1)[np.arange(len(maps)), best]


def accuracies(hit: np.ndarray, labels: np.ndarray) -> dict[int, float]:
  """The share of hits of each class, {label: share in [0, 1]}.

  Args:
    hit: (n,) bool, one for each class that is in an image.
    labels: (n,) int, these classes.
  """
  return {
    int(label): float(hit[labels == label].mean())
    for label in np.unique(labels)
  }

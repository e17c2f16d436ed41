"""Foregrounds inside boxes, by GrabCut (Rother, Kolmogorov and Blake 2004).

The settings are those of "Noise or Signal" (Xiao et al. 2020): 5 iterations,
and a foreground of less than a tenth of its box is a failure.
"""

import numpy as np

from jaxvision.data import decoding
from jaxvision.data.transforms.host import backgrounds

_ITERATIONS = 5
_SMALLEST = 0.1  # share of the box


def segment(
  image: np.ndarray, box: backgrounds.Box, *, seed: int
) -> np.ndarray:
  """The foreground inside a box, (h, w) bool.

  Args:
    image: (h, w, 3) uint8.
    box: inside the image, and not the whole of it.
    seed: of the clusters of colours, at least 0. It seeds OpenCV in this
      thread.

  Raises:
    UnreadableImage: GrabCut fails.
  """
  import cv2

  top, left, bottom, right = box
  place = (left, top, right - left, bottom - top)
  mask = np.zeros(image.shape[:2], np.uint8)
  models = (np.zeros((1, 65)), np.zeros((1, 65)))
  cv2.setRNGSeed(seed % 2**31)
  try:
    cv2.grabCut(
      image[..., ::-1].copy(),
      mask,
      place,
      *models,
      _ITERATIONS,
      cv2.GC_INIT_WITH_RECT,
    )
  except cv2.error as error:
    raise decoding.UnreadableImage(f"GrabCut failed: {error.err}") from error
  found = (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)
  share = found.sum() / backgrounds.area(box)
  if share < _SMALLEST:
    raise decoding.UnreadableImage(
      f"GrabCut found a foreground of {share:.1%} of the box; expected at "
      f"least {_SMALLEST:.0%}"
    )
  return found

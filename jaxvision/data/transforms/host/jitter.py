"""Random changes of brightness, contrast, saturation and hue together."""

from collections.abc import Callable
from typing import Annotated

import numpy as np

from jaxvision.data.transforms.host import color, enhancement
from jaxvision.lookup import ranges

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def random_color_jitter(
  *,
  brightness: ranges.Probability = 0.0,
  contrast: ranges.Probability = 0.0,
  saturation: ranges.Probability = 0.0,
  hue: Annotated[float, ranges.Range(0, 0.5)] = 0.0,
) -> Transform:
  """Changes each property by a random amount, in random order.

  The factors are uniform in [1 - x, 1 + x], as in the training of Inception
  (Howard 2013, section 2.2; Szegedy et al. 2015), in torchvision and in Bag of
  Tricks (x = 0.4). The order is drawn for each image.

  Args:
    brightness, contrast, saturation: x of the factors, in [0, 1].
    hue: the shift is uniform in [-hue, hue] of the full circle; at most 0.5.

  Raises:
    ValueError: all values are 0.
  """
  changes = [
    (make, center, reach)
    for make, center, reach in (
      (enhancement.brightness, 1, brightness),
      (enhancement.contrast, 1, contrast),
      (enhancement.saturation, 1, saturation),
      (color.hue, 0, hue),
    )
    if reach
  ]
  if not changes:
    raise ValueError(
      "random_color_jitter has no effect; set brightness, contrast, saturation "
      "or hue above 0"
    )

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    for i in rng.permutation(len(changes)):
      make, center, reach = changes[i]
      image = make(rng.uniform(center - reach, center + reach))(rng, image)
    return image

  return transform

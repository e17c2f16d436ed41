"""Transforms of one image on the host: (rng, image) -> image.

Images are (h, w, c) uint8, before and after. A transform never changes its
input, and draws from `rng` only if its name begins with "random_". In a config
a chain is written as ("random_resized_crop(224)", "random_flip").
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from jaxvision import call_syntax
from jaxvision.data.host_transforms import geometry

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]

TRANSFORMS: dict[str, Callable[..., Transform]] = {
  "center_crop": geometry.center_crop,
  "random_crop": geometry.random_crop,
  "random_flip": geometry.random_flip,
  "random_resized_crop": geometry.random_resized_crop,
  "resize": geometry.resize,
  "resize_small": geometry.resize_small,
}


@dataclasses.dataclass(frozen=True)
class HostTransform:
  """A chain of transforms, applied in order.

  Attributes:
    transforms: the parts.
    random: whether the result depends on `rng`.
  """

  transforms: tuple[Transform, ...]
  random: bool

  def __call__(
    self, rng: np.random.Generator | None, image: np.ndarray
  ) -> np.ndarray:
    """`rng` may be None for a chain that is not random."""
    for transform in self.transforms:
      image = transform(rng, image)
    return image


def make_host_transform(calls: Sequence[str]) -> HostTransform:
  """Makes a chain from its text.

  Args:
    calls: such as ("resize(256)", "center_crop(224)"); may be empty.

  Raises:
    ValueError: an unknown transform, or arguments that it does not take.
  """
  made = [
    call_syntax.call(text, functions=TRANSFORMS, kind="host transform")
    for text in calls
  ]
  return HostTransform(
    transforms=tuple(made),
    random=any(text.strip().startswith("random_") for text in calls),
  )

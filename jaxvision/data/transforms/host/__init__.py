"""Transforms of one image on the host: (rng, image) -> image.

Images are (h, w, c) uint8, before and after. A transform never changes its
input. It draws from `rng` only if its name begins with "random_". In a config,
a chain is written as ("random_resized_crop(224)", "random_flip"). A
user-defined transform is written as "my_aug.py:random_shift(pixels=4)": a
function that takes the options and returns the transform.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from jaxvision import lookup, user_code
from jaxvision.data.decoding import resizing
from jaxvision.data.transforms.host import (
  affine,
  autoaugment,
  blur,
  color,
  enhancement,
  erasing,
  geometry,
  jitter,
  noise,
  padding,
  policies,
  tone,
)
from jaxvision.lookup import ranges

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def random_apply(call: str, *, p: ranges.Probability) -> Transform:
  """Applies another transform with probability `p`.

  Args:
    call: the other transform as text: "random_apply('solarize(128)', p=0.2)".
    p: in [0, 1].
  """
  other = make_host_transform((call,))
  return lambda rng, image: other(rng, image) if rng.random() < p else image


TRANSFORMS: dict[str, Callable[..., Transform]] = {
  # Geometry.
  "center_crop": geometry.center_crop,
  "random_crop": geometry.random_crop,
  "random_flip": geometry.random_flip,
  "random_resized_crop": geometry.random_resized_crop,
  "resize": geometry.resize,
  "resize_small": geometry.resize_small,
  "pad": padding.pad,
  "random_rotation": affine.random_rotation,
  "random_translation": affine.random_translation,
  "rotate": affine.rotate,
  "shear": affine.shear,
  "translate": affine.translate,
  # Values and colours.
  "auto_contrast": tone.auto_contrast,
  "brightness": enhancement.brightness,
  "contrast": enhancement.contrast,
  "equalize": tone.equalize,
  "grayscale": color.grayscale,
  "hue": color.hue,
  "invert": tone.invert,
  "posterize": tone.posterize,
  "random_color_jitter": jitter.random_color_jitter,
  "random_lighting": color.random_lighting,
  "saturation": enhancement.saturation,
  "solarize": tone.solarize,
  "solarize_add": tone.solarize_add,
  # Sharpness, noise, holes.
  "gaussian_blur": blur.gaussian_blur,
  "random_cutout": erasing.random_cutout,
  "random_gaussian_blur": blur.random_gaussian_blur,
  "random_gaussian_noise": noise.random_gaussian_noise,
  "random_salt_and_pepper": noise.random_salt_and_pepper,
  "sharpness": enhancement.sharpness,
  # Policies.
  "random_3augment": policies.random_3augment,
  "random_apply": random_apply,
  "random_autoaugment": autoaugment.random_autoaugment,
  "random_randaugment": policies.random_randaugment,
  "random_trivialaugment": policies.random_trivialaugment,
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

  @property
  def head(self) -> resizing.Resampling | None:
    """The first part, if a decoder can use it: see decoding/image.py."""
    first = self.transforms[0] if self.transforms else None
    return first if isinstance(first, resizing.Resampling) else None

  @property
  def tail(self) -> "HostTransform":
    """All but the first part."""
    return dataclasses.replace(self, transforms=self.transforms[1:])


def make_host_transform(calls: Sequence[str]) -> HostTransform:
  """Makes a chain from text.

  Args:
    calls: such as ("resize(256)", "center_crop(224)"); may be empty.

  Raises:
    ValueError: an unknown transform, or invalid arguments.
  """
  return HostTransform(
    transforms=tuple(map(_make, calls)),
    random=any(user_code.name_of(text).startswith("random_") for text in calls),
  )


def _make(text: str) -> Transform:
  made = lookup.call(text, functions=TRANSFORMS, kind="host transform")
  if not user_code.is_own(text):
    return made
  name = user_code.as_written(text)
  if not callable(made):
    raise ValueError(
      f"host transform {name} returned {type(made).__name__}; expected a "
      "function (rng, image) -> image"
    )
  return functools.partial(_apply_own, made, name)


def _apply_own(
  transform: Transform,
  name: str,
  rng: np.random.Generator | None,
  image: np.ndarray,
) -> np.ndarray:
  """Applies a user-defined transform and checks that the result is an image."""
  made = transform(rng, image)
  is_image = isinstance(made, np.ndarray) and made.dtype == np.uint8
  if not is_image or made.ndim != 3:
    found = f"{getattr(made, 'dtype', type(made).__name__)}"
    raise TypeError(
      f"host transform {name} made {found}{getattr(made, 'shape', '')} of "
      f"uint8{image.shape}; expected a uint8 array (h, w, c): round, clip to "
      "0..255 and convert the result"
    )
  return made

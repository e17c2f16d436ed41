"""Transforms of one image on the host: (rng, image) -> image.

Images are (h, w, c) uint8, before and after. A transform never changes its
input. It draws from `rng` only if its name begins with "random_". In a config,
a chain is written as ("random_resized_crop(224)", "random_flip"). A
user-defined transform is written as "my_aug.py:random_shift(pixels=4)": a
function that takes the options and returns the transform.

A mask moves with its image: with the same random numbers, by the nearest pixel,
and pixels from outside of the image are 0. Transforms of values leave it as it
is, also those that erase. A transform that is an object may move masks itself:
`move_mask(rng, mask) -> mask`, masks (h, w, 1) uint8. User-defined transforms
must do so.

A transform of backgrounds.py, such as "only_fg", reads the mask of its image,
the field "segmentation_mask" of the data. It gets the mask as the transforms
before it have moved it.
"""

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence

import numpy as np

from jaxvision import lookup, user_code
from jaxvision.data.decoding import resizing
from jaxvision.data.transforms.host import (
  affine,
  autoaugment,
  backgrounds,
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

__all__ = [
  "GEOMETRY",
  "TRANSFORMS",
  "VALUES",
  "HostTransform",
  "backgrounds",
  "make_host_transform",
  "random_apply",
]

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def random_apply(call: str, *, p: ranges.Probability) -> Transform:
  """Applies another transform with probability `p`.

  Args:
    call: the other transform as text: "random_apply('solarize(128)', p=0.2)".
    p: in [0, 1].
  """
  other = make_host_transform((call,))
  if other.needs_mask:
    changed = other.transforms[0].with_mask
    return backgrounds.Masked(
      lambda rng, *both: changed(rng, *both) if rng.random() < p else both[0]
    )
  return lambda rng, image: other(rng, image) if rng.random() < p else image


# They move pixels.
GEOMETRY: dict[str, Callable[..., Transform]] = {
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
}
# They change pixels, but do not move them.
VALUES: dict[str, Callable[..., Transform]] = {
  # Colours.
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
  "random_3augment": policies.random_3augment,
  # Foregrounds and backgrounds, by the mask.
  "no_fg": backgrounds.no_fg,
  "only_bg_b": backgrounds.only_bg_b,
  "only_bg_t": backgrounds.only_bg_t,
  "only_fg": backgrounds.only_fg,
}
TRANSFORMS: dict[str, Callable[..., Transform]] = {
  **GEOMETRY,
  **VALUES,
  # They apply some of the others.
  "random_apply": random_apply,
  "random_autoaugment": autoaugment.random_autoaugment,
  "random_randaugment": policies.random_randaugment,
  "random_trivialaugment": policies.random_trivialaugment,
}
# Options of the transforms of masks: values are not blended.
_OF_MASKS = {"method": "nearest", "fill": 0}


@dataclasses.dataclass(frozen=True)
class HostTransform:
  """A chain of transforms, applied in order.

  Attributes:
    transforms: the parts.
    random: whether the result depends on `rng`.
    calls: the parts as text.
    moves: of each part the transform of a mask; empty until `with_moves`.
  """

  transforms: tuple[Transform, ...]
  random: bool
  calls: tuple[str, ...] = ()
  moves: tuple[Transform, ...] = ()

  def __call__(
    self, rng: np.random.Generator | None, image: np.ndarray
  ) -> np.ndarray:
    """`rng` may be None for a chain that is not random."""
    for transform in self.transforms:
      image = transform(rng, image)
    return image

  def with_moves(self) -> "HostTransform":
    """The same chain, which can move masks.

    Raises:
      ValueError: a part cannot move a mask.
    """
    return dataclasses.replace(self, moves=tuple(map(_make_move, self.calls)))

  def together(
    self,
    rng: np.random.Generator | None,
    image: np.ndarray,
    masks: Sequence[np.ndarray],
  ) -> tuple[np.ndarray, list[np.ndarray]]:
    """Applies the chain to an image and moves its masks, (h, w, 1) uint8.

    If a part needs a mask, it gets the first one.
    """
    masks = list(masks)
    for transform, move in zip(self.transforms, self.moves, strict=True):
      before = copy.deepcopy(rng)
      if isinstance(transform, backgrounds.Masked):
        image = transform.with_mask(rng, image, masks[0])
      else:
        image = transform(rng, image)
      masks = [move(copy.deepcopy(before), mask) for mask in masks]
    return image, masks

  @property
  def needs_mask(self) -> bool:
    """Whether a part needs the mask of the image."""
    return any(isinstance(t, backgrounds.Masked) for t in self.transforms)

  @property
  def head(self) -> resizing.Resampling | None:
    """The first part, if a decoder can use it: see decoding/image.py."""
    first = self.transforms[0] if self.transforms else None
    return first if isinstance(first, resizing.Resampling) else None

  @functools.cached_property
  def tail(self) -> "HostTransform":
    """All but the first part."""
    return dataclasses.replace(
      self,
      transforms=self.transforms[1:],
      calls=self.calls[1:],
      moves=self.moves[1:],
    )


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
    calls=tuple(calls),
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


def _make_move(text: str) -> Transform:
  """Makes the transform of a mask from the transform of its image."""
  if not user_code.is_own(text):
    name = user_code.name_of(text)
    if name in VALUES:
      return lambda rng, mask: mask
    if name in _MOVES:
      return lookup.call(text, functions=_MOVES, kind="host transform")
  made = lookup.call(text, functions=TRANSFORMS, kind="host transform")
  name = user_code.as_written(text)
  if not callable(getattr(made, "move_mask", None)):
    raise ValueError(
      f"host transform {name} cannot move a mask with its image; give the "
      "transform that it returns an attribute move_mask, a function (rng, mask "
      "(h, w, 1) uint8) -> mask, or remove it from the transforms"
    )
  return functools.partial(_apply_own, made.move_mask, name)


def _of_masks(make: Callable[..., Transform]) -> Callable[..., Transform]:
  """The function of a transform, with the options of masks."""
  known = inspect.signature(make).parameters
  fixed = {name: value for name, value in _OF_MASKS.items() if name in known}

  @functools.wraps(make)
  def made(*arguments, **options) -> Transform:
    return make(*arguments, **{**options, **fixed})

  return made


@functools.wraps(random_apply)
def _random_move(call: str, *, p: float) -> Transform:
  move = _make_move(call)
  return lambda rng, mask: move(rng, mask) if rng.random() < p else mask


_MOVES = {
  **{name: _of_masks(make) for name, make in GEOMETRY.items()},
  "random_apply": _random_move,
}

"""Pictures as backgrounds of cut-outs, which may depend on the class.

A network that is trained on such scenes can learn the backgrounds instead of
the objects.
"""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from jaxvision.data import decoding
from jaxvision.data.decoding import image_files, resizing, unreadable
from jaxvision.data.formats import refusal
from jaxvision.data.preparation import candidates
from jaxvision.data.transforms import host

_CROP = 0.5  # of the shorter side of a picture
_CHANNELS = 3


@dataclasses.dataclass(frozen=True)
class Pictures:
  """The pictures that are the backgrounds of each class.

  Attributes:
    paths: of the pictures of each class, in the order of the labels.
    correlation: in [0, 1], the share of the images that get a picture of their
      own class. The others get one of a uniformly random class.
    scale: in (0, 1], the side of the cropped image relative to the scene. Below
      1 the image is at a random position of the scene.
  """

  paths: tuple[tuple[pathlib.Path, ...], ...]
  correlation: float = 1.0
  scale: float = 1.0


def assign(
  folder: str | os.PathLike,
  class_names: Sequence[str],
  *,
  correlation: float = 1.0,
  scale: float = 1.0,
) -> Pictures:
  """Assigns the pictures of a folder to classes.

  If the folder has a folder for each class, its pictures belong to this class.
  Otherwise the pictures, sorted by their paths, belong to the classes in turn.

  Raises:
    FileNotFoundError: there is no folder, or no picture in it.
    ValueError: there are fewer pictures than classes, some classes only have a
      folder, or the correlation or the scale is out of range.
  """
  if not 0 <= correlation <= 1:
    raise ValueError(f"correlation is {correlation}; it must be in [0, 1]")
  if not 0 < scale <= 1:
    raise ValueError(f"scale is {scale}; it must be in (0, 1]")
  folder = pathlib.Path(folder)
  if not folder.is_dir():
    raise FileNotFoundError(f"no folder of pictures {folder}")
  missing = [each for each in class_names if not (folder / each).is_dir()]
  if not missing:
    found = [image_files.list_images([folder / each]) for each in class_names]
    return Pictures(tuple(map(tuple, found)), correlation, scale)
  if len(missing) < len(class_names):
    raise ValueError(
      f"{folder} has folders of pictures for some classes, but none for "
      f"{', '.join(missing)}; add them, or put all pictures into one folder"
    )
  paths = image_files.list_images([folder])
  count = len(class_names)
  if len(paths) < count:
    raise ValueError(
      f"{folder} has {len(paths)} pictures for {count} classes; give at least "
      "one for each class"
    )
  shares = tuple(tuple(paths[label::count]) for label in range(count))
  return Pictures(shares, correlation, scale)


def compose(
  found: candidates.Candidate,
  pictures: Pictures,
  label: int,
  *,
  size: int,
  rng: np.random.Generator,
) -> candidates.Candidate:
  """Pastes the foreground of an image over a picture.

  Args:
    found: the image, of at most `size` pixels a side.
    pictures: the backgrounds.
    label: class of the image.
    size: side of the scene.
    rng: draws the background, and then the position of the image.

  Raises:
    ValueError: as `draw`.
  """
  background = draw(pictures, label, size=size, rng=rng)
  side = len(found.image)
  top, left = rng.integers(size - side + 1, size=2).tolist()
  place = (top, left, top + side, left + side)
  image = np.zeros((size, size, _CHANNELS), np.uint8)
  foreground = np.zeros((size, size), bool)
  host.backgrounds.part(image, place)[...] = found.image
  host.backgrounds.part(foreground, place)[...] = found.foreground
  return candidates.Candidate(
    host.backgrounds.paste(image, foreground, background),
    foreground,
    tuple(n + s for n, s in zip(found.box, (top, left) * 2, strict=True)),
  )


def draw(
  pictures: Pictures, label: int, *, size: int, rng: np.random.Generator
) -> np.ndarray:
  """A background for an image of a class, (size, size, 3) uint8.

  It is a square at a random position of a picture. Its side is half of the
  shorter side of the picture.

  Raises:
    ValueError: the picture cannot be decoded.
  """
  if rng.random() >= pictures.correlation:
    label = int(rng.integers(len(pictures.paths)))
  paths = pictures.paths[label]
  path = paths[int(rng.integers(len(paths)))]
  with refusal.naming(f"no picture in {path}", remedy="remove this file"):
    picture = decoding.read_image(
      path, channels=_CHANNELS, max_pixels=unreadable.MAX_PIXELS
    )
  side = max(1, int(min(picture.shape[:2]) * _CROP))
  top, left = (
    int(rng.integers(length - side + 1)) for length in picture.shape[:2]
  )
  square = picture[top : top + side, left : left + side]
  return resizing.make_resizer("bilinear_antialiased")(square, size, size)

"""Images whose foreground and background can be told apart.

The rules are those of "Noise or Signal" (Xiao et al. 2020, appendix A). An
image is taken if it has a mask or exactly one box, if at most half of the box
is lost by the crop, if the box is at most 90 % of the crop, and, for a box, if
GrabCut finds a foreground. Every other image has a reason why it is left out.

An image is reduced or enlarged so that its shorter side has the wanted number
of pixels. The square in its centre is kept.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxvision.data import dataset, decoding
from jaxvision.data.decoding import unreadable
from jaxvision.data.formats import box_files
from jaxvision.data.preparation import grabcut
from jaxvision.data.transforms import host

Box = host.backgrounds.Box
Boxes = Mapping[str, Sequence[Box]]  # as `box_files.read` returns them

MASK = "segmentation_mask"
_FILE_NAME = "file_name"
_LARGEST_LOSS = 0.5  # share of the box
_LARGEST_BOX = 0.9  # share of the crop
_CHANNELS = 3


@dataclasses.dataclass(frozen=True)
class Candidate:
  """A cropped image with its foreground.

  Attributes:
    image: (s, s, 3) uint8.
    foreground: (s, s) bool.
    box: around the foreground; the stated box, if there is one.
  """

  image: np.ndarray
  foreground: np.ndarray
  box: Box


@dataclasses.dataclass(frozen=True)
class ForegroundRules:
  """How images are cropped, and how their foreground is found.

  Attributes:
    size: side of the crop in pixels.
    least, most: range of the values of masks that are the foreground.
    boxes: of the images; None takes the box around the mask. GrabCut finds the
      foreground in the box of an image without mask.
    seed: of GrabCut.
  """

  size: int = 224
  least: int = host.backgrounds.LEAST
  most: int = host.backgrounds.MOST
  boxes: Boxes | None = None
  seed: int = 0


def make_reader(
  split: dataset.Dataset, rules: ForegroundRules
) -> Callable[[int], Candidate]:
  """Makes read(index) -> the candidate of an example.

  `read` raises UnreadableImage with the reason if the image is left out. The
  size of the box is checked by `check_box`.

  Raises:
    ValueError: the data have neither masks nor boxes, the values of masks are
      no range or have no effect, or it is not clear to
      which image a box belongs. `read` raises it for images that have neither 1
      nor 3 channels.
  """
  host.backgrounds.check_range(rules.least, rules.most)
  masks = split.fields().get(MASK)
  if rules.boxes is None and masks is None:
    raise ValueError(
      f"{split.name} ({split.split}) has no field {MASK!r}; use data with "
      "masks (docs/data.md says how), or give a file of boxes"
    )
  usual = ForegroundRules()
  if masks is None and (rules.least, rules.most) != (usual.least, usual.most):
    raise ValueError(
      f"{split.name} ({split.split}) has no field {MASK!r}, so the values "
      f"{rules.least} to {rules.most} of masks have no effect; remove least "
      "and most (--foreground)"
    )
  names = original_names(split) if rules.boxes is not None else ()
  boxes = boxes_of(split, rules.boxes) if rules.boxes is not None else ()

  def read(index: int) -> Candidate:
    try:
      ((image, _),) = split.read([index])
      image, foreground = _decoded(image), None
      if masks is not None:
        (mask,) = masks.read([index])
        foreground = _of_mask(decoding.as_mask(mask), image.shape[:2], rules)
    except (OSError, MemoryError) as error:
      raise unreadable.from_failure(error) from error
    if rules.boxes is None:
      return _candidate(image, foreground, None, rules.size)
    box = _only_box(boxes[index], image.shape[:2])
    if foreground is None:
      seed = _seed(names[index], rules.seed)
      foreground = grabcut.segment(image, box, seed=seed)
    return _candidate(image, foreground, box, rules.size)

  return read


def original_names(split: dataset.Dataset) -> list[str]:
  """The file name of each example without folder and ending."""
  return [pathlib.PurePath(path).stem for path in _original_paths(split)]


def boxes_of(split: dataset.Dataset, boxes: Boxes) -> list[Sequence[Box]]:
  """The boxes of each example; none for an image without boxes.

  Raises:
    ValueError: as `box_files.of_images`.
  """
  return box_files.of_images(boxes, _original_paths(split))


def _original_paths(split: dataset.Dataset) -> Sequence[str]:
  fields, indices = split.fields(), range(split.num_examples)
  if _FILE_NAME in fields:
    return fields[_FILE_NAME].read(indices)
  return split.ids(indices)


def _decoded(image: bytes | np.ndarray) -> np.ndarray:
  """(h, w, 3) uint8."""
  if isinstance(image, bytes):
    return decoding.decode(image, channels=_CHANNELS)
  if image.shape[2] not in (1, _CHANNELS):
    raise ValueError(
      f"an image has {image.shape[2]} channels; expected 1 or {_CHANNELS}"
    )
  return np.broadcast_to(image, (*image.shape[:2], _CHANNELS))


def _of_mask(
  mask: np.ndarray, shape: tuple[int, int], rules: ForegroundRules
) -> np.ndarray:
  """The foreground of a mask, (h, w) bool."""
  if mask.shape[:2] != shape:
    raise decoding.UnreadableImage(
      f"the mask has {mask.shape[0]}x{mask.shape[1]} pixels, and the image "
      f"{shape[0]}x{shape[1]}"
    )
  return host.backgrounds.foreground_of(
    mask.reshape(*shape, 1), least=rules.least, most=rules.most
  )


def _only_box(boxes: Sequence[Box], shape: tuple[int, int]) -> Box:
  """The only box of an image, which is inside it and not the whole of it."""
  if len(boxes) != 1:
    raise decoding.UnreadableImage(f"{len(boxes)} boxes; expected one")
  (box,) = boxes
  if box[2] > shape[0] or box[3] > shape[1]:
    raise decoding.UnreadableImage(
      f"the box {box} is not inside the image of {shape[0]}x{shape[1]} pixels"
    )
  host.backgrounds.largest_strip(shape, box)
  return box


def _candidate(
  image: np.ndarray, foreground: np.ndarray, box: Box | None, size: int
) -> Candidate:
  """The crops of an image and of its foreground; None takes the tight box."""
  _check_crop(image.shape[:2], box or host.backgrounds.box_of(foreground))
  inside = foreground
  if box:
    inside = np.zeros_like(foreground)
    host.backgrounds.part(inside, box)[...] = True
  _, inside = _cropped(image, inside, size)
  image, foreground = _cropped(image, foreground, size)
  return Candidate(image, foreground, host.backgrounds.box_of(inside))


def _seed(name: str, seed: int) -> int:
  """A number of a file and a seed."""
  # The names of files may have bytes that are not UTF-8.
  key = f"{seed}/{name}".encode("utf-8", "surrogateescape")
  digest = hashlib.blake2b(key, digest_size=4).digest()
  return int.from_bytes(digest, "big")


def _check_crop(shape: tuple[int, int], box: Box) -> None:
  """Raises UnreadableImage if the crop loses too much of a box."""
  side = min(shape)
  lengths = []
  for length, start, end in zip(shape, box[:2], box[2:], strict=True):
    first = (length - side) / 2
    lengths.append(max(0.0, min(end, first + side) - max(start, first)))
  lost = 1 - lengths[0] * lengths[1] / host.backgrounds.area(box)
  if lost > _LARGEST_LOSS:
    raise decoding.UnreadableImage(
      f"{lost:.0%} of the box is outside of the crop; expected at most "
      f"{_LARGEST_LOSS:.0%}"
    )


def _cropped(
  image: np.ndarray, area: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
  """The crops of an image and of an area (h, w) bool of it."""
  mask = np.where(area, 255, 0).astype(np.uint8)[..., None]
  image, (mask,) = _crop(size).together(None, image, [mask])
  if not mask.any():
    raise decoding.UnreadableImage(
      f"the crop of {size}x{size} pixels has no pixel of the foreground, which "
      f"has {area.sum()} pixels before; use a larger size"
    )
  return image, mask[..., 0] != 0


@functools.cache
def _crop(size: int) -> host.HostTransform:
  resize = f"resize_small({size}, method='bilinear_antialiased')"
  calls = (resize, f"center_crop({size})")
  return host.make_host_transform(calls).with_moves()


def check_box(found: Candidate) -> None:
  """Raises UnreadableImage if the box leaves too little background."""
  share = host.backgrounds.area(found.box) / found.foreground.size
  if share > _LARGEST_BOX:
    raise decoding.UnreadableImage(
      f"the box is {share:.1%} of the crop; expected at most {_LARGEST_BOX:.0%}"
    )

"""Fields of images in memory: arrays of masks, captions and numbers."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from jaxvision.data import dataset

# name -> kind, and one value per image
Given = Mapping[str, tuple[str, np.ndarray]]


def check(
  images: np.ndarray,
  masks: np.ndarray | None,
  captions: Sequence[str] | np.ndarray | None,
  *,
  generated: np.ndarray | None = None,
  where: str,
) -> Given:
  """The fields of images.

  Args:
    images: (n, h, w, c).
    masks: (n, h, w) or (n, h, w, 1) uint8 or bool, the field
      "segmentation_mask"; None without it.
    captions: n texts, the field "caption"; None without it.
    generated: (n,) of 0 and 1, the field "generated": whether a network made
      the image; None without it.
    where: for messages.

  Raises:
    ValueError: arrays of other shapes or types.
  """
  given = {}
  if masks is not None:
    given["segmentation_mask"] = "mask", _masks(masks, images, where)
  if captions is not None:
    given["caption"] = "text", _captions(captions, images, where)
  if generated is not None:
    given["generated"] = "array", _flags(generated, images, where)
  return given


def make(given: Given, order: np.ndarray) -> dict[str, dataset.Field]:
  """The fields of examples, each of which is the image `order[index]`."""
  return {
    name: dataset.Field(kind, functools.partial(_read, values, order))
    for name, (kind, values) in given.items()
  }


def _read(
  values: np.ndarray, order: np.ndarray, indices: Sequence[int]
) -> list[np.ndarray] | list[str]:
  found = values[order[np.asarray(indices, np.int64)]]
  return found.tolist() if found.ndim == 1 else list(found)


def _masks(masks: np.ndarray, images: np.ndarray, where: str) -> np.ndarray:
  """(n, h, w, 1) uint8."""
  found = np.asarray(masks)
  found = found[..., None] if found.ndim == 3 else found
  found = found.astype(np.uint8) if found.dtype == np.bool_ else found
  expected = (*images.shape[:3], 1)
  if found.shape != expected or found.dtype != np.uint8:
    raise ValueError(
      f"{where}: segmentation masks are {found.dtype}{list(np.shape(masks))}; "
      f"expected uint8{list(expected)}, one for each image and of its size"
    )
  return found


def _captions(
  captions: Sequence[str] | np.ndarray, images: np.ndarray, where: str
) -> np.ndarray:
  """(n,) texts."""
  found = np.asarray(captions)
  if found.shape != (len(images),) or found.dtype.kind not in "UT":
    raise ValueError(
      f"{where}: captions are {found.dtype}{list(found.shape)}; expected one "
      f"text for each of the {len(images)} images"
    )
  return found


def _flags(generated: np.ndarray, images: np.ndarray, where: str) -> np.ndarray:
  """(n,) float32 of 0 and 1."""
  found = np.asarray(generated)
  if found.shape != (len(images),) or not np.isin(found, (0, 1)).all():
    raise ValueError(
      f"{where}: generated is {found.dtype}{list(found.shape)}; expected 0 or "
      f"1 for each of the {len(images)} images"
    )
  return found.astype(np.float32)

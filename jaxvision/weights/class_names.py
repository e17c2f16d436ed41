"""Class names of published weights, in the order of the logits.

A file of names has one name per line.
"""

import os
import pathlib
import re
from collections.abc import Sequence

from jaxvision.downloads import fetch

# The pre-training classes of BiT, ViT and Mixer.
IMAGENET_21K_CLASSES = 21_843
IMAGENET_21K = "gs://bit_models/imagenet21k_wordnet_lemmas.txt"

_WORDNET_ID = re.compile(r"n\d{8}")


def imagenet_1k() -> tuple[str, ...]:
  """Returns the 1000 names of ILSVRC-2012, sorted by WordNet id.

  The names are torchvision's: the first lemma of each class, extended if two
  classes share it ("crane bird" and "crane").
  """
  return read(pathlib.Path(__file__).with_name("imagenet_1k.txt"))


def imagenet_21k() -> tuple[str, ...]:
  """Returns the 21,843 names of ImageNet-21k in the order of Google's weights.

  They are not part of the package: the first call downloads 0.5 MB.

  Raises:
    FileNotFoundError, ConnectionError: as `fetch.local_path`.
  """
  return read(fetch.local_path(IMAGENET_21K))


def readable(names: Sequence[str]) -> tuple[str, ...]:
  """Replaces the WordNet ids of the ILSVRC-2012 classes by names.

  Other names are returned unchanged.

  Args:
    names: class names of a data set ("n01440764").
  """
  known = imagenet_1k()
  are_ids = all(_WORDNET_ID.fullmatch(name) for name in names)
  if len(names) != len(known) or not are_ids or list(names) != sorted(names):
    return tuple(names)
  return known


def read(path: str | os.PathLike[str]) -> tuple[str, ...]:
  """Returns the lines of a file of names, without empty lines at its end.

  Raises:
    ValueError: the file is not UTF-8, or has an empty line between names.
  """
  try:
    text = pathlib.Path(path).read_text("utf-8-sig")
  except UnicodeDecodeError as error:
    raise ValueError(f"{path} is not UTF-8 text: {error}") from error
  names = tuple(line.strip() for line in text.rstrip().split("\n"))
  if "" in names:
    raise ValueError(
      f"{path}: line {names.index('') + 1} is empty, which would shift the "
      "next names; give one class name per line"
    )
  return names

"""Captions as arrays: the identifiers of their words, and their text in bytes.

An image has one or more captions: the lines of its field "caption". The loss
uses identifiers, (captions, length) int32. The metrics compare texts, with all
captions and with words that the vocabulary lacks: (size,) uint8, UTF-8 after
which there are zeros.
"""

import collections
import logging
from collections.abc import Iterable, Sequence

import numpy as np

from jaxvision import data
from jaxvision.tasks.captioning import vocabularies

_LOGGER = logging.getLogger(__name__)


def lines(text: str) -> list[str]:
  """The captions of an image.

  Raises:
    ValueError: there is none.
  """
  found = [line.strip() for line in text.splitlines()]
  found = [line for line in found if vocabularies.split(line)]
  if not found:
    raise ValueError(
      f"the caption {text!r} has no word; write a caption for the image, or "
      "remove the image from the data"
    )
  return found


def encode(
  words: vocabularies.Vocabulary, text: str, *, captions: int, length: int
) -> np.ndarray:
  """The identifiers of the first captions of an image.

  The end of a text is kept if the text is cut.

  Args:
    words: the vocabulary.
    text: one caption per line.
    captions: number of captions.
    length: number of identifiers of a caption, with its end.

  Returns:
    (captions, length) int32; 0 for padding, and for captions that are missing.

  Raises:
    ValueError: there is no caption.
  """
  found = np.zeros((captions, length), np.int32)
  for row, line in zip(found, lines(text), strict=False):
    numbers = [*words.encode(line)[: length - 1], words.end]
    row[: len(numbers)] = numbers
  return found


def encode_labels(
  words: vocabularies.Vocabulary, labels: Sequence[str], *, length: int
) -> np.ndarray:
  """The identifiers of texts that are compared, (k, length) int32.

  Raises:
    ValueError: a label has no word or an unknown one, is too long, or has the
      words of another label.
  """
  numbers = [tuple(words.encode(each)) for each in labels]
  counts = collections.Counter(numbers)
  faults = {
    "without a word": lambda found: not found,
    "with a word that is not in the vocabulary": lambda found: (
      words.unknown in found
    ),
    f"longer than task.options.length={length} with the end": lambda found: (
      len(found) >= length
    ),
    "with the words of another one": lambda found: (
      found and words.unknown not in found and counts[found] > 1
    ),
  }
  problems = []
  for fault, is_at_fault in faults.items():
    found = [
      label
      for label, each in zip(labels, numbers, strict=True)
      if is_at_fault(each)
    ]
    if found:
      problems.append(f"{fault}: {', '.join(map(repr, found))}")
  if problems:
    raise ValueError(
      f"labels {'; '.join(problems)}; write each label in other words of the "
      "training captions, or leave it out"
    )
  encoded = np.zeros((len(labels), length), np.int32)
  for row, each in zip(encoded, numbers, strict=True):
    row[: len(each) + 1] = [*each, words.end]
  return encoded


def to_bytes(text: str, *, size: int) -> np.ndarray:
  """All captions of an image in UTF-8, (size,) uint8.

  Raises:
    ValueError: they are longer.
  """
  content = "\n".join(lines(text)).encode()
  if len(content) > size:
    raise ValueError(
      f"the captions of an image have {len(content)} bytes, but "
      f"task.options.text_bytes is {size}; increase it"
    )
  return np.frombuffer(content.ljust(size, b"\0"), np.uint8)


def from_bytes(content: np.ndarray) -> list[str]:
  """The captions of one row of `to_bytes`; none for a padded row."""
  text = np.asarray(content, np.uint8).tobytes().rstrip(b"\0")
  return text.decode(errors="replace").splitlines()


def read(dataset: data.Dataset, *, size: int) -> list[list[str]]:
  """The captions of each image of a split.

  Args:
    dataset: the split.
    size: of all captions of an image, see `to_bytes`.

  Raises:
    ValueError: the data have no captions, or an image has none or too long
      ones.
  """
  found = []
  for number, text in enumerate(data.read_texts(dataset, "caption")):
    try:
      found.append(from_bytes(to_bytes(text, size=size)))
    except ValueError as error:
      (name,) = dataset.ids([number])
      raise ValueError(f"{name}: {error}") from error
  return found


def report(
  words: vocabularies.Vocabulary,
  read: Sequence[Iterable[str]],
  *,
  captions: int,
  length: int,
) -> None:
  """Logs the vocabulary, and what is cut from the training captions.

  Args:
    words: the vocabulary.
    read: the captions of each image.
    captions, length: as in `encode`.
  """
  every = [caption for each in read for caption in each]
  _LOGGER.info(
    "%d captions of %d images; the vocabulary has %d entries and contains "
    "%.2f %% of the words of the captions",
    len(every),
    len(read),
    words.size,
    100 * vocabularies.known_share(words, every),
  )
  long = sum(len(words.encode(each)) >= length for each in every)
  if long:
    _LOGGER.warning(
      "%d of %d training captions are longer than task.options.length=%d, "
      "which counts the end; the rest of their words is cut",
      *(long, len(every), length),
    )
  most = max(map(len, read))
  if most > captions:
    _LOGGER.warning(
      "an image has up to %d captions, and the training uses the first %d: "
      "task.options.captions=%d uses all",
      *(most, captions, most),
    )

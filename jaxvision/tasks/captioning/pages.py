"""The pages of a report about captions: pictures, captions and attention."""

import zlib
from collections.abc import Sequence

import numpy as np

from jaxvision import metrics
from jaxvision.runs import pages
from jaxvision.tasks.captioning import caption_arrays, measures, vocabularies
from jaxvision.tasks.contract import Artifacts, Batch

_ATTENDED = 6  # images whose attention is shown
_SIDE = 96  # pixels, at least, of a picture with attention
_LOG_P, _TOKENS = 1, 2  # columns of the outputs, after the identifier


def rank(outputs: np.ndarray, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
  """Scores that choose a random sample of the split, always the same."""
  scores = [zlib.crc32(image.tobytes()) for image in batch["image"]]
  return np.asarray(scores, float), outputs


def artifacts(
  words: vocabularies.Vocabulary,
  grid: tuple[int, int] | None,
  evaluation: metrics.Evaluation,
  ids: Sequence[str],
) -> Artifacts:
  """All captions of the split, a sample of pictures, and their attention.

  Args:
    words: the vocabulary.
    grid: (rows, columns) of the image's tokens; None without a map.
    evaluation: of the split.
    ids: of its examples.
  """
  sums, examples = measures.joined(evaluation.sums), evaluation.examples
  rows = np.flatnonzero(sums["mask"])
  generated = [words.decode(each) for each in sums["generated"][rows].tolist()]
  arrays = {
    "captions": np.asarray(generated, np.str_),
    "positions": rows,
  }
  if not examples:
    return Artifacts(arrays=arrays)
  found = [_sample(words, examples, sums["references"], ids)]
  if grid is not None:
    found.append(_attention(words, grid, examples[:_ATTENDED]))
  return Artifacts(arrays=arrays, pages=found)


def _sample(
  words: vocabularies.Vocabulary,
  examples: Sequence[metrics.Example],
  references: np.ndarray,
  ids: Sequence[str],
) -> pages.Page:
  texts = []
  for each, name in zip(examples, ids, strict=True):
    generated = words.decode(each.answer[:, 0].astype(int).tolist())
    texts_of_image = caption_arrays.from_bytes(references[each.position])
    mark = "✓" if measures.is_exact(generated, texts_of_image) else "✗"
    listed = "\n".join(f"reference: {line}" for line in texts_of_image)
    texts.append(f"{mark} {generated}\n{listed}\n{name}")
  return pages.Page(
    title="Captions",
    note="A random sample of the split. ✓ marks a caption that equals a "
    "reference, word by word. ✗ marks all other captions.",
    images=np.stack([each.image for each in examples]),
    captions=texts,
  )


def _attention(
  words: vocabularies.Vocabulary,
  grid: tuple[int, int],
  examples: Sequence[metrics.Example],
) -> pages.Page:
  """A row for each image: the image, and a heat map of it for each word."""
  rows = [_row(words, grid, each.image, each.answer) for each in examples]
  return pages.Page(
    title="Attention",
    note="A row has a picture with its caption, and the cross-attention of "
    "each word over the picture: the mean over blocks and heads, red where it "
    "is largest. The percentage is the probability of the word, given the "
    "picture and the words before it.",
    images=np.concatenate([images for images, _ in rows]),
    captions=[caption for _, captions in rows for caption in captions],
    rows=[len(captions) for _, captions in rows],
  )


def _row(
  words: vocabularies.Vocabulary,
  grid: tuple[int, int],
  image: np.ndarray,
  answer: np.ndarray,
) -> tuple[np.ndarray, list[str]]:
  """The pictures (n, h, w, 3) uint8 of an image and its words, and texts."""
  numbers = answer[:, 0].astype(int).tolist()
  count = len(numbers) - numbers.count(0)
  patches = grid[0] * grid[1]
  heats = answer[:count, -patches:].reshape(count, *grid)
  image = _enlarged(image)
  log_p = answer[:count, _LOG_P]
  names = [words.decode([number]) or "(end)" for number in numbers[:count]]
  images = np.stack([image, *(overlay(image, heat) for heat in heats)])
  shares = zip(names, np.exp(log_p), strict=True)
  captions = [f"{name}\n{share:.1%}" for name, share in shares]
  return images, [f"caption: {words.decode(numbers)}", *captions]


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
  """An image at half brightness, with red in proportion to the attention.

  Args:
    image: (h, w, 3) uint8.
    heat: (rows, columns), at least 0.

  Returns:
    (h, w, 3) uint8: half of the image, and red up to the other half.
  """
  rows, columns = (
    np.arange(size) * steps // size
    for size, steps in zip(image.shape, heat.shape, strict=False)
  )
  share = heat[rows][:, columns] / max(float(heat.max()), 1e-12)
  light = share[..., None] * np.asarray([255, 0, 0])
  return np.rint(0.5 * image + 0.5 * light).astype(np.uint8)


def _enlarged(image: np.ndarray) -> np.ndarray:
  """(h, w, 3), each pixel repeated, at least `_SIDE` pixels high."""
  times = -(-_SIDE // min(image.shape[:2]))
  if image.shape[-1] == 1:
    image = image.repeat(3, axis=-1)
  return image.repeat(times, axis=0).repeat(times, axis=1)

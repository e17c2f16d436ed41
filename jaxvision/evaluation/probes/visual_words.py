"""Bags of visual words: histograms of typical patches as image features.

This was the baseline before learned features: patches on a dense grid, their
k-means clusters as the vocabulary, and the frequency of each word (Csurka et
al. 2004, "Visual Categorization with Bags of Keypoints"; Fei-Fei and Perona
2005). An image can be split into cells, with one histogram per cell (Lazebnik
et al. 2006).

Patches are raw pixels, minus their mean, divided by their contrast, as in
Coates et al. 2011. Histograms are square roots of frequencies, so the inner
product of two histograms is their similarity (Arandjelovic and Zisserman 2012).
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

_IMAGES = 64  # number of images whose patches are in memory together
_SAMPLE = 50_000  # maximum number of patches for the vocabulary
# Variance of nearly uniform patches, in normalised pixels: 10 squared grey
# levels of Coates et al., for a standard deviation of 64.
_EVEN = 0.0025


@dataclasses.dataclass(frozen=True)
class Vocabulary:
  """The words, and the options of the patches.

  Attributes:
    words: (num_words, patch * patch * c) float32.
    patch: height and width of a patch in pixels.
    stride: pixels between patches.
    cells: an image is split into cells x cells.
  """

  words: np.ndarray
  patch: int
  stride: int
  cells: int


def fit(
  images: np.ndarray,
  *,
  num_words: int = 256,
  patch: int = 6,
  stride: int = 2,
  cells: int = 2,
  seed: int = 0,
) -> Vocabulary:
  """Computes the words by mini-batch k-means of at most 50,000 patches.

  Args:
    images: (n, h, w, c), normalised.
    num_words: size of the vocabulary.
    patch: height and width of a patch in pixels.
    stride: pixels between patches.
    cells: an image is split into cells x cells.
    seed: seed of the sample of patches and of k-means.

  Raises:
    ValueError: patches are larger than images, there are more cells than
      patches in a row, there are more words than patches, or images are not
      finite.
  """
  from sklearn import cluster

  rows, columns = _grid(images, patch, stride)
  if not 1 <= cells <= min(rows, columns):
    raise ValueError(
      f"cells is {cells}, but patches of {patch} every {stride} pixels give a "
      f"grid of {rows} x {columns}; use at most {min(rows, columns)}"
    )
  if not np.isfinite(images).all():
    raise ValueError("there are NaN or infinite pixels; normalise the images")
  sample = _sample(images, patch, stride, rows * columns, seed)
  if not 1 <= num_words <= len(sample):
    raise ValueError(
      f"num_words is {num_words}, but there are {len(sample)} patches; use "
      "fewer words, more images or a smaller stride"
    )
  kmeans = cluster.MiniBatchKMeans(
    num_words, batch_size=4096, n_init=3, random_state=seed
  )
  words = kmeans.fit(sample).cluster_centers_.astype(np.float32)
  return Vocabulary(words=words, patch=patch, stride=stride, cells=cells)


def histograms(vocabulary: Vocabulary, images: np.ndarray) -> np.ndarray:
  """Returns (n, cells * cells * num_words) float32 of images (n, h, w, c).

  The histogram of each cell has squared length 1.
  """
  rows, columns = _grid(images, vocabulary.patch, vocabulary.stride)
  down, across = (
    np.arange(size) * vocabulary.cells // size for size in (rows, columns)
  )
  cells = (down[:, None] * vocabulary.cells + across[None]).ravel()
  count = functools.partial(
    _count, words=vocabulary.words, cells=cells, num_cells=vocabulary.cells**2
  )
  blocks = [
    np.asarray(count(_patches(block, vocabulary.patch, vocabulary.stride)))
    for block in np.split(images, range(_IMAGES, len(images), _IMAGES))
  ]
  return np.concatenate(blocks)


def _grid(images: np.ndarray, patch: int, stride: int) -> tuple[int, int]:
  """Rows and columns of patches."""
  if images.ndim != 4:
    raise ValueError(
      f"images have shape {images.shape}; visual words need (n, h, w, c)"
    )
  height, width = images.shape[1:3]
  if not (1 <= patch <= min(height, width) and stride >= 1):
    raise ValueError(
      f"patches of {patch} every {stride} pixels do not fit into images of "
      f"{height} x {width}; use a patch of at most {min(height, width)}"
    )
  return (height - patch) // stride + 1, (width - patch) // stride + 1


def _sample(
  images: np.ndarray, patch: int, stride: int, per_image: int, seed: int
) -> np.ndarray:
  """(at most 50,000, patch * patch * c): a random sample of patches."""
  rng = np.random.default_rng(seed)
  number = min(len(images), max(_SAMPLE // per_image, 1))
  chosen = images[np.sort(rng.permutation(len(images))[:number])]
  patches = _patches(chosen, patch, stride)
  patches = patches.reshape(-1, patches.shape[-1])
  return _normalize(patches)[rng.permutation(len(patches))[:_SAMPLE]]


def _patches(images: np.ndarray, patch: int, stride: int) -> np.ndarray:
  """(n, rows * columns, c * patch * patch)."""
  windows = np.lib.stride_tricks.sliding_window_view(
    images, (patch, patch), axis=(1, 2)
  )[:, ::stride, ::stride]
  number, rows, columns = windows.shape[:3]
  return windows.reshape(number, rows * columns, -1)


def _normalize(patches):
  """(..., d) normalised by its mean and contrast; for numpy and JAX."""
  patches = patches - patches.mean(-1, keepdims=True)
  return patches / (patches.var(-1, keepdims=True) + _EVEN) ** 0.5


@functools.partial(jax.jit, static_argnames="num_cells")
def _count(patches, *, words, cells, num_cells):
  """(n, num_cells * num_words) square roots of the word frequencies."""
  similar = jnp.dot(_normalize(patches), words.T, precision="highest")
  nearest = jnp.argmin(
    jnp.sum(words**2, axis=1)[None, None] - 2 * similar, axis=-1
  )
  places = cells[None] * len(words) + nearest
  images = jnp.arange(len(patches))[:, None]
  counts = jnp.zeros((len(patches), num_cells * len(words)))
  counts = counts.at[images, places].add(1.0)
  sizes = jnp.bincount(cells, length=num_cells)
  return jnp.sqrt(counts / jnp.repeat(sizes, len(words))[None])

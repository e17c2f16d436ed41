"""Pages of a report with images that a generator made of others."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import metrics
from jaxvision.runs import pages as sections
from jaxvision.tasks.contract import Generator

Tree = Any

# (images (n, h, w, c) uint8, noise (k,)) -> images (n, h, w, c) uint8
Generate = Callable[[np.ndarray, np.ndarray], jax.Array]

_ROWS, _COLUMNS = 12, 8
_BORDER = 1  # transparent pixels around each image


def pages(
  generator: Generator,
  variables: Tree,
  examples: Sequence[metrics.Example],
  *,
  class_names: Sequence[str],
) -> list[sections.Page]:
  """A sheet of several draws of the noise, and one of interpolations.

  The noise is the same in all runs.

  Args:
    generator: of the task.
    variables: of the task.
    examples: of an evaluation; the first ones are shown.
    class_names: in the order of the labels.
  """

  @jax.jit
  def generate(images: jax.Array, noise: jax.Array) -> jax.Array:
    noise = jnp.broadcast_to(noise, (len(images), *noise.shape))
    return generator.generate(variables, images, noise)

  examples = examples[:_ROWS]
  if not examples:
    return []
  images = np.stack([each.image for each in examples])
  shape = (_COLUMNS, generator.noise)
  draws = np.asarray(jax.random.normal(jax.random.key(0), shape))
  ways = np.linspace(0, 1, _COLUMNS)
  between = [interpolate(draws[0], draws[1], way) for way in ways]
  names = [str(class_names[each.label]) for each in examples]
  return [
    sections.Page(
      title="Generated images",
      note="The first image of a strip is from the evaluated split. The "
      "generator made the others of it. Each column has its own noise, which "
      "is the same for all images and in all runs. The text is the class.",
      images=_sheet(generate, images, draws),
      captions=names,
    ),
    sections.Page(
      title="Interpolations",
      note="The first image of a strip is from the evaluated split. The noise "
      "of the others changes step by step from one draw to another (spherical "
      "interpolation). The text is the class.",
      images=_sheet(generate, images, between),
      captions=names,
    ),
  ]


def interpolate(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
  """The point on the arc from a (n,) to b (n,), at a share of its angle.

  White 2016, Sampling Generative Networks, section 2.1: Gaussian noise of many
  dimensions is near a sphere, and a straight line leaves it.
  """
  cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
  angle = np.arccos(np.clip(cosine, -1, 1))
  if np.sin(angle) < 1e-6:
    return (1 - share) * a + share * b
  weights = np.sin([(1 - share) * angle, share * angle]) / np.sin(angle)
  return weights[0] * a + weights[1] * b


def _sheet(
  generate: Generate, images: np.ndarray, noises: Sequence[np.ndarray]
) -> np.ndarray:
  """Strips (n, h', w', 4): an image, and the ones generated with each noise.

  The gaps between the images are transparent.
  """
  made = [
    np.asarray(generate(images, each.astype(np.float32))) for each in noises
  ]
  border = ((0, 0), (_BORDER, _BORDER), (_BORDER, _BORDER), (0, 0))
  framed = [np.pad(_opaque(each), border) for each in (images, *made)]
  return np.concatenate(framed, axis=2)


def _opaque(images: np.ndarray) -> np.ndarray:
  """Images (n, h, w, 4) of images (n, h, w, c); grey is their mean."""
  if images.shape[-1] != 3:
    grey = images.mean(axis=-1, keepdims=True).astype(np.uint8)
    images = grey.repeat(3, axis=-1)
  alpha = np.full_like(images[..., :1], 255)
  return np.concatenate([images, alpha], axis=-1)

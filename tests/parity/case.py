"""One comparison: our network, its random weights and images, and a reference.

Weights and images are drawn with numpy. Each array depends only on its path, so
tests can draw the same arrays again and compare stored logits.
"""

import dataclasses
import functools
import importlib.util
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxvision import models, trees
from jaxvision.variables import variable_shapes

Tree = Any
CLASSES = 10


def require(*packages: str) -> None:
  """Ends a script whose packages are not installed in this environment."""
  missing = [each for each in packages if not importlib.util.find_spec(each)]
  if missing:
    sys.exit(
      f"{sys.argv[0]} needs {', '.join(missing)}, which this Python does not "
      f"have: make test-parity, then .venv-parity/bin/python {sys.argv[0]}"
    )


@dataclasses.dataclass(frozen=True)
class Case:
  """A network of ours and the public one that must agree with it.

  Attributes:
    model: a name of `models.create`.
    reference: (variables, images (b, h, w, 3)) -> logits (b, 10) of the public
      implementation, given our variables; imports it when called.
    image_size: side of the images.
    options: of `models.create`.
    golden: whether the reference's logits are stored, for comparisons without
      the public implementation.
    gain: variance of the kernels times their fan-in; larger for deep networks
      whose activations and gates reduce the effect of the image, smaller if
      the logits would be too large.
    against: package, version, and the name there; empty for the source of the
      model's `Count`.
  """

  model: str
  reference: Callable[[Tree, np.ndarray], np.ndarray]
  image_size: int
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  golden: bool = False
  gain: float = 1.5
  against: str = ""


@dataclasses.dataclass(frozen=True)
class Count:
  """The counts of a public implementation, for 1000 classes.

  Attributes:
    source: package, version, and the name there; or the arithmetic.
    measure: () -> (trainable parameters, multiply-accumulates of one image).
  """

  source: str
  measure: Callable[[], tuple[int, int]]


def create(case: Case) -> nn.Module:
  """Returns our network."""
  return models.create(case.model, num_classes=CLASSES, **case.options)


def draw(case: Case) -> Tree:
  """Returns random variables, without the zeros and ones of the start."""
  size = case.image_size
  shapes = variable_shapes(create(case), image_shape=(size, size, 3))
  draw = functools.partial(_draw, gain=case.gain)
  return jax.tree.map_with_path(draw, shapes)


def _draw(path: Any, leaf: jax.ShapeDtypeStruct, *, gain: float) -> np.ndarray:
  text = "/".join(str(each.key) for each in path)
  rng = np.random.default_rng(zlib.crc32(text.encode()))
  if path[-1].key in ("scale", "var"):
    return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
  if path[-1].key == "kernel":
    fan_in = max(1, int(np.prod(leaf.shape[:-1])))
    values = rng.standard_normal(leaf.shape) * np.sqrt(gain / fan_in)
    return values.astype(np.float32)
  return (0.1 * rng.standard_normal(leaf.shape)).astype(np.float32)


def draw_images(case: Case) -> np.ndarray:
  """Returns two images, (2, h, w, 3) float32, as if normalised."""
  rng = np.random.default_rng(0)
  shape = (2, case.image_size, case.image_size, 3)
  return rng.standard_normal(shape).astype(np.float32)


def our_logits(case: Case) -> np.ndarray:
  """Returns the logits of our network, (2, 10) float32."""
  model = create(case)
  forward = jax.jit(functools.partial(model.apply, train=False))
  images = jnp.asarray(draw_images(case))
  return np.asarray(forward(draw(case), images))


def reference_logits(case: Case) -> np.ndarray:
  """Returns the logits of the public implementation, (2, 10) float32."""
  variables = jax.tree.map(np.asarray, draw(case))
  return np.asarray(case.reference(variables, draw_images(case)))


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
  """Returns the largest difference relative to the largest logit.

  Raises:
    AssertionError: the logits are equal for both images.
  """
  assert actual.shape == expected.shape
  scale = np.abs(expected).max()
  assert np.isfinite(scale)
  assert np.abs(expected[0] - expected[1]).max() > 1e-2 * scale
  return float(np.abs(actual - expected).max() / scale)


def flatten(variables: Tree) -> dict[str, np.ndarray]:
  """{"params/conv1/kernel": array} of a tree of variables."""
  return trees.flatten(variables)

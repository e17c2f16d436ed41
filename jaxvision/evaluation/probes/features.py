"""What a frozen model makes of the images of a split, read into memory.

That is n d float32 numbers: 10 GB for ImageNet's training split and the 2048
features of a ResNet-50. Rows are in the order of the split, whole in every
process; every example counts once, those of mask 0 not at all.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxvision import data, interpret, lookup, parallel
from jaxvision.parallel import sharding
from jaxvision.variables import variable_shapes

Tree = Any
# Inputs (n, ...) float32 and labels (n,) int32.
Examples = tuple[np.ndarray, np.ndarray]


def features(
  model: nn.Module,
  variables: Tree,
  batches: data.Batches,
  *,
  normalization: data.Normalization,
  mesh: Mesh,
  layer: str | None = None,
) -> Examples:
  """Returns features (n, d) and labels of a split; see `make_reader`."""
  read = make_reader(
    model,
    batches.image_shape,
    normalization=normalization,
    mesh=mesh,
    layer=layer,
  )
  return read(variables, batches)


def make_reader(
  model: nn.Module,
  image_shape: tuple[int, int, int],
  *,
  normalization: data.Normalization,
  mesh: Mesh,
  layer: str | None = None,
) -> Callable[[Tree, data.Batches], Examples]:
  """read(variables, batches) -> features (n, d) float32, labels (n,) int32.

  Args:
    model: whose features are meant.
    image_shape: (h, w, c).
    normalization: of the pixels.
    mesh: that the variables lie on, and that shares each batch.
    layer: None is the input of the last fully connected layer that the model
      calls; the path of a layer is its output, averaged over positions;
      "pixels" is the normalised images (n, h, w, c), whatever the model.

  Raises:
    ValueError: there is no such layer, or none that is fully connected; `read`,
      of batches that are shuffled.
  """
  compute = _make_features(model, image_shape, layer)

  @functools.partial(jax.jit, out_shardings=parallel.replicated(mesh))
  def measure(variables: Tree, batch: Tree) -> Tree:
    images = data.normalize(batch["image"], normalization)
    with sharding.batch_split(len(images), mesh):
      found = compute(variables, images)
    return found, batch["label"], batch["mask"]

  return functools.partial(_read, measure, mesh)


def check_order(batches: data.Batches) -> None:
  """Raises ValueError for batches that are made for training."""
  if batches.seed is not None:
    raise ValueError(
      f"these batches of {batches.examples.dataset.split!r} are shuffled and "
      "repeat examples; make them with seed=None to read every example once"
    )


def _read(measure, mesh: Mesh, variables: Tree, batches: data.Batches):
  check_order(batches)
  parts, pending = [], None
  for batch in batches.iterate(0, batches.num_batches):
    measured = measure(variables, parallel.put_batch(batch, mesh))
    # Read the batch before this one while this one is being computed.
    if pending:
      parts.append(_counted(pending))
    pending = measured
  parts.append(_counted(pending))
  inputs, labels = zip(*parts, strict=True)
  return np.concatenate(inputs), np.concatenate(labels)


def _counted(measured: Tree) -> Examples:
  inputs, labels, mask = jax.device_get(measured)
  return inputs[mask > 0], labels[mask > 0]


def _make_features(
  model: nn.Module, image_shape: tuple[int, int, int], layer: str | None
) -> Callable[[Tree, jax.Array], jax.Array]:
  """(variables, normalised images (b, h, w, c)) -> (b, ...) float32."""
  if layer == "pixels":
    return lambda variables, images: images
  if layer is None:
    head = _last_dense(model, image_shape)
    return lambda variables, images: _input_of(head, model, variables, images)
  names = interpret.layer_names(model, image_shape=image_shape)
  if layer not in names:
    raise ValueError(lookup.unknown("layer", layer, [*names, "pixels"]))

  def compute(variables: Tree, images: jax.Array) -> jax.Array:
    outputs = interpret.tap(model, variables, images, layers=(layer,))[layer]
    outputs = outputs.astype(jnp.float32)
    return outputs.mean(range(1, outputs.ndim - 1))

  return compute


def _last_dense(
  model: nn.Module, image_shape: tuple[int, int, int]
) -> tuple[str, ...]:
  """The path of the fully connected layer that is called last."""
  paths = []

  def observe(call, args, kwargs, context):
    if isinstance(context.module, nn.Dense):
      paths.append(context.module.path)
    return call(*args, **kwargs)

  variables = variable_shapes(model, image_shape=image_shape)
  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  with nn.intercept_methods(observe):
    jax.eval_shape(
      functools.partial(model.apply, train=False), variables, image
    )
  if not paths:
    names = interpret.layer_names(model, image_shape=image_shape)
    raise ValueError(
      f"{type(model).__name__} has no fully connected layer whose input could "
      f"be its features; name a layer, such as {', '.join(names[-5:])}"
    )
  return paths[-1]


def _input_of(
  path: tuple[str, ...], model: nn.Module, variables: Tree, images: jax.Array
) -> jax.Array:
  """(b, d) float32, what the layer at this path receives."""
  received = []

  def observe(call, args, kwargs, context):
    if context.module.path == path:
      received.append(args[0])
    return call(*args, **kwargs)

  with nn.intercept_methods(observe):
    model.apply(variables, images, train=False)
  return received[-1].reshape(len(images), -1).astype(jnp.float32)

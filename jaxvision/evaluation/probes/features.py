"""Features of a frozen model on a split, in memory.

They are n d float32 numbers: 10 GB for ImageNet's training split and the 2048
features of a ResNet-50. Rows are in the order of the split, and every process
has all rows. Each example occurs once; padding (mask 0) is removed.
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
    model: the model.
    image_shape: (h, w, c).
    normalization: normalisation of the pixels.
    mesh: the mesh of the variables and of each batch.
    layer: None for the input of the last fully connected layer that the model
      calls; the path of a layer for its output, averaged over positions;
      "pixels" for the normalised images (n, h, w, c).

  Raises:
    ValueError: the layer does not exist, or no layer is fully connected. `read`
      raises it for shuffled batches.
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
  """Raises ValueError for training batches."""
  if batches.seed is not None:
    raise ValueError(
      f"these batches of {batches.examples.dataset.split!r} are shuffled and "
      "repeat examples; create them with seed=None to read each example once"
    )


def _read(measure, mesh: Mesh, variables: Tree, batches: data.Batches):
  check_order(batches)
  parts, pending = [], None
  for batch in batches.iterate(0, batches.num_batches):
    measured = measure(variables, parallel.put_batch(batch, mesh))
    # Fetch the previous batch while this one is computed.
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
  """The path of the last fully connected layer in the order of calls."""
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
      f"{type(model).__name__} has no fully connected layer, whose input would "
      f"be the features; give a layer, such as {', '.join(names[-5:])}"
    )
  return paths[-1]


def _input_of(
  path: tuple[str, ...], model: nn.Module, variables: Tree, images: jax.Array
) -> jax.Array:
  """(b, d) float32, the input of the layer at this path."""
  received = []

  def observe(call, args, kwargs, context):
    if context.module.path == path:
      received.append(args[0])
    return call(*args, **kwargs)

  with nn.intercept_methods(observe):
    model.apply(variables, images, train=False)
  return received[-1].reshape(len(images), -1).astype(jnp.float32)

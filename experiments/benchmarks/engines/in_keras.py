"""The networks of Keras, on JAX: one jitted step with donated state.

Keras' own `train_on_batch` reads the loss at every step. The stateless calls in
a jitted function are faster; Keras' guide describes them.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"  # must be set before the import of keras

import functools

import jax
import jax.numpy as jnp
import keras

Job = Mapping[str, Any]
Tree = Any
Steps = Callable[[int], float]

_CLASSES = 1000


def start(job: Job) -> dict[str, Any]:
  """Sets the dtypes; returns device and versions."""
  if job["dtype"] == "bfloat16":
    keras.config.set_dtype_policy("mixed_bfloat16")
  return {
    "device": jax.devices()[0].device_kind,
    "versions": {"keras": keras.__version__, "jax": jax.__version__},
  }


def create(network: str, *, image_size: int) -> keras.Model:
  """Returns a network of keras.applications with logits, without dropout.

  Args:
    network: its name in keras.applications.
    image_size: side of the images.
  """
  shape = (image_size, image_size, 3)
  if network == "VGG16":
    model = _vgg16(shape)
  else:
    model = getattr(keras.applications, network)(
      weights=None,
      input_shape=shape,
      classes=_CLASSES,
      classifier_activation=None,
    )
  for layer in model.layers:
    if isinstance(layer, keras.layers.Dropout):
      layer.rate = 0.0
  return model


def _vgg16(shape: tuple[int, int, int]) -> keras.Model:
  """Returns the network with Dense layers on 7x7 positions at any size."""
  model = keras.applications.VGG16(
    weights=None, input_shape=shape, include_top=False
  )
  x = keras.layers.AdaptiveAveragePooling2D(7)(model.output)
  x = keras.layers.Flatten()(x)
  for _ in range(2):
    x = keras.layers.Dense(4096, activation="relu")(x)
  return keras.Model(model.input, keras.layers.Dense(_CLASSES)(x))


def build(job: Job) -> tuple[Steps, Callable[[], dict[str, Any]]]:
  """Initialises the weights; returns the step and describe functions."""
  size, batch_size = job["image_size"], job["batch_size"]
  model = create(job["network"], image_size=size)
  images = jax.random.normal(jax.random.key(1), (batch_size, size, size, 3))
  variables = [each.value for each in model.variables]
  jax.block_until_ready((variables, images))
  parameters = sum(leaf.value.size for leaf in model.trainable_variables)
  if job["mode"] == "train":
    steps = make_training(model, (images, jnp.arange(batch_size) % _CLASSES))
  else:
    steps = make_inference(model, images)
  return steps, lambda: {"parameters": parameters}


def make_training(
  model: keras.Model, batch: tuple[jax.Array, jax.Array]
) -> Steps:
  """Returns steps(number) -> loss; each call continues from the last one."""
  optimizer = keras.optimizers.SGD(1e-3, momentum=0.9)
  optimizer.build(model.trainable_variables)
  cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

  def loss(params: Tree, rest: Tree, batch: Tree) -> tuple[jax.Array, Tree]:
    images, labels = batch
    logits, rest = model.stateless_call(params, rest, images, training=True)
    return cross_entropy(labels, logits), rest

  @functools.partial(jax.jit, donate_argnums=0)
  def step(state: Tree, batch: Tree) -> tuple[Tree, jax.Array]:
    params, rest, opt_state = state
    differentiate = jax.value_and_grad(loss, has_aux=True)
    (value, rest), gradients = differentiate(params, rest, batch)
    params, opt_state = optimizer.stateless_apply(opt_state, gradients, params)
    return (params, rest, opt_state), value

  state = tuple(
    [each.value for each in variables]
    for variables in (
      model.trainable_variables,
      model.non_trainable_variables,
      optimizer.variables,
    )
  )

  def steps(number: int) -> float:
    nonlocal state
    for _ in range(number):
      state, value = step(state, batch)
    jax.block_until_ready(state)
    return float(value)

  return steps


def make_inference(model: keras.Model, images: jax.Array) -> Steps:
  """Returns steps(number) -> mean of the logits."""

  @jax.jit
  def forward(state: Tree, images: jax.Array) -> jax.Array:
    return model.stateless_call(*state, images, training=False)[0]

  state = tuple(
    [each.value for each in variables]
    for variables in (model.trainable_variables, model.non_trainable_variables)
  )
  # On a CPU independent calls would run concurrently.
  wait = jax.default_backend() == "cpu"

  def steps(number: int) -> float:
    for _ in range(number):
      logits = forward(state, images)
      if wait:
        logits.block_until_ready()
    return float(logits.mean())

  return steps


def device_peak() -> int | None:
  """Returns the peak of the used bytes of a GPU."""
  statistics = jax.devices()[0].memory_stats() or {}
  return statistics.get("peak_bytes_in_use")

"""Our networks: one jitted step whose state is donated."""

import functools
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxvision import depthwise, features, models, startup

Job = Mapping[str, Any]
Tree = Any

LEARNING_RATE, MOMENTUM = 1e-3, 0.9
NUM_CLASSES = 1000


def start(job: Job) -> dict[str, Any]:
  """Applies the settings of the process; see worker.py."""
  if "plain" not in job["options"]:
    startup.tune_cpu()
  if "lax" in job["options"]:
    depthwise.convolve = convolve_as_flax
  names = ("jax", "flax", "optax")
  return {
    "device": jax.devices()[0].device_kind,
    "versions": {name: importlib.metadata.version(name) for name in names},
  }


def convolve_as_flax(
  x: jax.Array, kernel: jax.Array, *, strides: tuple[int, int], padding: Any
) -> jax.Array:
  """`depthwise.convolve` as `nn.Conv` computes it, on every backend."""
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    strides,
    padding,
    feature_group_count=x.shape[-1],
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


def create(job: Job) -> nn.Module:
  """Returns the network, which drops nothing."""
  model = models.create(
    job["network"], num_classes=NUM_CLASSES, dtype=job["dtype"]
  )
  changes = {
    name: 0.0 for name in model.__dataclass_fields__ if name.startswith("drop")
  }
  if "scan_layers" in job["options"]:
    changes["scan_layers"] = True
  return model.clone(**changes)


def build(job: Job) -> tuple[Callable[[int], float], dict[str, Any]]:
  """Makes weights and images; see worker.py."""
  model = create(job)
  size, batch_size = job["image_size"], job["batch_size"]
  shape = (batch_size, size, size, 3)
  images = jax.random.normal(jax.random.key(1), shape)
  labels = jnp.arange(batch_size) % NUM_CLASSES
  init = functools.partial(model.init, train=False)
  variables = jax.jit(init)(jax.random.key(0), images[:1])
  jax.block_until_ready((variables, images, labels))
  facts = {
    "parameters": sum(each.size for each in jax.tree.leaves(variables["params"])),
    "flops": features.flops_per_image(model, image_shape=shape[1:]),
  }
  make = make_training if job["mode"] == "train" else make_inference
  return make(model, variables, images, labels), facts


def make_training(
  model: nn.Module, variables: Tree, images: jax.Array, labels: jax.Array
) -> Callable[[int], float]:
  """Returns steps(number) -> loss, which train and keep the state."""
  optimizer = optax.sgd(LEARNING_RATE, MOMENTUM)

  def loss(params: Tree, rest: Tree) -> tuple[jax.Array, Tree]:
    logits, rest = model.apply(
      {"params": params, **rest}, images, train=True, mutable=list(rest)
    )
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean(), dict(rest)

  @functools.partial(jax.jit, donate_argnums=0)
  def step(state: Tree) -> tuple[Tree, jax.Array]:
    params, rest, opt_state = state
    (value, rest), gradients = jax.value_and_grad(loss, has_aux=True)(
      params, rest
    )
    updates, opt_state = optimizer.update(gradients, opt_state, params)
    return (optax.apply_updates(params, updates), rest, opt_state), value
  ...

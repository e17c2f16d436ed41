"""The networks of jaxvision: a jitted step with donated state (worker.py)."""

import functools
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxvision import models, summary
from jaxvision.layers import depthwise
from jaxvision.xla import batched_init, settings

Job = Mapping[str, Any]
Tree = Any
Steps = Callable[[int], float]

_CLASSES = 1000


def start(job: Job) -> dict[str, Any]:
  """Applies the settings of the process; returns device and versions."""
  if "plain" not in job["options"]:
    settings.tune_cpu()
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
  """Computes `depthwise.convolve` like `nn.Conv`, on every backend."""
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    strides,
    padding,
    feature_group_count=x.shape[-1],
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


def create(job: Job) -> nn.Module:
  """Returns the network of a job, without dropout."""
  options = {"dtype": job["dtype"], **job["attributes"]}
  if "scan_layers" in job["options"]:
    options["scan_layers"] = True
  model = models.create(job["network"], num_classes=_CLASSES, **options)
  attributes = model.__dataclass_fields__
  return model.clone(**{a: 0.0 for a in attributes if a.startswith("drop")})


def build(job: Job) -> tuple[Steps, Callable[[], dict[str, Any]]]:
  """Initialises the weights; returns the step and describe functions."""
  model = create(job)
  batch_size, size = job["batch_size"], job["image_size"]
  shape = (batch_size, size, size, 3)
  images = jax.random.normal(jax.random.key(1), shape)
  variables = batched_init.jit(
    lambda: model.init(jax.random.key(0), jnp.zeros(shape)[:1], train=False)
  )()
  parameters = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
  jax.block_until_ready((variables, images))

  def describe() -> dict[str, Any]:
    flops = summary.flops_per_image(model, image_shape=shape[1:])
    return {"parameters": parameters, "flops": flops}

  if job["mode"] == "train":
    batch = images, jnp.arange(batch_size) % _CLASSES
    return make_training(model, variables, batch), describe
  return make_inference(model, variables, images), describe


def make_training(
  model: nn.Module, variables: Tree, batch: tuple[jax.Array, jax.Array]
) -> Steps:
  """Returns steps(number) -> loss; each call continues from the last one."""
  optimizer = optax.sgd(1e-3, momentum=0.9)

  def loss(params: Tree, rest: Tree, batch: Tree) -> tuple[jax.Array, Tree]:
    images, labels = batch
    logits, rest = model.apply(
      {"params": params, **rest}, images, train=True, mutable=list(rest)
    )
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean(), dict(rest)

  @functools.partial(jax.jit, donate_argnums=0)
  def step(state: Tree, batch: Tree) -> tuple[Tree, jax.Array]:
    params, rest, opt_state = state
    differentiate = jax.value_and_grad(loss, has_aux=True)
    (value, rest), gradients = differentiate(params, rest, batch)
    updates, opt_state = optimizer.update(gradients, opt_state, params)
    return (optax.apply_updates(params, updates), rest, opt_state), value

  params = variables.pop("params")
  state = params, variables, optimizer.init(params)

  def steps(number: int) -> float:
    nonlocal state
    for _ in range(number):
      state, value = step(state, batch)
    jax.block_until_ready(state)
    return float(value)

  return steps


def make_inference(
  model: nn.Module, variables: Tree, images: jax.Array
) -> Steps:
  """Returns steps(number) -> mean of the logits."""
  forward = jax.jit(functools.partial(model.apply, train=False))
  # On a CPU independent calls would run concurrently.
  wait = jax.default_backend() == "cpu"

  def steps(number: int) -> float:
    for _ in range(number):
      logits = forward(variables, images)
      if wait:
        logits.block_until_ready()
    return float(logits.mean())

  return steps


def device_peak() -> int | None:
  """Returns the peak of the used bytes of a GPU."""
  statistics = jax.devices()[0].memory_stats() or {}
  return statistics.get("peak_bytes_in_use")

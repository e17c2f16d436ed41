"""Batch statistics of parameters, by the formulae in numpy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision.layers import batch_norm
from jaxvision.training.step import batch_statistics

_KEY = jax.random.key(0)


class Network(nn.Module):
  """Two normalisations; `frozen` freezes the first one."""

  norm: type
  momenta: tuple[float, float] = (0.9, 0.99)
  frozen: bool = False

  @nn.compact
  def __call__(self, x):
    first, second = self.momenta
    x = self.norm(
      use_running_average=self.frozen, momentum=first, name="first"
    )(x)
    x = nn.Dense(4, name="dense")(nn.relu(x))
    x = self.norm(use_running_average=False, momentum=second, name="second")(x)
    return x


def _task_loss(model):
  def loss(params, model_state, batch, key):
    outputs, state = model.apply(
      {"params": params, **model_state}, batch["image"], mutable=["batch_stats"]
    )
    return jnp.mean(outputs), ({**model_state, **state}, {})

  return loss


def _batches(count, size=8):
  rng = np.random.default_rng(0)
  # A large mean, and a variance that differs from the initial running one.
  return [
    {"image": (50 + 9 * rng.normal(size=(size, 3))).astype(np.float32)}
    for _ in range(count)
  ]


def _variables(model):
  variables = model.init(_KEY, _batches(1)[0]["image"])
  rng = np.random.default_rng(1)
  return jax.tree.map(
    lambda x: jnp.asarray(rng.uniform(0.5, 2, x.shape), jnp.float32), variables
  )


def _by_hand(variables, x, *, frozen=False):
  """The mean and the variance of both normalisations, in float64."""
  params = jax.tree.map(np.float64, variables["params"])
  running = jax.tree.map(np.float64, variables["batch_stats"])["first"]
  x = np.float64(x)
  own = {"mean": x.mean(0), "var": x.var(0)}
  first = running if frozen else own
  y = (x - first["mean"]) / np.sqrt(first["var"] + 1e-5)
  y = y * params["first"]["scale"] + params["first"]["bias"]
  y = np.maximum(y, 0) @ params["dense"]["kernel"] + params["dense"]["bias"]
  return {"first": first, "second": {"mean": y.mean(0), "var": y.var(0)}}


def _assert_close(found, expected):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4), found, expected
  )


@pytest.mark.parametrize("norm", [batch_norm.BatchNorm, nn.BatchNorm])
def test_they_are_those_of_the_batch_with_any_momentum(norm):
  model = Network(norm)
  variables, (batch,) = _variables(model), _batches(1)
  found = jax.jit(batch_statistics.make_statistics(_task_loss(model)))(
    variables, batch, _KEY
  )
  _assert_close(found, _by_hand(variables, batch["image"]))


def test_a_frozen_layer_keeps_its_running_averages():
  model = Network(batch_norm.BatchNorm, frozen=True)
  variables, (batch,) = _variables(model), _batches(1)
  found = batch_statistics.make_statistics(_task_loss(model))(
    variables, batch, _KEY
  )
  _assert_close(found, _by_hand(variables, batch["image"], frozen=True))
  jax.tree.map(
    np.testing.assert_array_equal,
    found["first"],
    variables["batch_stats"]["first"],
  )


def test_of_a_batch_in_parts_they_are_the_mean_of_the_parts():
  """Part i of n has the examples i, i + n, ..., as in accumulation."""
  model = Network(batch_norm.BatchNorm)
  variables, (batch,) = _variables(model), _batches(1)
  found = jax.jit(batch_statistics.make_statistics(_task_loss(model), parts=2))(
    variables, batch, _KEY
  )
  parts = [_by_hand(variables, batch["image"][i::2]) for i in range(2)]
  _assert_close(found, jax.tree.map(lambda a, b: (a + b) / 2, *parts))

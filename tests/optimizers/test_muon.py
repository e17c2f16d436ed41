"""Tests of the matrices of Muon in jaxvision.optimizers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvision import optimizers


def _step(optimizer, grads):
  """The updates of the first step from parameters of 0."""
  zeros = jax.tree.map(jnp.zeros_like, grads)
  state = jax.jit(optimizer.init)(zeros)
  return jax.jit(optimizer.update)(grads, state, zeros)[0]


def _create(params, **options):
  return optimizers.create(
    "muon", learning_rate=lambda step: 1.0, params=params, options=options
  )


def test_muon_sees_matrices_in_kernels_of_every_rank():
  attention = "MultiHeadDotProductAttention_0"
  params = {
    "embedding": {"kernel": jnp.zeros((4, 4, 3, 8)), "bias": jnp.zeros(8)},
    "cls": jnp.zeros((1, 1, 8)),
    "Transformer": {
      "encoderblock_0": {
        attention: {
          "query": {"kernel": jnp.zeros((8, 2, 4)), "bias": jnp.zeros((2, 4))},
          "out": {"kernel": jnp.zeros((2, 4, 8)), "bias": jnp.zeros(8)},
        },
        "MlpBlock_0": {"Dense_0": {"kernel": jnp.zeros((8, 16))}},
      }
    },
    "layer1_0": {"conv1": {"kernel": jnp.zeros((3, 3, 8, 16))}},
    "hidden_0": {"kernel": jnp.zeros((8, 6, 5)), "bias": jnp.zeros((6, 5))},
    "head": {"kernel": jnp.zeros((8, 10))},
  }
  axes = optimizers.muon_dimensions(params)
  block = axes["Transformer"]["encoderblock_0"]
  assert block[attention]["query"] == {"kernel": ((0,), (1, 2)), "bias": None}
  assert block[attention]["out"] == {"kernel": ((0, 1), (2,)), "bias": None}
  assert block["MlpBlock_0"]["Dense_0"]["kernel"] == ((0,), (1,))
  assert axes["layer1_0"]["conv1"]["kernel"] == ((0, 1, 2), (3,))
  assert axes["hidden_0"] == {"kernel": ((0,), (1, 2)), "bias": None}
  assert axes["embedding"] == {"kernel": None, "bias": None}
  assert axes["cls"] is None and axes["head"]["kernel"] is None


@pytest.mark.parametrize(
  ("layer", "shape", "rows"),
  [
    ("conv1", (3, 3, 2, 24), 18),
    ("query", (24, 3, 4), 24),
    ("out", (3, 4, 24), 12),
    ("Dense_0", (12, 24), 12),
  ],
)
def test_muon_makes_updates_orthogonal(layer, shape, rows):
  grads = {layer: {"kernel": jax.random.normal(jax.random.key(0), shape)}}
  updates = _step(_create(grads, ns_steps=20), grads)
  matrix = np.asarray(updates[layer]["kernel"]).reshape(rows, -1)
  scale = np.sqrt(max(1, matrix.shape[1] / matrix.shape[0]))
  singular = np.linalg.svd(matrix / scale, compute_uv=False)
  # The quintic iteration leaves singular values around 1, not at 1.
  assert singular.min() > 0.6 and singular.max() < 1.3


def test_muon_leaves_first_and_last_layers_and_vectors_to_adam():
  grads = {
    layer: {"kernel": jnp.eye(3, 4) + 0.1, "bias": jnp.arange(1.0, 5.0)}
    for layer in ("embedding", "hidden", "fc")
  }
  updates = _step(_create(grads), grads)
  adam = _step(optax.adamw(1.0, weight_decay=0.0, nesterov=True), grads)
  for layer in ("embedding", "fc"):
    for name in ("kernel", "bias"):
      np.testing.assert_allclose(
        updates[layer][name], adam[layer][name], rtol=1e-6
      )
  gap = np.abs(updates["hidden"]["kernel"] - adam["hidden"]["kernel"])
  assert gap.max() > 0.1
  np.testing.assert_allclose(
    updates["hidden"]["bias"], adam["hidden"]["bias"], rtol=1e-6
  )

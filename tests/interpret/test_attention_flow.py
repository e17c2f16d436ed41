"""Tests of jaxvision.interpret.attention_flow: the linear programme, limits."""

import numpy as np
import pytest
import scipy.optimize

from jaxvision.interpret import attention_flow


def _weights(depth, n):
  weights = np.random.default_rng(0).dirichlet(np.full(n, 0.5), (depth, n))
  return (weights + np.eye(n)) / 2


def _programme(weights, source, sink):
  """The maximum flow from an output to an input as a linear programme."""
  depth, n, _ = weights.shape
  inside = np.zeros(((depth - 1) * n, depth, n, n))
  for node in range((depth - 1) * n):
    layer, token = divmod(node, n)
    inside[node, layer + 1, :, token] = 1  # what comes from the layer above
    inside[node, layer, token, :] = -1
  reached = np.zeros((depth, n, n))
  reached[0, :, sink] = 1
  capacities = weights.copy()
  capacities[-1, np.arange(n) != source] = 0
  found = scipy.optimize.linprog(
    -reached.ravel(),
    A_ub=-inside.reshape(len(inside), -1),
    b_ub=np.zeros(len(inside)),
    bounds=np.stack([np.zeros(weights.size), capacities.ravel()], axis=1),
  )
  return -found.fun


def test_it_is_the_solution_of_the_linear_programme():
  weights = _weights(3, 4)
  found = attention_flow.attention_flow(weights, queries=4)
  expected = [[_programme(weights, i, j) for j in range(4)] for i in range(4)]
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_flow_of_one_layer_is_its_weights():
  weights = _weights(1, 5)
  found = attention_flow.attention_flow(weights, queries=2)
  np.testing.assert_allclose(found, weights[0, :2], atol=1e-6)


def test_identity_attention_flows_to_the_same_token():
  weights = np.broadcast_to(np.eye(3), (4, 3, 3))
  found = attention_flow.attention_flow(weights, queries=3)
  np.testing.assert_array_equal(found, np.eye(3))


def test_weights_must_be_shares():
  with pytest.raises(ValueError, match=r"weights are in \[-0.5, 1.5\]"):
    attention_flow.attention_flow(np.array([[[1.5, -0.5], [0, 1]]]), queries=1)

"""Attention flow: the maximum flow through the layers of attention.

Abnar and Zuidema 2020, Quantifying Attention Flow in Transformers, section 3.
The nodes of the network are the tokens before and behind each layer. The edge
from token i behind a layer to token j before it has the weight of the attention
of i to j as its capacity.
"""

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

MOST_TOKENS = 65  # 8x8 patches and a class token.
# SciPy's capacities are int32: weights are rounded to multiples of 2^-24.
_UNITS = 2**24


def attention_flow(weights: np.ndarray, *, queries: int) -> np.ndarray:
  """Returns the maximum flow from each query to each token of the input.

  Args:
    weights: (layers, n, n), the first layer first; rows add up to 1.
    queries: number of tokens behind the last layer, from the first one, whose
      flows are computed.

  Returns:
    (queries, n) float32, exact to n * layers * 2^-24.

  Raises:
    ValueError: there are too many tokens, or a weight is not in [0, 1].
  """
  weights = np.asarray(weights, np.float64)
  check_tokens(weights.shape[-1])
  if not (weights.min() >= 0 and weights.max() <= 1 + 1e-5):
    raise ValueError(
      f"weights are in [{weights.min():.4g}, {weights.max():.4g}]; expected "
      "[0, 1], as behind a softmax"
    )
  depth, n, _ = weights.shape
  network = _network(weights)
  flows = [
    [
      scipy.sparse.csgraph.maximum_flow(network, depth * n + i, j).flow_value
      for j in range(n)
    ]
    for i in range(queries)
  ]
  return np.asarray(flows, np.float32) / _UNITS


def check_tokens(n: int) -> None:
  """Raises ValueError for more tokens than a flow is computed for."""
  if n > MOST_TOKENS:
    raise ValueError(
      f"attention flow of {n} tokens takes too long; use images with at most "
      f"{MOST_TOKENS} tokens, or rollout"
    )


def _network(weights: np.ndarray) -> scipy.sparse.csr_array:
  """Returns the capacities; node l * n + i is token i behind layer l."""
  depth, n, _ = weights.shape
  capacities = np.rint(weights * _UNITS).astype(np.int32)
  layer, query, key = np.nonzero(capacities)
  return scipy.sparse.csr_array(
    (capacities[layer, query, key], ((layer + 1) * n + query, layer * n + key)),
    shape=((depth + 1) * n,) * 2,
  )

"""Classification by the nearest examples, weighted by their cosine similarity.

The k examples nearest to a query vote for their classes with the weight
exp(similarity / temperature) (Wu et al. 2018, "Unsupervised Feature Learning
via Non-Parametric Instance Discrimination"; k 20 and temperature 0.07 as in
DINO, Caron et al. 2021). Of equally near examples the first count.

The search is exact. Each device of a mesh holds its share of the examples and
finds the k nearest among them, of which the k nearest of all are taken. Beside
the features and the logits, a device needs n d / devices + 256 (4096 + d)
numbers: similarities exist for 256 queries and 4096 examples at a time.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxvision import parallel
from jaxvision.evaluation.probes import checks

_EXAMPLES, _QUERIES = 4096, 256


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=("examples", "labels"),
  meta_fields=("num_classes", "k", "temperature", "mesh"),
)
@dataclasses.dataclass(frozen=True)
class Bank:
  """The examples that vote.

  Attributes:
    examples: (rows, d) float32 of length 1, split over the mesh.
    labels: (rows,) int32, -1 in rows that only fill up the last share.
    num_classes: how many classes there are.
    k: how many examples vote.
    temperature: of their weights.
    mesh: that holds the examples.
  """

  examples: jax.Array
  labels: jax.Array
  num_classes: int
  k: int
  temperature: float
  mesh: Mesh


def fit(
  features: np.ndarray,
  labels: np.ndarray,
  *,
  num_classes: int,
  k: int = 20,
  temperature: float = 0.07,
  mesh: Mesh | None = None,
) -> Bank:
  """Lays the examples out over the devices; not to be called under `jit`.

  Args:
    features: (n, d).
    labels: (n,), integers in [0, num_classes).
    num_classes: how many classes there are; some may have no example.
    k: how many examples vote, at most n.
    temperature: the smaller, the more the nearest of them decide.
    mesh: that shares the examples; by default of all devices.

  Raises:
    ValueError: features that are not finite, labels outside the classes, k
      outside [1, n], a temperature that is not positive.
  """
  checks.check(features, labels, num_classes=num_classes)
  if not 1 <= k <= len(labels):
    raise ValueError(
      f"k is {k}, and there are {len(labels)} examples; k must be in "
      f"[1, {len(labels)}]"
    )
  if not temperature > 0:
    raise ValueError(f"temperature is {temperature}; it must be positive")
  mesh = parallel.make_mesh() if mesh is None else mesh
  share = math.ceil(len(labels) / mesh.size)
  block = min(_EXAMPLES, share)
  rows = math.ceil(share / block) * block * mesh.size
  place = functools.partial(_place, rows=rows, mesh=mesh)
  return Bank(
    examples=jax.jit(_unit)(place(np.asarray(features, np.float32), filling=0)),
    labels=place(np.asarray(labels, np.int32), filling=-1),
    num_classes=num_classes,
    k=k,
    temperature=temperature,
    mesh=mesh,
  )


def predict(bank: Bank, features: jax.Array) -> jax.Array:
  """Returns the logarithm of each class's share of the votes.

  Args:
    bank: from `fit`.
    features: (m, d).

  Returns:
    (m, num_classes) float32; without votes -87.3, the smallest logarithm.
  """
  whole = parallel.replicated(bank.mesh)
  return _predict(bank, jax.device_put(features, whole))


@jax.jit
def _predict(bank, features):
  shared, found = (
    parallel.batch_sharding(bank.mesh, axis=axis).spec for axis in (0, 1)
  )
  search = jax.shard_map(
    functools.partial(_nearest, bank.k),
    mesh=bank.mesh,
    in_specs=(shared, shared, PartitionSpec()),
    out_specs=found,
    # The search begins with constants, which every device has alike.
    check_vma=False,
  )
  similarities, labels = jax.lax.with_sharding_constraint(
    search(bank.examples, bank.labels, _unit(features)),
    parallel.replicated(bank.mesh),
  )
  similarities, chosen = jax.lax.top_k(similarities, bank.k)
  labels = jnp.take_along_axis(labels, chosen, axis=1)
  # The nearest first, whose weight 1 keeps the others from overflowing.
  weights = jnp.exp((similarities - similarities[:, :1]) / bank.temperature)
  votes = jnp.zeros((len(features), bank.num_classes))
  votes = votes.at[jnp.arange(len(features))[:, None], labels].add(weights)
  shares = votes / jnp.sum(weights, axis=1, keepdims=True)
  return jnp.log(jnp.maximum(shares, jnp.finfo(jnp.float32).tiny))


def _nearest(k, examples, labels, queries):
  """(m, k) similarities of the nearest among one device's, and their labels."""
  block = min(_EXAMPLES, len(examples))
  blocks = (examples.reshape(-1, block, examples.shape[1]),)
  blocks += (labels.reshape(-1, block),)

  def of_one(query):
    def update(nearest, block):
      found = jnp.dot(block[0], query, precision="highest")
      found = jnp.where(block[1] < 0, -jnp.inf, found)
      # Those found before come first, and so win where they are equal.
      similarities = jnp.concatenate((nearest[0], found))
      similarities, chosen = jax.lax.top_k(similarities, k)
      return (similarities, jnp.concatenate((nearest[1], block[1]))[chosen]), ()

    nobody = (jnp.full(k, -jnp.inf), jnp.full(k, -1, jnp.int32))
    return jax.lax.scan(update, nobody, blocks)[0]

  return jax.lax.map(of_one, queries, batch_size=_QUERIES)


def _unit(features: jax.Array) -> jax.Array:
  features = features.astype(jnp.float32)
  length = jnp.linalg.norm(features, axis=1, keepdims=True)
  return features / jnp.maximum(length, 1e-12)


def _place(array: np.ndarray, *, rows: int, mesh: Mesh, filling: int):
  """Gives each device its rows, without a filled-up copy of them all."""

  def share(index: tuple[slice, ...]) -> np.ndarray:
    own = array[index]
    start, stop, _ = index[0].indices(rows)
    filled = [(0, stop - start - len(own))] + [(0, 0)] * (array.ndim - 1)
    return np.pad(own, filled, constant_values=filling)

  return jax.make_array_from_callback(
    (rows, *array.shape[1:]), parallel.batch_sharding(mesh), share
  )

"""k-nearest-neighbour classification, by cosine or Euclidean distance.

The k nearest examples vote for their classes with the weight exp(similarity /
temperature) (Wu et al. 2018, "Unsupervised Feature Learning via Non-Parametric
Instance Discrimination"; k 20 and temperature 0.07 as in DINO, Caron et al.
2021). Without a temperature all votes are equal, as in the classical form:
`knn(k=3, distance="euclidean", temperature=None)`. Of equally near examples,
the first ones are used.

The similarity is the cosine, or minus half of the squared Euclidean distance.
The latter is a product, too, up to a number that is equal for all examples:
`[x, -|x|^2 / 2] [q, 1] = (|q|^2 - |x - q|^2) / 2`.

The search is exact. Each device of a mesh has a part of the examples and finds
its k nearest; the k nearest of these are the result. Besides features and
logits, a device needs n d / devices + 256 (4096 + d) numbers, because
similarities are computed for 256 queries and 4096 examples at a time.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxvision import lookup, parallel
from jaxvision.evaluation.probes import checks

DISTANCES = ("cosine", "euclidean")
_EXAMPLES, _QUERIES = 4096, 256


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=("examples", "labels", "center"),
  meta_fields=("num_classes", "k", "temperature", "mesh"),
)
@dataclasses.dataclass(frozen=True)
class Bank:
  """The examples of a k-nearest-neighbour classifier.

  Attributes:
    examples: float32, split over the mesh: (rows, d) of length 1, or for the
      Euclidean distance (rows, d + 1).
    labels: (rows,) int32, -1 in padding rows.
    center: (d,) mean of the examples; None for the cosine.
    num_classes: number of classes.
    k: number of neighbours.
    temperature: temperature of the weights; None for equal weights.
    mesh: the mesh of the examples.
  """

  examples: jax.Array
  labels: jax.Array
  center: jax.Array | None
  num_classes: int
  k: int
  temperature: float | None
  mesh: Mesh


def fit(
  features: np.ndarray,
  labels: np.ndarray,
  *,
  num_classes: int,
  k: int = 20,
  temperature: float | None = 0.07,
  distance: str = "cosine",
  mesh: Mesh | None = None,
) -> Bank:
  """Distributes the examples over the devices; do not call it under `jit`.

  Args:
    features: (n, d).
    labels: (n,), integers in [0, num_classes).
    num_classes: number of classes; some may have no example.
    k: number of neighbours, at most n.
    temperature: a smaller value gives more weight to the nearest neighbours;
      None gives equal weights.
    distance: one of `DISTANCES`.
    mesh: the mesh; all devices by default.

  Raises:
    ValueError: features are not finite, labels are outside the classes, k is
      outside [1, n], the temperature is not positive, or the distance is
      unknown.
  """
  checks.check(features, labels, num_classes=num_classes)
  if not 1 <= k <= len(labels):
    raise ValueError(
      f"k is {k}, but there are {len(labels)} examples; k must be in "
      f"[1, {len(labels)}]"
    )
  if temperature is not None and not temperature > 0:
    raise ValueError(
      f"temperature is {temperature}; it must be positive, or None"
    )
  if distance not in DISTANCES:
    raise ValueError(lookup.unknown("distance", distance, DISTANCES))
  mesh = parallel.make_mesh() if mesh is None else mesh
  share = math.ceil(len(labels) / mesh.size)
  block = min(_EXAMPLES, share)
  rows = math.ceil(share / block) * block * mesh.size
  place = functools.partial(_place, rows=rows, mesh=mesh)
  features, center = np.asarray(features, np.float32), None
  if distance == "euclidean":
    # Distances do not change, and are exact also far from the origin.
    center = features.mean(axis=0, dtype=np.float64).astype(np.float32)
  placed = place(features, filling=0)
  return Bank(
    examples=jax.jit(_as_examples)(placed, center),
    labels=place(np.asarray(labels, np.int32), filling=-1),
    center=center,
    num_classes=num_classes,
    k=k,
    temperature=temperature,
    mesh=mesh,
  )


def predict(bank: Bank, features: jax.Array) -> jax.Array:
  """Returns the logarithm of each class's fraction of the votes.

  Args:
    bank: from `fit`.
    features: (m, d).

  Returns:
    (m, num_classes) float32; -87.3, the smallest logarithm, without votes.
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
    # The initial values are constants, equal on all devices.
    check_vma=False,
  )
  similarities, labels = jax.lax.with_sharding_constraint(
    search(bank.examples, bank.labels, _as_queries(features, bank.center)),
    parallel.replicated(bank.mesh),
  )
  similarities, chosen = jax.lax.top_k(similarities, bank.k)
  labels = jnp.take_along_axis(labels, chosen, axis=1)
  if bank.temperature is None:
    weights = jnp.ones_like(similarities)
  else:
    # Relative to the nearest: its weight is 1, so no weight overflows.
    weights = jnp.exp((similarities - similarities[:, :1]) / bank.temperature)
  votes = jnp.zeros((len(features), bank.num_classes))
  votes = votes.at[jnp.arange(len(features))[:, None], labels].add(weights)
  shares = votes / jnp.sum(weights, axis=1, keepdims=True)
  return jnp.log(jnp.maximum(shares, jnp.finfo(jnp.float32).tiny))


def _nearest(k, examples, labels, queries):
  """(m, k) similarities and labels of the nearest examples of one device."""
  block = min(_EXAMPLES, len(examples))
  blocks = (examples.reshape(-1, block, examples.shape[1]),)
  blocks += (labels.reshape(-1, block),)

  def of_one(query):
    def update(nearest, block):
      found = jnp.dot(block[0], query, precision="highest")
      found = jnp.where(block[1] < 0, -jnp.inf, found)
      # Earlier examples come first, so they win ties.
      similarities = jnp.concatenate((nearest[0], found))
      similarities, chosen = jax.lax.top_k(similarities, k)
      return (similarities, jnp.concatenate((nearest[1], block[1]))[chosen]), ()

    nothing = (jnp.full(k, -jnp.inf), jnp.full(k, -1, jnp.int32))
    return jax.lax.scan(update, nothing, blocks)[0]

  return jax.lax.map(of_one, queries, batch_size=_QUERIES)


def _as_examples(features: jax.Array, center: jax.Array | None) -> jax.Array:
  """The left factors of the similarities."""
  if center is None:
    return _unit(features)
  features = features.astype(jnp.float32) - center[None]
  squares = jnp.sum(features**2, axis=1, keepdims=True)
  return jnp.concatenate((features, -squares / 2), axis=1)


def _as_queries(features: jax.Array, center: jax.Array | None) -> jax.Array:
  """The right factors of the similarities."""
  if center is None:
    return _unit(features)
  features = features.astype(jnp.float32) - center[None]
  return jnp.pad(features, ((0, 0), (0, 1)), constant_values=1.0)


def _unit(features: jax.Array) -> jax.Array:
  features = features.astype(jnp.float32)
  length = jnp.linalg.norm(features, axis=1, keepdims=True)
  return features / jnp.maximum(length, 1e-12)


def _place(array: np.ndarray, *, rows: int, mesh: Mesh, filling: int):
  """Gives each device its rows, without a padded copy of all rows."""

  def share(index: tuple[slice, ...]) -> np.ndarray:
    own = array[index]
    start, stop, _ = index[0].indices(rows)
    filled = [(0, stop - start - len(own))] + [(0, 0)] * (array.ndim - 1)
    return np.pad(own, filled, constant_values=filling)

  return jax.make_array_from_callback(
    (rows, *array.shape[1:]), parallel.batch_sharding(mesh), share
  )

"""Linear and quadratic discriminant analysis, with shrinkage.

Each class is a normal distribution around its mean, with the frequency of the
class in the examples. In the linear analysis, all classes share one covariance:
the mean over classes, weighted by frequency. In the quadratic analysis, each
class has its own covariance. Hastie, Tibshirani and Friedman, "The Elements of
Statistical Learning", 4.3. Features can first be projected on their principal
components, as in LeCun et al. 1998 for digits.

Computation is in float32, on centred features. Covariances are summed over
blocks of examples, class by class. The time is about that of the product X'X.
The memory is a few copies of the features and a few d x d matrices; the
quadratic analysis has one matrix per class.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import lookup
from jaxvision.evaluation.probes import checks

Tree = Any

KINDS = ("linear", "quadratic")

_BLOCK = 1024  # maximum number of rows
_EPSILON = float(np.finfo(np.float32).eps)


def fit(
  features: jax.Array,
  labels: jax.Array,
  *,
  num_classes: int,
  kind: str = "linear",
  shrinkage: float | str = 0.0,
  components: int = 0,
) -> Tree:
  """Estimates means, covariances and frequencies.

  Args:
    features: (n, d).
    labels: (n,), integers in [0, num_classes).
    num_classes: number of classes; each needs at least one example.
    kind: "linear" or "quadratic".
    shrinkage: fraction in [0, 1] of a covariance that is replaced. The linear
      analysis replaces it by the mean variance in all directions; the quadratic
      analysis by the variance 1 (regularised discriminant analysis for features
      of this scale). "ledoit_wolf", in the linear analysis only, estimates the
      fraction for each class on standardised features (Ledoit and Wolf 2004, "A
      well-conditioned estimator for large-dimensional covariance matrices").
      Without shrinkage, the linear analysis ignores directions without
      variance.
    components: number of principal components of the features that are
      analysed, at most d; 0 for the features themselves.

  Returns:
    linear: {center (d,), kernel (d, k), bias (k,)}; quadratic: {center (d,),
    mean (k, d), factor (k, d, d) lower triangular, bias (k,)}. With components
    also origin (d,) and axes (d, components); the others have d = components.

  Raises:
    ValueError: a class has no examples, features are not finite, labels are
      outside the classes, the kind or shrinkage is unknown, or components is
      outside [0, d]; in the quadratic analysis also if a class has no
      variance in some direction.
  """
  _check_options(kind, shrinkage)
  checks.check(features, labels, num_classes=num_classes)
  least = 2 if kind == "quadratic" else 1
  checks.check_classes(labels, num_classes=num_classes, at_least=least)
  if components:
    projection = _principal(features, components)
    tree = fit(
      _project(projection, features),
      labels,
      num_classes=num_classes,
      kind=kind,
      shrinkage=shrinkage,
    )
    return {**tree, **projection}
  if kind == "linear":
    return _fit_linear(
      features, labels, num_classes=num_classes, shrinkage=shrinkage
    )
  tree, spread = _fit_quadratic(
    features, labels, num_classes=num_classes, shrinkage=shrinkage
  )
  if not isinstance(spread, jax.core.Tracer):
    _check_spread(np.asarray(spread), features.shape[1], shrinkage)
  return tree


def predict(tree: Tree, features: jax.Array) -> jax.Array:
  """Returns the logits (m, num_classes) of features (m, d).

  Their softmax is the probability of each class.
  """
  with jax.default_matmul_precision("highest"):
    if "axes" in tree:
      features = _project(tree, features)
    features = features.astype(jnp.float32) - tree["center"][None]
    if "kernel" in tree:
      return features @ tree["kernel"] + tree["bias"][None]
    distances = jax.lax.map(
      lambda normal: _squared_distance(*normal, features),
      (tree["mean"], tree["factor"]),
    )
    return tree["bias"][None] - 0.5 * distances.T


def _check_options(kind: str, shrinkage: float | str) -> None:
  if kind not in KINDS:
    raise ValueError(lookup.unknown("discriminant analysis", kind, KINDS))
  if isinstance(shrinkage, str):
    if shrinkage != "ledoit_wolf" or kind == "quadratic":
      raise ValueError(
        f"shrinkage is {shrinkage!r}; it must be a number in [0, 1], or "
        '"ledoit_wolf" in the linear analysis'
      )
  elif not 0 <= shrinkage <= 1:
    raise ValueError(f"shrinkage is {shrinkage}; it must be in [0, 1]")


def _principal(features: jax.Array, components: int) -> Tree:
  """Returns {origin (d,), axes (d, components)} of features (n, d).

  Raises:
    ValueError: there are fewer features than components.
  """
  size = features.shape[1]
  if not 0 < components <= size:
    raise ValueError(
      f"components is {components}, but there are {size} features; it must be "
      f"in [0, {size}]"
    )
  with jax.default_matmul_precision("highest"):
    features = jnp.asarray(features, jnp.float32)
    origin = jnp.mean(features, axis=0)
    centred = features - origin[None]
    _, vectors = jnp.linalg.eigh(centred.T @ centred)
  return {"origin": origin, "axes": vectors[:, ::-1][:, :components]}


def _project(projection: Tree, features: jax.Array) -> jax.Array:
  """Returns the principal components (n, components) of features (n, d)."""
  with jax.default_matmul_precision("highest"):
    centred = jnp.asarray(features, jnp.float32) - projection["origin"][None]
    return centred @ projection["axes"]


def _check_spread(spread: np.ndarray, size: int, shrinkage: float) -> None:
  flat = np.flatnonzero(~(spread > _EPSILON * size))
  if len(flat):
    raise ValueError(
      f"{len(flat)} of {len(spread)} classes, the first is class {flat[0]}, do "
      "not vary in some direction of the features, with shrinkage "
      f"{shrinkage}; raise the shrinkage, for example to 0.1, or use more "
      "examples of these classes than features"
    )


@functools.partial(jax.jit, static_argnames=("num_classes", "shrinkage"))
def _fit_linear(features, labels, *, num_classes, shrinkage):
  with jax.default_matmul_precision("highest"):
    sample = _center(features, labels, num_classes)
    priors = sample["count"] / len(labels)

    def add(total, each):
      covariance = _covariance(sample, each)
      if shrinkage == "ledoit_wolf":
        covariance = _ledoit_wolf(sample, each, covariance)
      return total + priors[each] * covariance, ()

    empty = jnp.zeros((features.shape[1],) * 2)
    covariance, _ = jax.lax.scan(add, empty, jnp.arange(num_classes))
    if shrinkage != "ledoit_wolf":
      level = jnp.trace(covariance) / len(covariance)
      covariance = _shrink(covariance, shrinkage, level)
    kernel = _solve(covariance, sample["mean"].T)
    level = jnp.sum(sample["mean"].T * kernel, axis=0)
  return {
    "center": sample["center"],
    "kernel": kernel,
    "bias": jnp.log(priors) - 0.5 * level,
  }


@functools.partial(jax.jit, static_argnames=("num_classes", "shrinkage"))
def _fit_quadratic(features, labels, *, num_classes, shrinkage):
  """The tree, and (k,) the smallest relative variance of each class."""
  with jax.default_matmul_precision("highest"):
    sample = _center(features, labels, num_classes)

    def factor(each):
      covariance = _shrink(_covariance(sample, each), shrinkage, 1.0)
      lower = jnp.linalg.cholesky(covariance)
      own = jnp.diagonal(lower) ** 2
      # Variance not explained by the features before; 0 if collinear.
      spread = jnp.min(own / jnp.diagonal(covariance))
      return lower, jnp.sum(jnp.log(own)), spread

    lower, volume, spread = jax.lax.map(factor, jnp.arange(num_classes))
  tree = {
    "center": sample["center"],
    "mean": sample["mean"],
    "factor": lower,
    "bias": jnp.log(sample["count"] / len(labels)) - 0.5 * volume,
  }
  return tree, spread


def _center(features, labels, num_classes):
  """Examples sorted by class, minus the mean of their class.

  Returns:
    {center (d,), mean (k, d) relative to it, count, start (k,) int32, rows
    (n + block, d), block}: the rows of a class are `count` rows from `start`,
    which are read in blocks of `block` rows.
  """
  block = min(_BLOCK, max(8, len(labels) // num_classes))
  features = features.astype(jnp.float32)
  center = jnp.mean(features, axis=0)
  order = jnp.argsort(labels)
  labels = labels[order]
  count = jnp.bincount(labels, length=num_classes)
  sample = {"center": center, "count": count, "block": block}
  sample["start"] = jnp.cumsum(count) - count

  def pad(rows):  # A block may extend beyond the last row.
    return jnp.pad(rows, ((0, block), (0, 0)))

  sample["rows"] = pad((features - center[None])[order])
  sample["mean"] = jnp.zeros((num_classes, features.shape[1]))
  # The second pass removes the rounding error of the first.
  for _ in range(2):
    more = _means(sample, num_classes)
    sample["mean"] += more
    sample["rows"] -= pad(more[labels])
  # Differences below the last digit of a feature are not variance.
  digit = 4 * _EPSILON * (jnp.abs(center)[None] + jnp.abs(sample["mean"]))
  varies = jnp.abs(sample["rows"]) > pad(digit[labels])
  return sample | {"rows": jnp.where(varies, sample["rows"], 0.0)}


def _means(sample, num_classes):
  """(k, d) class means of the present rows."""
  empty = jnp.zeros(sample["rows"].shape[1])

  def mean(each):
    total = _sum_over(sample, each, lambda rows: jnp.sum(rows, axis=0), empty)
    return total / sample["count"][each]

  return jax.lax.map(mean, jnp.arange(num_classes))


def _sum_over(sample, each, term, start):
  """start plus the sum of term(rows) over the blocks of a class."""
  first, count = sample["start"][each], sample["count"][each]
  block = sample["block"]

  def add(number, total):
    rows = jax.lax.dynamic_slice_in_dim(
      sample["rows"], first + number * block, block
    )
    own = jnp.arange(block) < count - number * block
    return total + term(jnp.where(own[:, None], rows, 0.0))

  return jax.lax.fori_loop(0, -(-count // block), add, start)


def _covariance(sample, each):
  """(d, d) maximum-likelihood covariance (divided by n)."""
  empty = jnp.zeros((sample["rows"].shape[1],) * 2)
  scatter = _sum_over(sample, each, lambda rows: rows.T @ rows, empty)
  return scatter / sample["count"][each]


def _ledoit_wolf(sample, each, covariance):
  """The covariance of a class, shrunk by the Ledoit-Wolf estimate."""
  variance = jnp.diagonal(covariance)
  # As in scikit-learn: a constant feature is not scaled.
  scale = jnp.where(variance > 0, jnp.sqrt(variance), 1.0)
  standard = covariance / scale[:, None] / scale[None]
  count, size = sample["count"][each], len(variance)
  level = jnp.trace(standard) / size
  fourth = _sum_over(
    sample,
    each,
    lambda rows: jnp.sum(jnp.sum((rows / scale[None]) ** 2, axis=1) ** 2),
    0.0,
  )
  squares = jnp.sum(standard**2)
  # Error of the estimate, and its distance from the target.
  error = (fourth / count - squares) / count
  distance = jnp.sum((standard - level * jnp.eye(size)) ** 2)
  share = jnp.minimum(error, distance) / jnp.where(distance > 0, distance, 1.0)
  standard = _shrink(standard, jnp.maximum(share, 0.0), level)
  return standard * scale[:, None] * scale[None]


def _shrink(covariance, share, level):
  """Replaces a fraction of it by the variance `level` in all directions."""
  identity = jnp.eye(len(covariance))
  return (1.0 - share) * covariance + share * level * identity


def _solve(covariance, right):
  """covariance^-1 right, without directions of zero variance."""
  variance = jnp.diagonal(covariance)
  # Correlations, so that the units of features do not affect singularity.
  scale = jnp.where(variance > 0, 1.0 / jnp.sqrt(variance), 0.0)
  values, vectors = jnp.linalg.eigh(covariance * scale[:, None] * scale[None])
  kept = values > _EPSILON * len(values) * values[-1]
  inverse = jnp.where(kept, 1.0 / jnp.where(kept, values, 1.0), 0.0)
  solved = vectors.T @ (scale[:, None] * right)
  return scale[:, None] * (vectors @ (inverse[:, None] * solved))


def _squared_distance(mean, factor, features):
  """(m,) squared Mahalanobis distances from the mean of a class."""
  white = jax.scipy.linalg.solve_triangular(
    factor, (features - mean[None]).T, lower=True
  )
  return jnp.sum(white**2, axis=0)

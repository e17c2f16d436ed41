"""Few-shot classification by ridge regression in closed form.

The protocol of the BiT and ViT papers, as in big_vision's `fewshot_lsr`:
features are standardised by the mean and the standard deviation (plus 1e-5) of
the shots, a constant feature of 100 is the bias, targets are -1 and 1, and the
kernel is (X'X + strength I)^-1 X'Y with strength 2^10.

Computation is in float32. The constant feature is orthogonal to the others,
which have mean 0, so its weight has a closed form. The others use the singular
values of X, which lose half as many digits as those of X'X.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.evaluation.probes import checks

Tree = Any

STRENGTH = 2.0**10  # big_vision: configs/bit_i21k.py, vit_s16_i1k.py
# Candidates of "leave_one_out". Singular values of standardised features are
# about sqrt(n), so strengths below 1 have no effect.
STRENGTHS = tuple(2.0**i for i in range(21))

_BIAS = 100.0


def draw(
  labels: np.ndarray, *, shots: int, num_classes: int, seed: int
) -> np.ndarray:
  """Draws random examples of each class.

  With the same seed, fewer shots are a subset of more shots.

  Args:
    labels: (n,), integers in [0, num_classes).
    shots: examples per class.
    num_classes: number of classes.
    seed: seed of the draw.

  Returns:
    (num_classes * shots,) int64, unique rows, class by class.

  Raises:
    ValueError: a class has fewer examples than shots.
  """
  if shots < 1:
    raise ValueError(f"{shots} shots; each class needs at least 1")
  checks.check_classes(labels, num_classes=num_classes, at_least=shots)
  rng = np.random.default_rng(seed)
  rows = [
    rng.permutation(np.flatnonzero(np.asarray(labels) == each))[:shots]
    for each in range(num_classes)
  ]
  return np.concatenate(rows)


def fit(
  features: jax.Array,
  labels: jax.Array,
  *,
  num_classes: int,
  strength: float | str = STRENGTH,
) -> Tree:
  """Fits the kernel; there may be more features than examples.

  Args:
    features: (n, d).
    labels: (n,), integers in [0, num_classes).
    num_classes: number of classes; some may have no example.
    strength: strength of the L2 regularisation. "leave_one_out" selects the
      value of `STRENGTHS` with the smallest squared error when each example is
      predicted from all others.

  Returns:
    {mean (d,), std (d,), kernel (d, num_classes), bias (num_classes,),
    strength ()}.

  Raises:
    ValueError: features are not finite, labels are outside the classes, or the
      strength is not positive.
  """
  checks.check(features, labels, num_classes=num_classes)
  if strength != "leave_one_out" and not (
    isinstance(strength, int | float) and strength > 0
  ):
    raise ValueError(
      f"strength is {strength!r}; it must be a positive number, such as "
      f'{STRENGTH:g}, or "leave_one_out"'
    )
  strengths = STRENGTHS if strength == "leave_one_out" else (float(strength),)
  return _fit(features, labels, num_classes=num_classes, strengths=strengths)


def predict(tree: Tree, features: jax.Array) -> jax.Array:
  """Returns the logits (m, num_classes) of features (m, d)."""
  with jax.default_matmul_precision("highest"):
    standardised = (features - tree["mean"][None]) / tree["std"][None]
    return standardised @ tree["kernel"] + tree["bias"][None]


@functools.partial(jax.jit, static_argnames=("num_classes", "strengths"))
def _fit(features, labels, *, num_classes, strengths):
  with jax.default_matmul_precision("highest"):
    features = features.astype(jnp.float32)
    mean = jnp.mean(features, axis=0, keepdims=True)
    # A second time: the division would amplify the rounding error of the mean
    # of a constant feature.
    mean += jnp.mean(features - mean, axis=0, keepdims=True)
    std = jnp.std(features, axis=0, keepdims=True) + 1e-5
    left, values, right = jnp.linalg.svd(
      (features - mean) / std, full_matrices=False
    )
    targets = 2.0 * jax.nn.one_hot(labels, num_classes) - 1.0
    strengths = jnp.asarray(strengths)
    strength = strengths[0]
    if len(strengths) > 1:
      errors = functools.partial(left_out_error, left, values, targets)
      strength = strengths[jnp.argmin(jax.lax.map(errors, strengths))]
    shrunk = values / (values**2 + strength)
    kernel = right.T @ (shrunk[:, None] * (left.T @ targets))
    bias = _bias_share(len(labels), strength) * jnp.mean(targets, axis=0)
  return {
    "mean": mean[0],
    "std": std[0],
    "kernel": kernel,
    "bias": bias,
    "strength": strength,
  }


def _bias_share(num_examples, strength):
  """The factor of the mean target under regularisation, close to 1."""
  return 1.0 / (1.0 + strength / (num_examples * _BIAS**2))


def left_out_error(
  left: jax.Array, values: jax.Array, targets: jax.Array, strength: float
) -> jax.Array:
  """The mean squared error of the prediction of each example from all others.

  The error is the residual divided by 1 - h, where h is the weight of the
  example in its own prediction (Allen's PRESS statistic, 1974).
  """
  shares = values**2 / (values**2 + strength)
  fitted = left @ (shares[:, None] * (left.T @ targets))
  bias = _bias_share(len(targets), strength)
  fitted += bias * jnp.mean(targets, axis=0, keepdims=True)
  own = jnp.sum(left**2 * shares[None], axis=1) + bias / len(targets)
  return jnp.mean(((targets - fitted) / (1.0 - own)[:, None]) ** 2)

"""Few-shot classification by ridge regression in closed form.

The protocol of the BiT and ViT papers, as big_vision's `fewshot_lsr` has it:
features are standardised by the mean and the standard deviation (plus 1e-5) of
the shots, a constant feature of 100 is the bias, targets are -1 and 1, and the
kernel is (X'X + strength I)^-1 X'Y with strength 2^10.

Everything is float32. The constant feature is orthogonal to the others, which
have mean 0, so its weight is known beforehand, and the singular values of the
others alone are needed: they lose half as many digits as those of X'X.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.evaluation.probes import checks

Tree = Any

STRENGTH = 2.0**10  # big_vision: configs/bit_i21k.py, vit_s16_i1k.py
# What "leave_one_out" chooses from. Standardised features have singular values
# of about the root of n: below 1 nothing changes any more.
STRENGTHS = tuple(2.0**i for i in range(21))

_BIAS = 100.0


def draw(
  labels: np.ndarray, *, shots: int, num_classes: int, seed: int
) -> np.ndarray:
  """Draws examples of every class at random.

  With one seed, the examples of few shots are among those of more shots.

  Args:
    labels: (n,), integers in [0, num_classes).
    shots: examples per class.
    num_classes: how many classes there are.
    seed: of the choice.

  Returns:
    (num_classes * shots,) int64, rows without repetition, class by class.

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
  """Fits the kernel; the number of features may exceed that of examples.

  Args:
    features: (n, d).
    labels: (n,), integers in [0, num_classes).
    num_classes: how many classes there are; some may have no example.
    strength: of the regularisation, on the sum of squares; "leave_one_out"
      takes the one of `STRENGTHS` with the least squared error when every
      example is predicted by all others.

  Returns:
    {mean (d,), std (d,), kernel (d, num_classes), bias (num_classes,),
    strength ()}.

  Raises:
    ValueError: features that are not finite, labels outside the classes, a
      strength that is not positive.
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
    # Once more, or a constant feature that is off by its last digit is blown
    # up by the division.
    mean += jnp.mean(features - mean, axis=0, keepdims=True)
    std = jnp.std(features, axis=0, keepdims=True) + 1e-5
    left, values, right = jnp.linalg.svd(
      (features - mean) / std, full_matrices=False
    )
    targets = 2.0 * jax.nn.one_hot(labels, num_classes) - 1.0
    strengths = jnp.asarray(strengths)
    strength = strengths[0]
    if len(strengths) > 1:
      errors = functools.partial(_left_out_error, left, values, targets)
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
  """What regularisation leaves of the mean target: almost all."""
  return 1.0 / (1.0 + strength / (num_examples * _BIAS**2))


def _left_out_error(left, values, targets, strength):
  """The mean squared error of each example predicted by all others.

  That is the residual divided by 1 - h, where h is the weight of an example in
  its own prediction (Allen's PRESS statistic, 1974).
  """
  shares = values**2 / (values**2 + strength)
  fitted = left @ (shares[:, None] * (left.T @ targets))
  bias = _bias_share(len(targets), strength)
  fitted += bias * jnp.mean(targets, axis=0, keepdims=True)
  own = jnp.sum(left**2 * shares[None], axis=1) + bias / len(targets)
  return jnp.mean(((targets - fitted) / (1.0 - own)[:, None]) ** 2)

"""Distances between the features of real and of generated images.

Features are (n, d) arrays; all computation is in float64, without JAX.
"""

import numpy as np

_BLOCK = 2**20  # pairs whose kernels are in memory at a time


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The mean (d,) and the covariance (d, d), with n - 1, of features (n, d).

  Raises:
    ValueError: fewer than two examples.
  """
  features = _checked(features)
  mean = features.mean(axis=0)
  around = features - mean
  return mean, around.T @ around / (len(features) - 1)


def frechet_distance(
  mean: np.ndarray,
  covariance: np.ndarray,
  other_mean: np.ndarray,
  other_covariance: np.ndarray,
) -> float:
  """The squared Fréchet distance of two Gaussians (Dowson and Landau 1982).

  |m - n|^2 + tr(A + B - 2 (A B)^(1/2)), as in Heusel et al. 2017, GANs Trained
  by a Two Time-Scale Update Rule, equation 6. The trace of the root is that of
  the symmetric (A^(1/2) B A^(1/2))^(1/2), so no complex number appears, also
  for covariances without full rank.

  Args:
    mean, other_mean: (d,).
    covariance, other_covariance: (d, d), symmetric.
  """
  a, b = (np.asarray(x, np.float64) for x in (covariance, other_covariance))
  root = _root(a)
  eigenvalues = np.linalg.eigvalsh(root @ b @ root)
  cross = np.sqrt(np.maximum(eigenvalues, 0.0)).sum()
  apart = np.asarray(mean, np.float64) - np.asarray(other_mean, np.float64)
  return float(apart @ apart + np.trace(a) + np.trace(b) - 2 * cross)


def kernel_distance(features: np.ndarray, others: np.ndarray) -> float:
  """The unbiased squared maximum mean discrepancy, with a cubic kernel.

  k(x, y) = (x . y / d + 1)^3, as in Binkowski et al. 2018, Demystifying MMD
  GANs, section 4. It may be negative. The complete sets are used.

  Args:
    features: (n, d), n at least 2.
    others: (m, d), m at least 2.

  Raises:
    ValueError: fewer than two examples, or features of different lengths.
  """
  features, others = _checked(features), _checked(others)
  if features.shape[1] != others.shape[1]:
    raise ValueError(
      f"features of {features.shape[1]} and {others.shape[1]} numbers; compare "
      "features of the same layer"
    )
  own = _mean_of_pairs(features) + _mean_of_pairs(others)
  cross = _kernel_sum(features, others) / (len(features) * len(others))
  return float(own - 2 * cross)


def _mean_of_pairs(features: np.ndarray) -> float:
  """The mean of the kernel over pairs of different examples."""
  count, size = features.shape
  own = (np.square(features).sum(axis=1) / size + 1) ** 3
  return (_kernel_sum(features, features) - own.sum()) / (count * (count - 1))


def _kernel_sum(a: np.ndarray, b: np.ndarray) -> float:
  """The sum of the kernel over all pairs, in blocks of limited memory."""
  rows = max(_BLOCK // len(b), 1)
  return sum(
    ((a[i : i + rows] @ b.T / a.shape[1] + 1) ** 3).sum()
    for i in range(0, len(a), rows)
  )


def _root(matrix: np.ndarray) -> np.ndarray:
  """The symmetric root of a positive semidefinite matrix."""
  values, vectors = np.linalg.eigh(matrix)
  return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def _checked(features: np.ndarray) -> np.ndarray:
  features = np.asarray(features, np.float64)
  if features.ndim != 2 or len(features) < 2:
    raise ValueError(
      f"features of the shape {features.shape}; expected (n, d) of at least 2 "
      "examples"
    )
  return features

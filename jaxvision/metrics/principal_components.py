"""The first two principal components of vectors."""

import numpy as np


def fit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Projects vectors on the two directions of their largest variance.

  The sign of a component is free: its largest coordinate in size is positive
  here.

  Args:
    vectors: (n, d) float.

  Returns:
    The places (n, 2) and the shares (2,) of the variance. With d = 1 or without
    variance, a component is 0.
  """
  centred = vectors - vectors.mean(axis=0)
  values, directions = np.linalg.eigh(centred.T @ centred)
  found = np.zeros((len(vectors), 2))
  shares = np.zeros(2)
  for place in range(min(2, vectors.shape[1])):
    column = centred @ directions[:, -1 - place]
    found[:, place] = column * np.sign(column[np.abs(column).argmax()])
    shares[place] = max(0.0, values[-1 - place]) / max(
      values.sum(), np.finfo(float).tiny
    )
  return found, shares

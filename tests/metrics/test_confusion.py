"""Class scores agree with scikit-learn's; pairs with a count by hand."""

import warnings

import numpy as np
import pytest
from sklearn import metrics

from jaxvision.metrics import confusion


@pytest.fixture
def matrix():
  matrix = np.random.default_rng(0).poisson(2.0, (6, 6))
  matrix[3] = 0  # never occurs
  matrix[:, 4] = 0  # never predicted
  matrix[5], matrix[:, 5] = 0, 0  # neither
  return matrix


def _examples(matrix):
  true, predicted = np.indices(matrix.shape)
  counts = matrix.ravel()
  return true.ravel().repeat(counts), predicted.ravel().repeat(counts)


def test_scores_are_those_of_scikit_learn(matrix):
  scores = confusion.class_scores(matrix)
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
      *_examples(matrix), labels=range(6), zero_division=np.nan
    )
  np.testing.assert_allclose(scores.precision, precision)
  np.testing.assert_allclose(scores.recall, recall)
  np.testing.assert_array_equal(scores.support, support)
  occurs = matrix.sum(axis=0) + matrix.sum(axis=1) > 0
  np.testing.assert_allclose(scores.f1[occurs], f1[occurs])
  assert np.isnan(scores.f1[~occurs]).all()


def test_shares_sum_to_one_in_rows_that_occur(matrix):
  rows = confusion.shares(matrix).sum(axis=1)
  np.testing.assert_allclose(rows, matrix.sum(axis=1) > 0)


def test_pairs_are_the_largest_off_the_diagonal(matrix):
  pairs = confusion.confused_pairs(matrix, limit=5)
  counts = [
    matrix[i, j] for i in range(6) for j in range(6) if i != j and matrix[i, j]
  ]
  assert [count for _, _, count in pairs] == sorted(counts)[::-1][:5]
  assert all(matrix[i, j] == count and i != j for i, j, count in pairs)


def test_tied_pairs_are_ordered_by_share_of_the_class():
  matrix = np.array([[98, 2, 0], [2, 8, 0], [0, 0, 5]])
  assert confusion.confused_pairs(matrix, limit=9) == [(1, 0, 2), (0, 1, 2)]


def test_no_mistakes_no_pairs():
  assert confusion.confused_pairs(np.eye(3, dtype=int), limit=3) == []

"""A file of logits is what numpy would write, and is written in parts."""

import weakref

import numpy as np
import pytest

from jaxvision.training.setup import logits_file


def _batches(seed=0, count=3):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(count, 2, 4, 5)).astype(np.float32)


def test_the_rows_are_those_of_the_batches_without_padding(tmp_path):
  path, batches = tmp_path / "train.npy", _batches()
  logits_file.write(path, iter(batches), shape=(10, 2, 5))
  expected = np.concatenate(batches.swapaxes(1, 2))[:10]
  found = np.load(path, allow_pickle=False)
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, expected)
  np.testing.assert_array_equal(
    logits_file.read(path, [9, 0, 9]), expected[[9, 0, 9]]
  )


def test_a_batch_is_forgotten_when_the_next_one_is_written(tmp_path):
  """Logits of ImageNet are larger than the memory."""
  given = []

  def batches():
    for batch in _batches(count=6):
      assert sum(each() is not None for each in given) <= 1
      copy = batch.copy()
      given.append(weakref.ref(copy))
      yield copy
      del copy

  logits_file.write(tmp_path / "train.npy", batches(), shape=(24, 2, 5))
  assert len(given) == 6


def test_a_file_that_is_written_again_is_read_again(tmp_path):
  path = tmp_path / "train.npy"
  for seed in (0, 1):
    batches = _batches(seed)
    logits_file.write(path, batches, shape=(12, 2, 5))
    (found,) = logits_file.read(path, [5])
    np.testing.assert_array_equal(found, batches[1, :, 1])


def test_an_error_leaves_the_previous_file(tmp_path):
  path = tmp_path / "train.npy"
  logits_file.write(path, _batches(), shape=(12, 2, 5))
  before = path.read_bytes()

  def broken():
    yield from _batches(1, count=1)
    raise ValueError("the teacher is gone")

  with pytest.raises(ValueError, match="is gone"):
    logits_file.write(path, broken(), shape=(12, 2, 5))
  assert path.read_bytes() == before
  assert list(tmp_path.iterdir()) == [path]

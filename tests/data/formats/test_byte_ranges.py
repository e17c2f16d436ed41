import os
import threading

import numpy as np
import pytest

from jaxvision.data.formats import byte_ranges


@pytest.fixture
def pieces(tmp_path):
  """1000 random pieces of 7 files, and their content."""
  rng = np.random.default_rng(0)
  contents = [rng.bytes(5000) for _ in range(7)]
  paths = tuple(str(tmp_path / f"{number}.bin") for number in range(7))
  for path, content in zip(paths, contents, strict=True):
    with open(path, "wb") as opened:
      opened.write(content)
  files = rng.integers(0, 7, 1000).astype(np.int32)
  offsets = rng.integers(0, 4000, 1000)
  sizes = rng.integers(0, 1000, 1000)
  expected = [
    contents[file][offset : offset + size]
    for file, offset, size in zip(files, offsets, sizes, strict=True)
  ]
  return byte_ranges.Extents(paths, files, offsets, sizes), expected


def test_pieces_are_read_in_any_order(pieces):
  found, expected = pieces
  order = np.random.default_rng(1).permutation(1000)
  assert found.read(order) == [expected[index] for index in order]
  assert found.read([3, 3, 0]) == [expected[3], expected[3], expected[0]]
  assert found.read([]) == []
  assert len(found) == 1000


def test_many_threads_may_read(pieces):
  found, expected = pieces
  wrong = []

  def read(seed):
    for index in np.random.default_rng(seed).permutation(1000).tolist():
      if found.read([index]) != [expected[index]]:
        wrong.append(index)

  threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert not wrong


def test_no_file_stays_open(pieces):
  before = len(os.listdir("/proc/self/fd"))
  pieces[0].read(range(1000))
  assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_was_cut_is_an_error(pieces):
  found, _ = pieces
  os.truncate(found.paths[2], 10)
  row = int(np.flatnonzero((found.files == 2) & (found.offsets > 10))[0])
  with pytest.raises(OSError, match=r"2\.bin ends before byte \d+"):
    found.read([row])
  os.remove(found.paths[2])
  with pytest.raises(FileNotFoundError):
    found.read([row])

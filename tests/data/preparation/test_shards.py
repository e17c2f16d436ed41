"""Shards: complete or absent, with a description of their content."""

import errno
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from array_record.python import array_record_module

from jaxvision.data.formats import tf_example
from jaxvision.data.preparation import encoding, in_memory, shards

ENCODE = encoding.make_encoder("png")


def split(size=10):
  rng = np.random.default_rng(0)
  return in_memory.from_arrays(
    rng.integers(0, 256, (size, 4, 4, 3), np.uint8),
    np.arange(size) % 3,
    name="noise",
    split="train",
    class_names=("a", "b", "c"),
  )


def plan(folder, order, *, shard_size=4, source=None):
  return shards.plan(
    folder,
    source or split(),
    order,
    notes=folder,
    shard_size=shard_size,
  )


def write(planned, *, encode=ENCODE, threads=2):
  done = []
  written = shards.write(
    planned, encode=encode, threads=threads, advance=done.append
  )
  assert sum(done) == sum(len(each.indices) for each in planned)
  return written


def records(path):
  reader = array_record_module.ArrayRecordReader(str(path))
  found = reader.read_all()
  reader.close()
  return found


@pytest.mark.parametrize("size", [1, 3, 4, 5, 8, 9, 10])
def test_the_plan_has_each_example_once(tmp_path, size):
  order = np.random.default_rng(1).permutation(10)[:size].tolist()
  planned = plan(tmp_path, order)
  assert [i for each in planned for i in each.indices] == order
  sizes = [len(each.indices) for each in planned]
  assert len(sizes) == -(-size // 4) and max(sizes) <= min(sizes) + 1
  last = planned[-1].path.name
  assert last.endswith(f"-{len(sizes) - 1:05d}-of-{len(sizes):05d}")


def test_records_have_image_label_and_name(tmp_path):
  order = [7, 2, 5, 0, 9]
  planned, source = plan(tmp_path, order), split()
  written = write(planned)
  found = [each for shard in planned for each in records(shard.path)]
  assert sum(each.num_bytes for each in written) == sum(map(len, found))
  assert [each.num_examples for each in written] == [2, 3]
  for record, index in zip(found, order, strict=True):
    example = tf_example.parse(record, ("image", "label", "file_name"))
    ((pixels, label),) = source.read([index])
    assert example["image"] == [ENCODE(pixels)[0]]
    assert example["label"] == [label]
    assert example["file_name"] == [source.ids([index])[0].encode()]


def test_existing_shards_are_not_written_again(tmp_path):
  planned = plan(tmp_path, list(range(10)))
  before = write(planned)
  planned[1].path.unlink()
  times = [planned[i].path.stat().st_mtime_ns for i in (0, 2)]
  assert write(planned) == before
  assert times == [planned[i].path.stat().st_mtime_ns for i in (0, 2)]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"num_examples": '])
def test_a_shard_with_damaged_notes_is_written_again(tmp_path, content, caplog):
  planned = plan(tmp_path, list(range(10)))
  before = write(planned)
  whole = planned[1].path.read_bytes()
  planned[1].notes.write_text(content)
  assert write(planned) == before
  assert planned[1].path.read_bytes() == whole
  assert f"{planned[1].path} is rewritten: " in caplog.text


def test_errors_end_it_and_leave_no_shard(tmp_path):
  def fail(image):
    raise ValueError("a bug")

  planned = plan(tmp_path, list(range(10)))
  with pytest.raises(ValueError, match="a bug"):
    shards.write(planned, encode=fail, threads=2, advance=lambda count: None)
  assert not any(each.path.exists() for each in planned)


_FULL = """
import pathlib, resource, signal, sys
sys.path[:0] = [{tests!r}]
import test_shards as these
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
planned = these.plan(pathlib.Path({folder!r}), list(range(10)))
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
  these.write(planned, threads=1)
except OSError as error:
  print(error.errno, error.filename, sep="\\n")
"""


def test_a_full_disk_is_said(tmp_path):
  tests = str(pathlib.Path(__file__).parent)
  code = _FULL.format(tests=tests, folder=str(tmp_path))
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  number, path = done.stdout.split()
  assert int(number) == errno.EFBIG
  assert path == str(plan(tmp_path, list(range(10)))[0].path) + ".part"

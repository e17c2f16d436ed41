import os

import numpy as np
import pytest
import written_sources

from jaxvision.data.formats import tfrecords

# RFC 3720, appendix B.4, and the check value of the catalogue of CRCs.
VECTORS = {
  bytes(32): 0x8A9136AA,
  b"\xff" * 32: 0x62A8AB43,
  bytes(range(32)): 0x46DD794E,
  bytes(reversed(range(32))): 0x113FDB5C,
  b"123456789": 0xE3069283,
}
RECORDS = [b"", b"one", b"x" * 1000, bytes(range(256)), b"", b"last"]


@pytest.mark.parametrize("content", VECTORS, ids=lambda each: each[:2].hex())
def test_checksums_are_those_of_the_standard(content):
  assert written_sources.slow_crc32c(content) == VECTORS[content]
  rows = np.frombuffer(content, np.uint8)[None]
  masked = int.from_bytes(written_sources.masked(content), "little")
  assert tfrecords.masked_crc32c(rows).tolist() == [masked]


def test_checksums_of_many_rows():
  rows = np.random.default_rng(0).integers(0, 256, (50, 8)).astype(np.uint8)
  expected = [
    int.from_bytes(written_sources.masked(row.tobytes()), "little")
    for row in rows
  ]
  assert tfrecords.masked_crc32c(rows).tolist() == expected


def test_files_are_those_that_tensorflow_writes():
  # tf.io.TFRecordWriter of TensorFlow 2.21, for the one record b"abc".
  expected = "0300000000000000b099490e6162636e57f121"
  assert written_sources.tfrecord([b"abc"]).hex() == expected


def write(path, records):
  path.write_bytes(written_sources.tfrecord(records))
  return path


def locate(paths, counts):
  return tfrecords.locate(paths, counts=counts, name="records")


def test_records_are_found(tmp_path):
  shards = {"a": RECORDS, "b": [], "c": RECORDS[::-1], "d": [b"alone"]}
  paths = [write(tmp_path / name, each) for name, each in shards.items()]
  found = locate(paths, [len(each) for each in shards.values()])
  every = [record for each in shards.values() for record in each]
  assert found.read(range(len(found))) == every
  assert found.files.tolist() == [0] * 6 + [2] * 6 + [3]


@pytest.mark.parametrize("lost", [1, 4, 5, 19, 20, 21, 30])
def test_a_cut_shard_is_an_error(tmp_path, lost):
  path = write(tmp_path / "shard", RECORDS)
  os.truncate(path, path.stat().st_size - lost)
  message = (
    r"shard is truncated: it ends at byte \d+, in the middle of record [45]"
  )
  if lost == 20:  # exactly the last record: 12 + 4 + 4 bytes
    message = "shard has 5 records, but its data set expects 6"
  with pytest.raises(ValueError, match=message):
    locate([path], [6])


def test_a_damaged_length_is_an_error(tmp_path):
  path = write(tmp_path / "shard", RECORDS)
  content = bytearray(path.read_bytes())
  start = 2 * 16 + 3  # of the third record
  for place in range(start, start + 12):
    damaged = content.copy()
    damaged[place] ^= 0x40
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=f"record 2, at byte {start}, does"):
      locate([path], [6])


def test_other_files_are_refused(tmp_path):
  path = tmp_path / "shard"
  path.write_bytes(b"PK\x03\x04" + b"not records" * 100)
  with pytest.raises(
    ValueError, match="is not a TFRecord file: the length of rec"
  ):
    locate([path], [6])


def test_a_shard_that_is_missing(tmp_path):
  path = write(tmp_path / "shard", RECORDS)
  with pytest.raises(FileNotFoundError, match="other"):
    locate([path, tmp_path / "other"], [6, 6])


def test_the_index_is_read_again_and_follows_the_files(tmp_path, monkeypatch):
  path = write(tmp_path / "shard", RECORDS)
  os.utime(path, ns=(10**18, 10**18))
  assert len(locate([path], [6])) == 6
  monkeypatch.setattr(tfrecords, "_scan", None)
  assert locate([path], [6]).read([2]) == RECORDS[2:3]
  monkeypatch.undo()
  write(path, RECORDS[:2])
  assert locate([path], [2]).read([1]) == RECORDS[1:2]

"""Reading of the end of a log equals reading of the whole log."""

import random

import pytest

from jaxvision.runs import log_tail, metrics_log
from jaxvision.runs.log_tail import Tail


def _write(folder, steps, *, first_step=0, loss=0.5):
  with metrics_log.open_metrics(
    folder, first_step=first_step, tensorboard=False
  ) as write:
    for step in steps:
      write(step, {"train/loss": loss})


def _steps(rows):
  return [row["step"] for row in rows]


def test_only_new_lines_are_read(tmp_path):
  path = tmp_path / "metrics.jsonl"
  _write(tmp_path, [1, 2])
  rows, tail, _ = log_tail.read(path, Tail())
  assert _steps(rows) == [1, 2]
  assert log_tail.read(path, tail) == ([], tail, False)
  _write(tmp_path, [3], first_step=2)
  rows, tail, is_replaced = log_tail.read(path, tail)
  assert _steps(rows) == [3] and not is_replaced
  assert tail.offset == path.stat().st_size


def test_bytes_that_arrive_one_by_one_are_the_same_lines(tmp_path):
  """A look may come at any moment of a write."""
  path, tail, found = tmp_path / "metrics.jsonl", Tail(), []
  _write(tmp_path, [1, 2, 3])
  content = path.read_bytes()
  for end in range(len(content) + 1):
    path.write_bytes(content[:end])
    rows, tail, is_replaced = log_tail.read(path, tail)
    found += rows
    assert not is_replaced
  assert found == metrics_log.read_metrics(tmp_path)


def test_a_resumed_run_is_read_from_its_first_line(tmp_path):
  path = tmp_path / "metrics.jsonl"
  _write(tmp_path, [1, 2, 3, 4])
  _, tail, _ = log_tail.read(path, Tail())
  # The step 3 is repeated, and the file is longer than before.
  _write(tmp_path, [3, 4, 5, 6], first_step=2, loss=0.25)
  rows, _, is_replaced = log_tail.read(path, tail)
  assert is_replaced
  assert rows == metrics_log.read_metrics(tmp_path)


def test_a_shorter_log_is_another_log(tmp_path):
  path = tmp_path / "metrics.jsonl"
  _write(tmp_path, [1, 2, 3])
  _, tail, _ = log_tail.read(path, Tail())
  _write(tmp_path, [], first_step=1)
  rows, tail, is_replaced = log_tail.read(path, tail)
  assert is_replaced and _steps(rows) == [1]
  assert log_tail.read(path, tail) == ([], tail, False)


def test_damaged_lines_are_skipped_as_in_a_whole_reading(tmp_path):
  path, rng = tmp_path / "metrics.jsonl", random.Random(0)
  good = b'{"step": 1, "a": null}\n'
  parts = [good, b"\n", b"{\n", b'{"step": "x"}\n', b"\xff\r\n", b"[]\n"]
  path.write_bytes(b"".join(rng.choices(parts, k=60)))
  rows, tail, _ = log_tail.read(path, Tail())
  whole, _ = metrics_log.read_lines(path)
  assert _steps(rows) == _steps(whole) and rows
  assert tail.offset == path.stat().st_size


def test_a_missing_log_is_an_error(tmp_path):
  with pytest.raises(FileNotFoundError):
    log_tail.read(tmp_path / "metrics.jsonl", Tail())

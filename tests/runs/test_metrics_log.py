"""Tests of jaxvision.runs.metrics_log: the files of the metrics."""

import json
import math
import struct

import pytest

from jaxvision.runs import metrics_log


def _write(folder, steps, *, first_step=0, tensorboard=False, name="loss"):
  with metrics_log.open_metrics(
    folder, first_step=first_step, tensorboard=tensorboard
  ) as write:
    for step in steps:
      write(step, {name: step / 3})


def _steps(folder):
  return [row["step"] for row in metrics_log.read_metrics(folder)]


def test_one_line_per_step(tmp_path):
  _write(tmp_path, [5, 10])
  lines = (tmp_path / "metrics.jsonl").read_text("utf-8").splitlines()
  assert [json.loads(line) for line in lines] == [
    {"step": 5, "loss": 5 / 3},
    {"step": 10, "loss": 10 / 3},
  ]
  assert metrics_log.read_metrics(tmp_path) == list(map(json.loads, lines))


@pytest.mark.parametrize("evaluated", [True, False])
def test_a_repeated_evaluation_is_logged_once(tmp_path, evaluated):
  lines = [
    {"step": 3, "validation/loss": 2.0},
    {"step": 6, "train/loss": 1.0},
    {"step": 6, "validation/loss": 1.0},
    {"step": 9, "train/loss": 0.0},
  ]
  with metrics_log.open_metrics(
    tmp_path, first_step=0, tensorboard=False
  ) as write:
    for line in lines:
      write(line["step"], {k: v for k, v in line.items() if k != "step"})
  with metrics_log.open_metrics(
    tmp_path, first_step=6, tensorboard=False, evaluated=evaluated
  ):
    pass
  kept = lines[: 3 if evaluated else 2]
  assert metrics_log.read_metrics(tmp_path) == kept


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path):
  with metrics_log.open_metrics(
    tmp_path, first_step=0, tensorboard=False
  ) as write:
    write(1, {"loss": 1.0})
    assert _steps(tmp_path) == [1]


def test_no_file_no_metrics(tmp_path):
  assert metrics_log.read_metrics(tmp_path) == []


@pytest.mark.parametrize(
  ("first_step", "kept"), [(0, []), (4, [2, 4]), (5, [2, 4]), (9, [2, 4, 6])]
)
def test_a_resumed_run_removes_the_lines_after_its_checkpoint(
  tmp_path, first_step, kept
):
  _write(tmp_path, [2, 4, 6])
  _write(tmp_path, [10], first_step=first_step)
  assert _steps(tmp_path) == [*kept, 10]


def test_a_resumed_run_keeps_old_lines_to_the_last_digit(tmp_path):
  values = {"loss": 0.1 + 0.2, "nan": math.nan, "small": 1e-300}
  with metrics_log.open_metrics(
    tmp_path, first_step=0, tensorboard=False
  ) as write:
    write(1, values)
  before = (tmp_path / "metrics.jsonl").read_bytes()
  _write(tmp_path, [], first_step=1)
  assert (tmp_path / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("torn", ["{", '{"step": 3', '{"step": 3, "loss": 0.'])
def test_an_incomplete_last_line_is_skipped_and_overwritten(tmp_path, torn):
  _write(tmp_path, [1, 2])
  with (tmp_path / "metrics.jsonl").open("a") as file:
    file.write(torn)
  assert _steps(tmp_path) == [1, 2]
  _write(tmp_path, [3], first_step=2)
  assert _steps(tmp_path) == [1, 2, 3]


def _scalars(folder):
  """(step, tag) -> value of the TensorBoard files, in the order of writing."""
  from tensorboardX.proto import event_pb2

  found = {}
  for path in sorted(folder.glob("tensorboard/*")):
    content = path.read_bytes()
    while content:
      (size,) = struct.unpack("<Q", content[:8])
      event = event_pb2.Event.FromString(content[12 : 12 + size])
      content = content[12 + size + 4 :]
      for value in event.summary.value:
        found[event.step, value.tag] = value.simple_value
  return found


def test_tensorboard_has_the_same_numbers(tmp_path):
  _write(tmp_path, [3, 6], tensorboard=True, name="train/loss")
  found = _scalars(tmp_path)
  assert found == pytest.approx({(3, "train/loss"): 1, (6, "train/loss"): 2})


def test_tensorboard_can_be_turned_off(tmp_path):
  _write(tmp_path, [3], tensorboard=False)
  assert not (tmp_path / "tensorboard").exists()

"""Trainings in the offline mode of W&B; its files are read by its own protocol.

They need the extra wandb; tested with wandb 0.31.0.
"""

import collections
import json
import signal
import struct

import pytest
import spawned
import sweep_cases
import tiny_runs

from jaxvision import cli
from jaxvision.runs import metrics_log, reading

pytest.importorskip("wandb", reason="pip install 'jaxvision[wandb]'")
pytestmark = pytest.mark.slow

_BLOCK, _HEADER = 32768, 7
_OFFLINE = {"WANDB_MODE": "offline"}


def _records(path):
  """The records of an offline file: the log format of LevelDB, of protobufs."""
  from wandb.proto import wandb_internal_pb2

  content, at, record = path.read_bytes(), _HEADER, b""
  assert content.startswith(b":W&B")
  while at < len(content):
    if _BLOCK - at % _BLOCK < _HEADER:
      at += _BLOCK - at % _BLOCK
      continue
    _, size, kind = struct.unpack("<IHB", content[at : at + _HEADER])
    at += _HEADER + size
    record += content[at - size : at]
    if kind in (1, 4):  # a whole record, or the last part of one
      yield wandb_internal_pb2.Record.FromString(record)
      record = b""


def _read(folder):
  """{kind: records} of all offline files of a run, in their order."""
  found = collections.defaultdict(list)
  for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
    for record in _records(path):
      kind = record.WhichOneof("record_type")
      found[kind].append(getattr(record, kind))
  return found


def _values(items):
  return {
    item.key or "/".join(item.nested_key): json.loads(item.value_json)
    for item in items
  }


def _rows(found):
  return [_values(each.item) for each in found["history"]]


def _lines(rows):
  """The lines of the log in rows, without the fields of W&B."""
  return [{k: v for k, v in r.items() if not k.startswith("_")} for r in rows]


def _words(tmp_path, *more):
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  return [
    *("train", "--config", str(tmp_path / "recipe.py")),
    *("--workdir", str(tmp_path / "run"), "--config.log.tensorboard=false"),
    *("--config.log.every=1 steps", "--config.log.trackers=wandb"),
    *more,
  ]


def test_a_run_has_config_metrics_result_and_report(tmp_path):
  output, folder = tmp_path / "output.txt", tmp_path / "run"
  words = _words(tmp_path)
  done = spawned.start(words, output=output, variables=_OFFLINE)
  assert done.wait() == 0, output.read_text()
  found = _read(folder)
  assert _lines(_rows(found)) == metrics_log.read_metrics(folder)
  run = found["run"][0]
  entry = json.loads((folder / "trackers.json").read_text())["wandb"]
  assert (run.run_id, run.display_name) == (entry["id"], "run")
  config = _values(run.config.update)
  flat = reading.flatten(reading.read_config(folder)["config"])
  assert {key: config[key] for key in flat} == flat
  axis = next(each for each in found["metric"] if each.glob_name == "*")
  assert axis.step_metric == "step"
  summary = {}
  for each in found["summary"]:
    summary |= _values(each.update)
  best = spawned.result(folder)["best"]
  assert summary["status"] == "finished"
  assert summary["best/validation/top1"] == best["value"]
  assert [each.type for each in found["artifact"]] == ["report"]
  assert [each.exit_code for each in found["exit"]] == [0]
  assert "wandb" not in output.read_text()


def test_a_killed_run_continues_in_the_same_run(tmp_path):
  words = _words(
    tmp_path,
    "--config.train.duration=40 steps",
    "--config.checkpoint.every=4 steps",
    "--config.evaluate.every=20 steps",
  )
  output, folder = tmp_path / "output.txt", tmp_path / "run"

  def has_sent():
    path = folder / "trackers.json"
    return path.exists() and json.loads(path.read_text())["wandb"]["step"] > 20

  started = spawned.start(words, output=output, variables=_OFFLINE)
  code = started.end_when(signal.SIGKILL, has_sent)
  assert code == -signal.SIGKILL, output.read_text()
  again = spawned.start(words, output=output, variables=_OFFLINE)
  assert again.wait() == 0, output.read_text()
  assert len(list(folder.glob("wandb/offline-run-*"))) == 2
  found = _read(folder)
  assert len({each.run_id for each in found["run"]}) == 1
  rows = _rows(found)
  numbers = [row["_step"] for row in rows]
  assert numbers == sorted(set(numbers))
  lines = metrics_log.read_metrics(folder)
  places = [(row["step"], "train/loss" in row) for row in rows]
  assert len(places) == len(set(places))
  expected = [(line["step"], "train/loss" in line) for line in lines]
  assert [each for each in expected if each in places] == places
  assert len(expected) - len(places) <= 20
  losses = {x["step"]: x["train/loss"] for x in lines if "train/loss" in x}
  for row in rows:
    assert row.get("train/loss", losses[row["step"]]) == losses[row["step"]]


def test_the_trials_of_a_group_are_runs_of_one_group(tmp_path, monkeypatch):
  monkeypatch.setenv("WANDB_MODE", "offline")
  asked = sweep_cases.write(
    tmp_path,
    rates=(0.1, 0.3),
    seeds=1,
    log__trackers=("wandb(project='rates')",),
    data__placement="device",
  )
  workdir = tmp_path / "rates"
  words = ["sweep", str(asked), "--workdir", str(workdir)]
  assert cli.main([*words, "--vectorize", "auto"]) == 0
  study = json.loads((workdir / "sweep.json").read_text())["study"]
  for number, rate in enumerate((0.1, 0.3)):
    folder = workdir / "trials" / f"{number:04d}"
    found = _read(folder)
    run = found["run"][0]
    assert (run.run_group, run.project) == (study, "rates")
    assert run.display_name == f"rates/{number:04d}"
    config = _values(run.config.update)
    assert config["axis.optimizer.learning_rate"] == rate
    lines = metrics_log.read_metrics(folder)
    assert "runs_together" in lines[0]
    assert _lines(_rows(found)) == lines


def test_a_server_that_does_not_answer_does_not_stop_a_training(tmp_path):
  output, folder = tmp_path / "output.txt", tmp_path / "run"
  nowhere = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40}
  words = _words(tmp_path)
  done = spawned.start(words, output=output, variables=nowhere)
  assert done.wait() == 0, output.read_text()
  assert spawned.result(folder)["status"] == "finished"
  text = output.read_text()
  assert "the tracker wandb" in text and "not affected" in text
  assert (
    json.loads((folder / "trackers.json").read_text())["wandb"]["sent"] == 0
  )


def test_a_missing_key_is_an_error_before_the_training(tmp_path):
  output = tmp_path / "output.txt"
  home = {"HOME": str(tmp_path), "WANDB_MODE": "online"}
  done = spawned.start(_words(tmp_path), output=output, variables=home)
  assert done.wait() == 2, output.read_text()
  assert "WANDB_MODE=offline" in output.read_text()
  assert not (tmp_path / "run").exists()

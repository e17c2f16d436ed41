"""Trainings in MLflow's own store, read by its own client.

They need the extra mlflow; tested with mlflow 3.17.2.
"""

import json
import signal

import pytest
import spawned
import tiny_runs

from jaxvision.runs import metrics_log, reading
from jaxvision.runs.trackers import contract, mlflow_runs

mlflow = pytest.importorskip("mlflow", reason="pip install 'jaxvision[mlflow]'")
pytestmark = [
  pytest.mark.slow,
  # of MLflow and its libraries
  pytest.mark.filterwarnings("ignore::DeprecationWarning"),
  pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(params=["sqlite", "file"])
def store(request, tmp_path, monkeypatch):
  """The URI of a store; MLflow refuses a file store without the variable."""
  monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
  monkeypatch.chdir(tmp_path)  # A database keeps artifacts in ./mlruns.
  if request.param == "sqlite":
    return f"sqlite:///{tmp_path}/mlflow.db"
  return f"file:{tmp_path}/mlruns"


def _words(tmp_path, store, *more):
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  call = f"mlflow(experiment='tiny', uri={store!r})"
  return [
    *("train", "--config", str(tmp_path / "recipe.py")),
    *("--workdir", str(tmp_path / "run"), "--config.log.tensorboard=false"),
    *("--config.log.every=2 steps", f"--config.log.trackers=({call!r},)"),
    *more,
  ]


def _runs(store):
  client = mlflow.MlflowClient(tracking_uri=store)
  there = client.get_experiment_by_name("tiny").experiment_id
  return client, client.search_runs([there])


def _points(client, run, lines):
  """{(step, name): values} of a run, for the names in the log."""
  names = {name for line in lines for name in line} - {"step"}
  found = {}
  for name in names:
    for point in client.get_metric_history(run.info.run_id, name):
      found.setdefault((point.step, name), []).append(point.value)
  return found


def test_a_run_has_config_metrics_result_and_report(tmp_path, store):
  output = tmp_path / "output.txt"
  done = spawned.start(_words(tmp_path, store), output=output)
  assert done.wait() == 0, output.read_text()
  client, (run,) = _runs(store)
  folder = tmp_path / "run"
  lines = metrics_log.read_metrics(folder)
  expected = {
    (line["step"], name): [value]
    for line in lines
    for name, value in line.items()
    if name != "step"
  }
  assert _points(client, run, lines) == expected
  flat = reading.flatten(reading.read_config(folder)["config"])
  assert run.data.params == {
    mlflow_runs._name(key): str(value) for key, value in flat.items()
  }
  assert (run.info.status, run.info.run_name) == ("FINISHED", "run")
  assert run.data.tags["status"] == "finished"
  final = spawned.result(folder)["final"]["metrics"]["top1"]
  assert run.data.metrics["final/validation/top1"] == final
  (page,) = client.list_artifacts(run.info.run_id)
  assert page.path == "report.html"


def test_a_killed_run_continues_in_the_same_run(tmp_path, store):
  words = _words(
    tmp_path,
    store,
    "--config.train.duration=40 steps",
    "--config.checkpoint.every=4 steps",
    "--config.evaluate.every=20 steps",
  )
  output, folder = tmp_path / "output.txt", tmp_path / "run"

  def has_sent():
    path = folder / "trackers.json"
    return path.exists() and any(
      each["step"] > 20 for each in json.loads(path.read_text()).values()
    )

  started = spawned.start(words, output=output)
  code = started.end_when(signal.SIGKILL, has_sent)
  assert code == -signal.SIGKILL, output.read_text()
  client, (run,) = _runs(store)
  assert run.info.status == "RUNNING"
  more = "--config.evaluate.explain="  # a parameter cannot change in MLflow
  again = spawned.start([*words, more], output=output)
  assert again.wait() == 0, output.read_text()
  client, (same,) = _runs(store)
  assert same.info.run_id == run.info.run_id
  assert same.info.status == "FINISHED"
  assert same.data.params["evaluate.explain"] == "auto"
  assert same.data.tags["changed.evaluate.explain"] == ""
  lines = metrics_log.read_metrics(folder)
  points = _points(client, same, lines)
  assert max(map(len, points.values())) == 1
  losses = {
    (line["step"], "train/loss"): [line["train/loss"]]
    for line in lines
    if "train/loss" in line
  }
  sent = {key: value for key, value in points.items() if key in losses}
  assert sent.items() <= losses.items() and len(losses) - len(sent) <= 20


def test_states_groups_and_names_are_those_of_mlflow(tmp_path, store):
  """The states and the tags, without a training."""
  open_run = mlflow_runs.mlflow(experiment="tiny", uri=store)
  run = contract.TrackedRun(
    folder=tmp_path,
    id="a" * 32,
    sent=0,
    name="rates/0001",
    group="rates-1a2b",
    axes={"optimizer.learning_rate": 0.1},
    config={f"group.key{i}": i for i in range(250)},
  )
  session = open_run(run)
  session.log(5, {"validation/knn(k=20)/top1": 0.5, "loss": float("nan")})
  for value in (0.25, 0.5, 0.5):
    summary = {"best/validation/top1": value}
    end = contract.End("preempted", "preempted: saved", 5, summary, None)
    session.finish(end)
  client, (found,) = _runs(store)
  best = client.get_metric_history(found.info.run_id, "best/validation/top1")
  assert [point.value for point in best] == [0.25, 0.5]
  assert found.info.status == "KILLED" and len(found.data.params) == 250
  assert found.data.tags["group"] == "rates-1a2b"
  assert found.data.tags["axis.optimizer.learning_rate"] == "0.1"
  assert found.data.metrics["validation/knn_k_20_/top1"] == 0.5


def test_a_lost_run_is_an_error_with_remedies(tmp_path, store):
  open_run = mlflow_runs.mlflow(experiment="tiny", uri=store)
  new = contract.TrackedRun(tmp_path, "b" * 32, 0, "run", "", {}, {"seed": 0})
  known = contract.TrackedRun(tmp_path, "b" * 32, 3, "run", "", {}, {"seed": 0})
  with pytest.raises(LookupError, match=r"no run with the tag.*trackers\.json"):
    open_run(known)
  open_run(new)
  open_run(known)
  client, (run,) = _runs(store)
  client.delete_run(run.info.run_id)
  with pytest.raises(LookupError, match=r"deleted in MLflow; restore it"):
    open_run(known)

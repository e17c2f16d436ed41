"""Runs in MLflow.

A run is found again by a tag with the id of trackers.json, so nothing depends
on the moment at which MLflow has created it. Parameters cannot change in
MLflow: if a key of the config has another value in a resumed run, the parameter
keeps the first value, and the tag "changed.KEY" has the last one.
"""

import os
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from jaxvision.runs.trackers.contract import End, Open, Session, TrackedRun

# The tag with the id of a run.
ID = "jaxvision.id"
_STATES = {
  "finished": "FINISHED",
  "preempted": "KILLED",
  "ended early": "KILLED",
  "failed": "FAILED",
}
# Limits of MLflow: parameters of a call, and characters of a value.
_MOST_PARAMETERS, _LONGEST = 100, 5000
# Characters of names that MLflow refuses.
_REFUSED = re.compile(r"[^\w\-. /]")
# The first client of a local database creates its tables.
_OPENING = threading.Lock()


def mlflow(*, experiment: str = "", uri: str = "") -> Open:
  """Makes the tracker.

  Args:
    experiment: the name of the experiment, which is created if it is missing.
      "" is $MLFLOW_EXPERIMENT_NAME, else "Default".
    uri: of the tracking server or store; "" is $MLFLOW_TRACKING_URI, else the
      default of MLflow.

  Raises:
    ValueError: the package is not installed.
  """
  try:
    import mlflow as library  # noqa: F401
  except ImportError as error:
    raise ValueError(
      f"the tracker mlflow needs the package mlflow ({error}): pip install "
      "'jaxvision[mlflow]', or remove it from log.trackers"
    ) from error
  experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default")

  def open_run(run: TrackedRun) -> Session:
    from mlflow.tracking import MlflowClient

    with _OPENING:
      client = MlflowClient(tracking_uri=uri or None)
      run_id = _find(client, experiment, run)
    _describe(client, run_id, run)

    def log(step: int, values: Mapping[str, float]) -> None:
      client.log_batch(run_id, metrics=_metrics(step, values))

    def finish(end: End) -> None:
      client.set_tag(run_id, "status", end.status[:_LONGEST])
      _log_summary(client, run_id, end)
      if end.report:
        client.log_artifact(run_id, str(end.report))
      client.set_terminated(run_id, status=_STATES[end.state])

    return Session(log=log, finish=finish)

  return open_run


def _find(client: Any, experiment: str, run: TrackedRun) -> str:
  """The id of the run in MLflow; it is created if it is new.

  Raises:
    LookupError: the run received lines before, and is not there.
  """
  from mlflow.entities import ViewType

  there = _experiment_id(client, experiment)
  found = client.search_runs(
    [there], f"tags.`{ID}` = '{run.id}'", run_view_type=ViewType.ALL
  )
  remedy = (
    "or remove trackers.json from the folder of the run, to send all lines to "
    "a new run"
  )
  if found and found[0].info.lifecycle_stage != "active":
    raise LookupError(
      f"the run {found[0].info.run_id} is deleted in MLflow; restore it "
      f"(mlflow runs restore), {remedy}"
    )
  if found:
    return found[0].info.run_id
  if run.sent:
    raise LookupError(
      f"the experiment {experiment!r} of {client.tracking_uri} has no run with "
      f"the tag {ID} = {run.id}, which received the earlier lines; use its "
      f"server and experiment, {remedy}"
    )
  tags = {ID: run.id, **({"group": run.group} if run.group else {})}
  return client.create_run(there, tags=tags, run_name=run.name).info.run_id


def _experiment_id(client: Any, name: str) -> str:
  from mlflow.exceptions import MlflowException

  if found := client.get_experiment_by_name(name):
    return found.experiment_id
  try:
    return client.create_experiment(name)
  except MlflowException:  # another process has created it
    found = client.get_experiment_by_name(name)
    if not found:
      raise
    return found.experiment_id


def _describe(client: Any, run_id: str, run: TrackedRun) -> None:
  """Sets the state, the parameters and the tags of a run."""
  from mlflow.entities import Param, RunTag

  known = client.get_run(run_id).data.params
  texts = {_name(k): _text(value) for k, value in run.config.items()}
  tags = {f"axis.{_name(k)}": _text(value) for k, value in run.axes.items()}
  tags |= {
    f"changed.{key}": text
    for key, text in texts.items()
    if known.get(key, text) != text
  }
  client.update_run(run_id, status="RUNNING")
  new = [Param(key, text) for key, text in texts.items() if key not in known]
  for first in range(0, len(new), _MOST_PARAMETERS):
    client.log_batch(run_id, params=new[first : first + _MOST_PARAMETERS])
  if tags:
    client.log_batch(run_id, tags=[RunTag(k, v) for k, v in tags.items()])


def _log_summary(client: Any, run_id: str, end: End) -> None:
  """Logs the values that are new: an earlier end may have had some of them."""
  known = client.get_run(run_id).data.metrics
  new = {k: v for k, v in end.summary.items() if known.get(_name(k)) != v}
  if new:
    client.log_batch(run_id, metrics=_metrics(end.step, new))


def _metrics(step: int, values: Mapping[str, float]) -> list[Any]:
  from mlflow.entities import Metric

  now = int(time.time() * 1000)
  return [Metric(_name(k), float(v), now, step) for k, v in values.items()]


def _name(name: str) -> str:
  """A name that MLflow accepts: "knn_k_20_/top1" for "knn(k=20)/top1"."""
  return _REFUSED.sub("_", name)


def _text(value: Any) -> str:
  return str(value)[:_LONGEST]

"""Each trial of a sweep is its own run of a tracker, in a group too."""

import json

import pytest
import sweep_cases

from jaxvision import cli
from jaxvision.runs import metrics_log

_OWN = """
import json

from jaxvision.runs import trackers


def make():
  def open_run(run):
    records = [{"name": run.name, "group": run.group, "axes": dict(run.axes)}]

    def log(step, values):
      records.append({"step": step, **values})

    def finish(end):
      records.append({"end": end.state, "summary": dict(end.summary)})
      (run.folder / "seen.json").write_text(json.dumps([run.id, *records]))

    return trackers.Session(log=log, finish=finish)

  return open_run
"""


def _sweep(tmp_path, *options, trackers):
  """Runs the trials of two rates in this process."""
  asked = sweep_cases.write(
    tmp_path,
    rates=(0.1, 0.3),
    seeds=1,
    log__trackers=trackers,
    log__tensorboard=True,
    data__placement="device",
  )
  workdir = tmp_path / "rates"
  words = ["sweep", str(asked), "--workdir", str(workdir), "--work"]
  return cli.main([*words, *options]), workdir


@pytest.mark.parametrize("vectorize", ["auto", "none"])
def test_each_trial_is_a_run_in_the_group_of_the_sweep(tmp_path, vectorize):
  (tmp_path / "my_tracker.py").write_text(_OWN)
  own = f"{tmp_path}/my_tracker.py:make"
  code, workdir = _sweep(tmp_path, "--vectorize", vectorize, trackers=(own,))
  assert code == 0
  study = json.loads((workdir / "sweep.json").read_text())["study"]
  ids = set()
  for number, rate in enumerate((0.1, 0.3)):
    folder = workdir / "trials" / f"{number:04d}"
    id, run, *lines, end = json.loads((folder / "seen.json").read_text())
    ids.add(id)
    assert run == {
      "name": f"rates/{number:04d}",
      "group": study,
      "axes": {"optimizer.learning_rate": rate, "seed": 0},
    }
    assert lines == metrics_log.read_metrics(folder) and lines
    together = any("runs_together" in line for line in lines)
    assert together == (vectorize == "auto")
    assert end["end"] == "finished" and "best/step" in end["summary"]
  assert len(ids) == 2


@pytest.mark.parametrize("trackers", [(), ("tensorboard",)])
def test_a_group_writes_event_files_if_they_are_named(tmp_path, trackers):
  code, workdir = _sweep(tmp_path, "--vectorize", "auto", trackers=trackers)
  assert code == 0
  written = list(workdir.glob("trials/*/tensorboard/*"))
  assert len(written) == 2 * len(trackers)


def test_an_unknown_tracker_ends_the_sweep_before_its_first_trial(
  tmp_path, capsys
):
  code, workdir = _sweep(tmp_path, trackers=("mlfow",))
  assert code == 2
  assert "did you mean 'mlflow'" in capsys.readouterr().err
  assert not list(workdir.glob("trials/*"))

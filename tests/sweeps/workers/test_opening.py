"""The same call opens a sweep on every worker."""

import os

import optuna
import pytest
import sweep_cases

from jaxvision import sweeps
from jaxvision.sweeps.study import study


def test_the_searcher_follows_from_the_space():
  listed = sweep_cases.experiment({sweep_cases.RATE: sweeps.grid(0.1, 0.2)})
  drawn = sweep_cases.experiment({sweep_cases.RATE: sweeps.uniform(0, 1)})
  assert sweeps.default_searcher(listed) == "grid"
  assert sweeps.default_searcher(drawn) == "quasi_random"


class Killed(Exception):
  """Simulates a signal."""


def test_a_partly_created_study_is_completed(tmp_path, monkeypatch):
  space = {sweep_cases.RATE: sweeps.grid(0.1, 0.2, 0.3, 0.4)}
  asked = sweep_cases.experiment(space)

  add, added = optuna.Study.enqueue_trial, []

  def add_two(self, *arguments, **options):
    if len(added) == 2:
      raise Killed
    added.append(arguments)
    add(self, *arguments, **options)

  with monkeypatch.context() as patch:
    patch.setattr(optuna.Study, "enqueue_trial", add_two)
    with pytest.raises(Killed):
      sweep_cases.open_sweep(tmp_path, asked)
  opened = sweep_cases.open_sweep(tmp_path, asked)
  claimed = [study.claim(opened.study) for _ in range(4)]
  rates = [trial.point.overrides[sweep_cases.RATE] for trial in claimed]
  assert rates == [0.1, 0.2, 0.3, 0.4]
  assert study.claim(opened.study) is None


@pytest.mark.parametrize(
  "name", ["a?mode=memory", "a%41", "a#b", "a b", "[1]*", os.fsdecode(b"\xff")]
)
def test_the_storage_is_in_the_folder_for_any_folder_name(tmp_path, name):
  asked = sweep_cases.experiment({sweep_cases.RATE: sweeps.grid(0.1, 0.2)})
  for number in (0, 1):  # the second call opens the storage of the first
    opened = sweep_cases.open_sweep(tmp_path / name, asked)
    assert study.claim(opened.study).number == number
  assert (tmp_path / name / "sweep.db").stat().st_size
  assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("content", [b"no database" * 99, b"half"])
def test_a_damaged_storage_is_named(tmp_path, content):
  asked = sweep_cases.experiment({sweep_cases.RATE: sweeps.grid(0.1, 0.2)})
  sweep_cases.open_sweep(tmp_path, asked)
  path = tmp_path / "sweep.db"
  intact = path.read_bytes()
  path.write_bytes(
    intact[: len(intact) // 2] if content == b"half" else content
  )
  with pytest.raises(ValueError, match="move the file away") as caught:
    sweep_cases.open_sweep(tmp_path, asked)
  assert str(caught.value).startswith(f"{path}, the storage of the sweep, is d")


@pytest.mark.parametrize("lost", ["missing", "empty"])
def test_a_sweep_without_its_storage_keeps_its_points(tmp_path, lost):
  """A new storage would draw other points."""
  asked = sweep_cases.experiment({sweep_cases.RATE: sweeps.uniform(0.0, 1.0)})

  def open_one():
    return sweep_cases.open_sweep(tmp_path, asked, searcher="tpe", draws=2)

  runs = []

  def run(recipe, *, workdir, overrides, watch):
    runs.append(workdir.name)
    return sweep_cases.run(
      recipe, workdir=workdir, overrides=overrides, watch=watch
    )

  sweeps.work(open_one(), run, interrupted=Killed)
  before = study.statuses(open_one().study)
  (tmp_path / "sweep.db").unlink()
  if lost == "empty":
    (tmp_path / "sweep.db").touch()
  again = open_one()
  sweeps.work(again, run, interrupted=Killed)
  after = study.statuses(again.study)
  assert runs == ["0000", "0001"]
  assert [each.value for each in after] == [each.value for each in before]
  rates = [t.params[sweep_cases.RATE] for t in again.study.handle.get_trials()]
  assert rates == pytest.approx([each.value for each in after])

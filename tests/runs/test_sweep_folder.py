"""Sweep folders are read back; a setting groups its seeds."""

import fake_sweeps
import pytest

from jaxvision.runs import sweep_folder

_ROWS = [
  {"settings": {"rate": rate, "seed": seed}, "value": value}
  for (rate, seed), value in {
    (0.1, 0): 0.7,
    (0.1, 1): 0.9,
    (0.2, 0): 0.85,
    (0.2, 1): 0.85,
  }.items()
]


def test_settings_are_ranked_by_their_mean(tmp_path):
  rows = [
    *_ROWS,
    {"settings": {"rate": 0.3, "seed": 0}, "state": "pruned", "value": 0.99},
  ]
  sweep = sweep_folder.read_sweep(fake_sweeps.write(tmp_path / "s", rows))
  settings = sweep_folder.settings(sweep)
  assert [dict(each.settings) for each in settings] == [
    {"rate": 0.2},
    {"rate": 0.1},
  ]
  assert settings[1].values.tolist() == [0.7, 0.9]
  assert [trial.number for trial in sweep_folder.ranked(sweep)] == [1, 2, 3, 0]


def test_the_smallest_value_is_first_if_smaller_is_better(tmp_path):
  folder = fake_sweeps.write(tmp_path / "s", _ROWS, goal="minimize")
  sweep = sweep_folder.read_sweep(folder)
  assert sweep_folder.ranked(sweep)[0].value == 0.7
  assert sweep_folder.settings(sweep)[0].settings == {"rate": 0.1}


def test_varied_keys_differ_or_are_missing_somewhere(tmp_path):
  rows = [
    {"settings": {"same": 1, "name": "sgd", "momentum": 0.9}, "value": 0.5},
    {"settings": {"same": 1, "name": "adam"}, "value": 0.6},
  ]
  sweep = sweep_folder.read_sweep(fake_sweeps.write(tmp_path / "s", rows))
  assert sweep_folder.varied(sweep) == ["name", "momentum"]
  columns = sweep_folder.columns(sweep.trials, ["momentum"])
  assert columns == {"momentum": [0.9, None]}
  assert sweep_folder.is_numeric(columns["momentum"])
  assert not sweep_folder.is_numeric([None]) and not sweep_folder.is_numeric(
    [True, False]
  )


def test_a_trial_that_was_not_begun_has_no_run(tmp_path):
  rows = [{"settings": {"rate": 1.0}, "state": "failed", "reason": "full"}]
  sweep = sweep_folder.read_sweep(fake_sweeps.write(tmp_path / "s", rows))
  assert sweep.trials[0].run is None and sweep.trials[0].reason == "full"


def test_another_folder_is_no_sweep(tmp_path):
  assert not sweep_folder.is_sweep(tmp_path)
  with pytest.raises(FileNotFoundError, match="is not a sweep"):
    sweep_folder.read_sweep(tmp_path)

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


_FOLDED = {
  # The better seed of the first fold would win without the mean of a fold.
  0.1: {(0, 0): 0.9, (0, 1): 0.9, (0, 2): 0.9, (1, 0): 0.3, (2, 0): 0.3},
  0.2: {(0, 0): 0.4, (1, 0): 0.6, (2, 0): 0.8},
  0.3: {(0, 0): 0.95, (1, 0): 0.95},
}


def _folded(tmp_path, more=(), **options):
  rows = [
    fake_sweeps.folded({"rate": rate, "seed": seed}, fold, value)
    for rate, values in _FOLDED.items()
    for (fold, seed), value in values.items()
  ]
  folder = fake_sweeps.write(tmp_path / "s", [*rows, *more], **options)
  return sweep_folder.read_sweep(folder)


def test_a_setting_has_the_mean_over_its_folds(tmp_path):
  """Seeds are averaged within a fold. A setting without a fold is last."""
  found = sweep_folder.settings(_folded(tmp_path))
  assert [dict(each.settings) for each in found] == [
    {"rate": 0.2},
    {"rate": 0.1},
    {"rate": 0.3},
  ]
  assert [each.mean for each in found] == pytest.approx([0.6, 0.5, 0.95])
  assert found[1].by_fold == pytest.approx({0: 0.9, 1: 0.3, 2: 0.3})
  assert found[1].repetitions.tolist() == pytest.approx([0.9, 0.3, 0.3])
  assert [each.is_whole for each in found] == [True, True, False]
  assert {each.folds for each in found} == {(0, 1, 2)}


def test_the_smallest_mean_over_folds_may_be_the_best(tmp_path):
  found = sweep_folder.settings(_folded(tmp_path, goal="minimize"))
  assert [each.settings["rate"] for each in found] == [0.1, 0.2, 0.3]


def test_a_number_of_folds_is_a_setting(tmp_path):
  more = [
    fake_sweeps.folded({"rate": 0.2, "seed": 0}, fold, 0.99, folds=2)
    for fold in (0, 1)
  ]
  found = sweep_folder.settings(_folded(tmp_path, more))
  assert len(found) == 4 and found[0].folds == (0, 1)


def test_a_failed_trial_tells_that_a_fold_is_missing(tmp_path):
  lost = [
    fake_sweeps.folded({"rate": rate, "seed": 0}, 3, state="failed", folds=4)
    for rate in (0.1, 0.2)
  ]
  done = [
    fake_sweeps.folded({"rate": 0.1, "seed": 0}, fold, 0.5, folds=4)
    for fold in range(3)
  ]
  rows = fake_sweeps.write(tmp_path / "s", [*lost, *done])
  (found,) = sweep_folder.settings(sweep_folder.read_sweep(rows))
  assert found.folds == (0, 1, 2, 3) and not found.is_whole


def test_an_axis_of_the_user_may_be_called_fold(tmp_path):
  """Sweeps of older versions may have it: there it is a setting."""
  rows = [{"settings": {"fold": name}, "value": 0.5} for name in ("a", "b")]
  sweep = sweep_folder.read_sweep(fake_sweeps.write(tmp_path / "s", rows))
  found = sweep_folder.settings(sweep)
  assert [dict(each.settings) for each in found] == [
    {"fold": "a"},
    {"fold": "b"},
  ]
  assert not found[0].folds


def test_one_fold_of_all_trials_is_no_repetition(tmp_path):
  """The intervals are then those over the seeds."""
  rows = [
    {
      "settings": {"seed": seed},
      "overrides": {"data.folds": 5, "data.fold": 2, "seed": seed},
      "value": value,
    }
    for seed, value in enumerate((0.5, 0.7))
  ]
  sweep = sweep_folder.read_sweep(fake_sweeps.write(tmp_path / "s", rows))
  (found,) = sweep_folder.settings(sweep)
  assert not found.folds and found.repetitions.tolist() == [0.5, 0.7]


def test_folds_that_have_not_started_are_missing(tmp_path):
  """The sweep tries the first fold first."""
  rows = [
    fake_sweeps.folded({"rate": rate, "seed": 0}, 0, rate, folds=5)
    for rate in (0.1, 0.2)
  ]
  sweep = sweep_folder.read_sweep(fake_sweeps.write(tmp_path / "s", rows))
  for each in sweep_folder.settings(sweep):
    assert each.folds == (0, 1, 2, 3, 4) and not each.is_whole


def test_folds_may_be_listed_by_hand(tmp_path):
  rows = [
    {
      "settings": {"data.fold": fold, "seed": seed},
      "overrides": {"data.fold": fold, "seed": seed},
      "value": 0.1 * fold + 0.01 * seed,
    }
    for fold in (1, 3)
    for seed in (0, 2)
  ]
  sweep = sweep_folder.read_sweep(fake_sweeps.write(tmp_path / "s", rows))
  (found,) = sweep_folder.settings(sweep)
  assert found.folds == (1, 3) and not found.settings
  assert found.by_fold == pytest.approx({1: 0.11, 3: 0.31})

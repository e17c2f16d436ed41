"""The best settings are rerun with the requested seeds."""

import fake_sweeps
import pytest
import sweep_cases

from jaxvision import sweeps
from jaxvision.sweeps.experiment import space


def test_the_best_settings_by_their_mean_again_with_more_seeds(tmp_path):
  asked = sweep_cases.experiment(
    {sweep_cases.RATE: sweeps.grid(0.1, 0.4, 0.3), "seed": sweeps.seeds(2)},
    overrides={"train.duration": "3 steps"},
    pruning=sweeps.halving(2),
  )
  opened = sweep_cases.open_sweep(tmp_path, asked)
  sweeps.work(
    opened,
    lambda *recipe, **arguments: sweep_cases.run(
      *recipe, **{**arguments, "watch": lambda *_: ""}
    ),
    interrupted=RuntimeError,
  )
  again = sweeps.rerun_best(tmp_path, top=2, seeds=3)
  picks = list(space.crossings(again.space))
  points = [
    space.resolve(again.space, lambda name, _, of=each: of[name]).overrides
    for each in picks
  ]
  assert [(p[sweep_cases.RATE], p["seed"]) for p in points] == [
    (rate, seed) for rate in (0.4, 0.3) for seed in (0, 1, 2)
  ]
  assert {p["train.duration"] for p in points} == {"3 steps"}
  assert again.objective == asked.objective and again.pruning is None


def test_a_folder_without_a_sweep_or_a_result_is_refused(tmp_path):
  with pytest.raises(FileNotFoundError, match="is not a sweep"):
    sweeps.rerun_best(tmp_path, top=1, seeds=1)
  sweep_cases.open_sweep(
    tmp_path, sweep_cases.experiment({sweep_cases.RATE: sweeps.grid(1.0)})
  )
  with pytest.raises(ValueError, match=r"no trial of .* is complete"):
    sweeps.rerun_best(tmp_path, top=1, seeds=1)


def _points(experiment):
  return [
    space.resolve(experiment.space, lambda name, _, of=each: of[name]).overrides
    for each in space.crossings(experiment.space)
  ]


def test_settings_keep_their_folds(tmp_path):
  rows = [
    fake_sweeps.folded({sweep_cases.RATE: rate, "seed": 4}, fold, value)
    for rate, values in ((0.1, (0.9, 0.1, 0.1)), (0.4, (0.6, 0.7, 0.5)))
    for fold, value in enumerate(values)
  ]
  folder = fake_sweeps.write(tmp_path / "s", rows)
  found = _points(sweeps.rerun_best(folder, top=1, seeds=2))
  assert found == [
    {sweep_cases.RATE: 0.4, "data.folds": 3, "data.fold": fold, "seed": seed}
    for fold in (0, 1, 2)
    for seed in (0, 1)
  ]
  other = _points(sweeps.rerun_best(folder, top=1, seeds=1, folds=4))
  assert other == [
    {sweep_cases.RATE: 0.4, "data.folds": 4, "data.fold": fold, "seed": 0}
    for fold in range(4)
  ]

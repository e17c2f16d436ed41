"""The best settings come again, each with the seeds asked for."""

import pytest
import sweeps

from jaxvision import sweeps as sweep
from jaxvision.sweeps.experiment import space


def test_the_best_settings_by_their_mean_again_with_more_seeds(tmp_path):
  asked = sweeps.experiment(
    {sweeps.RATE: sweep.grid(0.1, 0.4, 0.3), "seed": sweep.seeds(2)},
    overrides={"train.duration": "3 steps"},
    pruning=sweep.halving(2),
  )
  opened = sweeps.open_sweep(tmp_path, asked)
  sweep.work(
    opened,
    lambda *recipe, **arguments: sweeps.run(
      *recipe, **{**arguments, "watch": lambda *_: ""}
    ),
    interrupted=RuntimeError,
  )
  again = sweep.best_again(tmp_path, top=2, seeds=3)
  picks = list(space.crossings(again.space))
  points = [
    space.resolve(again.space, lambda name, _, of=each: of[name]).overrides
    for each in picks
  ]
  assert [(p[sweeps.RATE], p["seed"]) for p in points] == [
    (rate, seed) for rate in (0.4, 0.3) for seed in (0, 1, 2)
  ]
  assert {p["train.duration"] for p in points} == {"3 steps"}
  assert again.objective == asked.objective and again.pruning is None


def test_what_is_no_sweep_or_has_no_result_is_refused(tmp_path):
  with pytest.raises(FileNotFoundError, match="is no sweep"):
    sweep.best_again(tmp_path, top=1, seeds=1)
  sweeps.open_sweep(tmp_path, sweeps.experiment({sweeps.RATE: sweep.grid(1.0)}))
  with pytest.raises(ValueError, match=r"no trial of .* is complete"):
    sweep.best_again(tmp_path, top=1, seeds=1)

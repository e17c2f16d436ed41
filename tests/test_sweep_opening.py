"""A sweep is opened by the same words from anywhere."""

import optuna
import pytest
import sweeps

from jaxvision import sweep
from jaxvision.sweep import study


def test_the_searcher_follows_from_the_space():
  listed = sweeps.experiment({sweeps.RATE: sweep.grid(0.1, 0.2)})
  drawn = sweeps.experiment({sweeps.RATE: sweep.uniform(0, 1)})
  assert sweep.default_searcher(listed) == "grid"
  assert sweep.default_searcher(drawn) == "quasi_random"


class Killed(Exception):
  """Stands for a signal."""


def test_what_was_left_unfinished_is_completed(tmp_path, monkeypatch):
  space = {sweeps.RATE: sweep.grid(0.1, 0.2, 0.3, 0.4)}
  asked = sweeps.experiment(space)

  add, added = optuna.Study.enqueue_trial, []

  def add_two(self, *arguments, **options):
    if len(added) == 2:
      raise Killed
    added.append(arguments)
    add(self, *arguments, **options)

  with monkeypatch.context() as patch:
    patch.setattr(optuna.Study, "enqueue_trial", add_two)
    with pytest.raises(Killed):
      sweeps.open_sweep(tmp_path, asked)
  opened = sweeps.open_sweep(tmp_path, asked)
  claimed = [study.claim(opened.study) for _ in range(4)]
  rates = [trial.point.overrides[sweeps.RATE] for trial in claimed]
  assert rates == [0.1, 0.2, 0.3, 0.4]
  assert study.claim(opened.study) is None

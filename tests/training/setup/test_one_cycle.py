"""Runs with the one-cycle schedule of the rate and of the momentum."""

import json

import jax
import numpy as np
import pytest
import tiny_runs

from jaxvision import inference, sweeps, training
from jaxvision.runs import metrics_log
from jaxvision.sweeps import vectorized
from jaxvision.training.loop import train_loop

_CYCLE = {
  "schedule.name": "one_cycle",
  "schedule.momentum": (0.85, 0.95),
  "optimizer.learning_rate": 0.1,
  "train.duration": "12 steps",
  "evaluate.every": "4 steps",
  "log.every": "1 steps",
  "log.tensorboard": False,
}
# The momenta of OneCycleLR of torch 2.14.1 with total_steps=10.
_MOMENTA = (
  *(0.95, 0.8999999999999999, 0.85, 0.854951556604879, 0.8688255099070633),
  *(0.8888739533021842, 0.9111260466978157, 0.9311744900929366),
  *(0.945048443395121, 0.95),
)


@pytest.fixture
def recipe(tmp_path):
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  return str(tmp_path / "recipe.py")


def _rates(workdir):
  lines = metrics_log.read_metrics(workdir)
  return [each["learning_rate"] for each in lines if "learning_rate" in each]


def test_the_state_has_the_momentum_of_each_step(tmp_path):
  tiny_runs.write_data(tmp_path)
  parts = tiny_runs.prepare(
    tmp_path,
    schedule__name="one_cycle",
    schedule__momentum=(0.85, 0.95),
    train__duration="10 steps",
  )
  state, batch = parts.init(), parts.batches["train"].at(0)
  found = []
  for _ in range(10):
    state, _ = parts.step(state, batch, parts.seed)
    found += [
      float(leaf)
      for path, leaf in jax.tree.flatten_with_path(state.opt_state)[0]
      if "hyperparams" in jax.tree_util.keystr(path)
      and leaf.ndim == 0
      and np.issubdtype(leaf.dtype, np.floating)
    ]
  np.testing.assert_allclose(found, _MOMENTA, rtol=1e-6)


def test_a_stopped_run_ends_as_one_without_a_stop(recipe, tmp_path):
  whole = training.train(recipe, workdir=tmp_path / "a", overrides=_CYCLE)
  call = {"workdir": tmp_path / "b", "overrides": _CYCLE}
  with pytest.raises(train_loop.Preempted, match="step 8"):
    training.train(recipe, watch=tiny_runs.stopped_at(8), **call)
  found = training.train(recipe, **call)
  assert found["fingerprint"] == whole["fingerprint"]
  assert found["final"] == whole["final"]
  assert _rates(tmp_path / "a") == _rates(tmp_path / "b")
  assert inference.load_run(tmp_path / "b").step == 12


@pytest.mark.slow
def test_an_extended_run_keeps_the_last_rate_and_momentum(recipe, tmp_path):
  """It ends as a run with both durations from its first step."""
  longer = {"train.duration": "20 steps", "schedule.duration": "12 steps"}
  whole = training.train(
    recipe, workdir=tmp_path / "a", overrides=_CYCLE | longer
  )
  training.train(recipe, workdir=tmp_path / "b", overrides=_CYCLE)
  found = training.train(
    workdir=tmp_path / "b", extend="20 steps", extend_schedule="constant"
  )
  assert found["fingerprint"] == whole["fingerprint"]
  rates = _rates(tmp_path / "b")
  assert len(rates) == 20 and set(rates[11:]) == {rates[11]}
  assert rates[11] == pytest.approx(4e-7)


@pytest.mark.slow
def test_cycles_that_differ_in_numbers_share_a_program(recipe, tmp_path):
  base = {**_CYCLE, "data.placement": "device"}
  overrides = [
    {
      **base,
      "optimizer.learning_rate": rate,
      "schedule.options.rise": rise,
      "schedule.momentum": momentum,
    }
    for rate, rise, momentum in (
      (0.1, 0.3, (0.85, 0.95)),
      (0.3, 0.5, (0.5, 0.9)),
    )
  ]
  folders = [tmp_path / str(i) for i in range(2)]
  outcomes = vectorized.run_together(
    recipe, workdirs=folders, overrides=overrides, watch=lambda told: {}
  )
  assert outcomes == [sweeps.Outcome("complete")] * 2
  for i, folder in enumerate(folders):
    alone = tmp_path / f"alone-{i}"
    training.train(recipe, workdir=alone, overrides=overrides[i])
    assert _rates(folder) == pytest.approx(_rates(alone), rel=1e-6)
    pair = [inference.load_run(each).variables for each in (folder, alone)]
    for a, b in zip(*map(jax.tree.leaves, pair), strict=True):
      np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
    assert json.loads((folder / "result.json").read_text())["step"] == 12


@pytest.mark.parametrize(
  ("overrides", "message"),
  [
    ({"schedule__name": "cosine"}, "schedule.name is 'cosine'; the momentum"),
    (
      {"schedule__momentum": (0.9,)},
      r"is \(0.9,\); expected \(\) or the small",
    ),
    ({"schedule__momentum": (0.9, 0.8)}, "the smallest and the largest"),
    ({"schedule__momentum": (0.0, 0.8)}, "the smallest and the largest"),
    ({"schedule__momentum": (0.9, 1.0)}, r"momentum'\[1\] is 1.0; .* \[0, 1\)"),
    ({"optimizer__name": "adagrad"}, "adagrad has no option momentum or b1"),
    ({"optimizer__options": {"momentum": 0.9}}, "leave momentum out"),
    ({"schedule__warmup": "1 steps"}, "one_cycle rises by itself"),
  ],
)
def test_wrong_cycles_are_refused(tmp_path, overrides, message):
  tiny_runs.write_data(tmp_path)
  settings = {"schedule__name": "one_cycle", "schedule__momentum": (0.85, 0.95)}
  with pytest.raises(ValueError, match=message):
    tiny_runs.prepare(tmp_path, **{**settings, **overrides})

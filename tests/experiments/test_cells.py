"""The study of cells: hand-made cells of equal cost, and its verdicts."""

import experiment_scripts
import pytest
import search_cases

from jaxvision import sweeps

_KEY = "model.options.arch"
_CONVS = (
  "|nor_conv_1x1~0|+|nor_conv_3x3~0|none~1|+|nor_conv_3x3~0|none~1|"
  "nor_conv_1x1~2|"
)
_OTHER = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"


@pytest.fixture(scope="module")
def study():
  """The module of the study."""
  return experiment_scripts.load("cells.py")


def _ended(searcher, arch, value, state="complete"):
  return sweeps.Ended(
    search=f"{searcher}-0",
    searcher=searcher,
    seed=0,
    number=0,
    state=state,
    value=value,
    settings={_KEY: arch},
    overrides={_KEY: arch},
  )


def test_the_file_is_a_search():
  loaded = sweeps.load_search(experiment_scripts.FOLDER / "cells.py")
  assert len(loaded.parts) == 9 and loaded.children == 200
  assert loaded.final_overrides["data.test"] == "test"
  assert loaded.experiment.overrides["data.test"] == ""


def test_each_winner_has_a_hand_made_cell_of_its_cost(study, monkeypatch):
  # A cost that is known without a network: convolutions * channels^2.
  monkeypatch.setattr(
    study,
    "count_macs",
    lambda arch, channels: arch.count("conv") * channels**2,
  )
  networks = study.final(
    [
      _ended("random", _OTHER, 0.9),
      _ended("controller", _CONVS, 0.8),
      _ended("controller", _OTHER, None, "pruned"),
      _ended("controller", _OTHER, 0.7),
    ]
  )
  # 2 of 5 convolutions: 16 * sqrt(2 / 5) = 10.1; 4 of 5: 14.3.
  assert {k: v.get("model.options.channels") for k, v in networks.items()} == {
    "random": None,
    "controller": None,
    "residual cell, 10 channels": 10,
    "residual cell, 14 channels": 14,
  }
  assert networks["controller"] == {_KEY: _CONVS}


@pytest.mark.slow
def test_the_cost_is_that_of_the_final_stage(study):
  costs = [study.count_macs(_CONVS, channels) for channels in (8, 16)]
  # All but the stem and the classifier grow with the square of the channels.
  assert 3.7 < costs[1] / costs[0] < 4
  channels = study.equal_channels(_CONVS)
  target, residual = costs[1], study._residual_cell()
  found = abs(study.count_macs(residual, channels) - target)
  for other in (channels - 1, channels + 1):
    assert found <= abs(study.count_macs(residual, other) - target)


@pytest.mark.parametrize(
  ("mean", "half", "costs", "verdict"),
  [
    (0.5, 0.4, (100, 110), "better"),
    (-0.5, 0.4, (100, 110), "worse"),
    (0.4, 0.4, (100, 110), "no difference"),
    (0.5, float("nan"), (100, 110), "no difference"),
    (0.5, 0.4, (100, 116), "not comparable"),
  ],
)
def test_the_verdict_on_a_winner(study, mean, half, costs, verdict):
  assert study.judge(mean, half, costs) == verdict


def test_the_verdict_on_a_searcher(study):
  best = {
    "controller": [0.9, 0.91, 0.9],
    "evolution": [0.79, 0.81, 0.82],
    "random": [0.8, 0.81, 0.8],
  }
  found = study.compare_searchers(best)
  assert found["controller"].endswith(": ahead")
  assert found["evolution"].endswith(": no difference")
  once = {name: values[:1] for name, values in best.items()}
  assert study.compare_searchers(once)["controller"].endswith("not judged")


def test_the_table_is_paired_by_the_seeds(study, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(study, "count_macs", lambda arch, channels: channels)
  monkeypatch.setattr(study, "equal_channels", lambda arch: 16)
  rival = "residual cell, 16 channels"
  workdir = search_cases.write_folder(
    tmp_path / "W",
    {
      "controller-0": [{"settings": {_KEY: _CONVS}, "value": 0.7}],
      "controller-1": [{"settings": {_KEY: _CONVS}, "value": 0.72}],
      "random-0": [{"settings": {_KEY: _CONVS}, "value": 0.5}],
      "random-1": [{"settings": {_KEY: _CONVS}, "value": 0.52}],
    },
    final={"controller": [0.91, 0.93, 0.95], rival: [0.9, 0.92, 0.94]},
  )
  study.main([str(workdir)])
  lines = capsys.readouterr().out.splitlines()
  assert "+1.00 ± 0.00 | better |" in lines[2]
  assert lines[3].startswith("controller against random search: +20.00 points")

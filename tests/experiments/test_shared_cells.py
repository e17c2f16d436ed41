"""The study of shared parameters: its cells, its verdicts, its trainings."""

import json

import experiment_scripts
import fake_sweeps
import numpy as np
import pytest
from scipy import stats

from jaxvision import genotypes, sweeps


@pytest.fixture(scope="module")
def study():
  return experiment_scripts.load("shared_cells.py")


def test_no_two_cells_are_equivalent(study):
  cells = study.draw_cells(48)
  space = genotypes.create("nasbench201")
  assert len({space.identify(cell) for cell in cells}) == 48
  assert cells == study.draw_cells(48)


def _values(own, shared):
  """Values of 48 cells with about these correlations with "long"."""
  rng = np.random.default_rng(0)
  long = rng.normal(size=48)
  ways = {"own": own, "shared": shared, "long": 1.0}
  values = {
    way: r * long + np.sqrt(1 - r**2) * rng.normal(size=48)
    for way, r in ways.items()
  }
  cells = [f"cell {i}" for i in range(48)]
  return {
    way: dict(zip(cells, each, strict=True)) for way, each in values.items()
  }


def test_correlations_are_those_of_scipy(study):
  rng = np.random.default_rng(0)
  a, b = rng.integers(0, 9, size=(2, 5, 20))  # with ties
  expected = [
    stats.spearmanr(*each).statistic for each in zip(a, b, strict=True)
  ]
  np.testing.assert_allclose(study._spearman(a, b), expected)


@pytest.mark.parametrize(
  ("own", "shared", "words"),
  [
    (0.9, 0.0, ("orders", "no order", "worse")),
    (0.0, 0.9, ("no order", "orders", "better")),
    (0.8, 0.8, ("orders", "orders", "not different")),
  ],
)
def test_the_verdicts(study, own, shared, words):
  lines = study.judge(_values(own, shared))
  assert len(lines) == 3
  for line, word in zip(lines, words, strict=True):
    assert word in line


def test_a_sweep_is_judged(study, tmp_path, capsys):
  values = _values(0.9, 0.0)
  trials = [
    {"settings": {"way": way, "model.options.arch": cell}, "value": value}
    for way, each in values.items()
    for cell, value in each.items()
  ]
  workdir = fake_sweeps.write(tmp_path / "W", trials)
  seconds = {"own": 3.0, "shared": 1.5, "long": 12.0}
  for number, trial in enumerate(trials):
    lines = [
      {"step": 1, "seconds": 7.0},
      {"step": 9, "seconds": 7.0 + seconds[trial["settings"]["way"]]},
    ]
    path = workdir / "trials" / f"{number:04d}" / "metrics.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
  study.main(["judge", str(workdir)])
  lines = capsys.readouterr().out.splitlines()
  assert lines[:3] == study.judge(values)
  assert lines[3:] == [
    "own: 1.00 of the time of own",
    "shared: 0.50 of the time of own",
    "long: 4.00 of the time of own",
  ]
  trials[0]["state"] = "failed"
  with pytest.raises(ValueError, match="trial 0 is failed"):
    study.main(["judge", str(fake_sweeps.write(tmp_path / "V", trials))])


@pytest.mark.slow
def test_the_file_is_a_sweep_of_all_ways():
  experiment = sweeps.load(experiment_scripts.FOLDER / "shared_cells.py")
  planned = sweeps.plan(experiment.space, searcher="grid", draws=1)
  assert len(planned) == 3 * 48

"""The study on NAS-Bench-201: its expectation, its searches, its verdicts."""

import json
import math

import experiment_scripts
import numpy as np
import pytest

from jaxvision import genotypes


@pytest.fixture(scope="module")
def study():
  return experiment_scripts.load("nasbench201.py")


def _small(study, cells=12):
  """A table of one decision."""
  rng = np.random.default_rng(0)
  values = {(i,): float(v) for i, v in enumerate(rng.permutation(cells))}
  test = {picks: value**2 for picks, value in values.items()}
  return study.Table("small", (cells,), values, test)


@pytest.mark.parametrize(("number", "top"), [(1, 1), (4, 1), (4, 3), (12, 5)])
def test_the_expectation_is_the_mean_over_all_samples(study, number, top):
  import itertools

  table = _small(study)
  found = study.expect_random(table, number, top=top)
  samples = itertools.combinations(table.validation, number)
  best = [
    sorted(sample, key=table.validation.get, reverse=True)[:top]
    for sample in samples
  ]
  assert len(best) == math.comb(12, number)
  for values, mean in zip((table.validation, table.test), found, strict=True):
    expected = np.mean([[values[p] for p in each] for each in best])
    assert mean == pytest.approx(expected)


def test_the_measures_of_a_search(study):
  table = _small(study)
  order = sorted(table.validation, key=table.validation.get)
  found = study.summarize(table, [*order[:10], order[3], *order[10:11]])
  places = study.points(12)
  assert places == [10, 11]
  assert found["test"] == [9.0**2, 9.0**2]
  assert found["top 1"] == [9, 9]
  # The repeated child counts once.
  assert found["top 5"] == [7, 7]


def _comparison(study, **changes):
  facts = {"table": "a", "searcher": "x", "number": 50, "mean": 2.0}
  facts |= {"error": 0.1, "seeds": 9, "random": 1.0, "p": 0.001}
  return study.Comparison(**{**facts, **changes})


def test_the_verdicts_follow_the_written_rule(study):
  rows = study.write_table(
    [
      _comparison(study),
      _comparison(study, searcher="y", mean=0.5),
      # Holm: 0.04 is the third of three p-values, 0.03 counts twice.
      _comparison(study, searcher="z", p=0.03),
    ]
  ).splitlines()[2:]
  assert rows[0] == "| random | exact | 1.000 |"
  assert rows[1] == "| x | 9 | 2.000 ± 0.100, ahead |"
  assert rows[2] == "| y | 9 | 0.500 ± 0.100, behind |"
  assert rows[3].endswith("ahead |")
  rows = study.write_table(
    [_comparison(study, p=0.03), _comparison(study, searcher="y", p=0.03)]
  ).splitlines()[2:]
  assert [row.endswith("no difference |") for row in rows[1:]] == [True, True]


def test_equal_results_of_all_seeds_have_a_verdict(study):
  table = _small(study)
  best = {"test": [table.test[max(table.test, key=table.test.get)]] * 99}
  found = dict.fromkeys("012", best)
  study_points = study.points(50)
  assert 50 in study_points
  table = study.Table("big", (60,), *[{(i,): float(i) for i in range(60)}] * 2)
  (row,) = study.compare(
    table, "x", {k: {"test": [59.0] * 60} for k in found}, children=50
  )
  assert row.p == 0.0 and row.mean == 59 > row.random
  (row,) = study.compare(table, "x", {"0": {"test": [59.0] * 60}}, children=50)
  lines = study.write_table([row]).splitlines()
  assert lines[-1] == "| x | 1 | 59.000, one seed is not judged |"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
  """The file of a table with all cells, with invented accuracies."""
  space = genotypes.create("nasbench201")
  labels = list(space.decisions.values())
  cells = {}
  for picks in np.ndindex(*map(len, labels)):
    chosen = zip(space.decisions, labels, picks, strict=True)
    cell = space.write({name: all_[i] for name, all_, i in chosen})
    convolutions = sum(i == 3 for i in picks)
    value = 10.0 * convolutions + picks[0] / 10
    cells[cell] = {"val_acc_200": value, "test_acc_200": value + 1}
  path = tmp_path_factory.mktemp("table") / "nasbench201_invented.json"
  path.write_text(json.dumps(cells))
  return path


@pytest.mark.slow
def test_a_study_runs_and_is_read_again(
  study, published, tmp_path, capsys, monkeypatch
):
  words = [str(published), "--seeds=2", "--children=60"]
  words += [f"--workdir={tmp_path}", "--searchers", "local_search"]
  study.main([*words, "evolution(population=20, sample=10)", "tpe"])
  first = capsys.readouterr().out
  assert first.splitlines()[0] == "| invented | seeds | 50 |"
  rows = {row.split(" | ")[0] for row in first.splitlines()[3:-1]}
  assert "| local_search" in rows and len(rows) == 3
  assert (tmp_path / "table.md").read_text() == first[:-1]
  # The mean of the best of 50 random cells has about 4 convolutions of 6.
  (row,) = [
    row
    for row in json.loads((tmp_path / "results.json").read_text())
    if row["searcher"] == "local_search"
  ]
  assert row["mean"] > row["random"] + 5 and row["seeds"] == 2
  monkeypatch.setattr(study, "run_search", lambda *_, **__: pytest.fail())
  study.main([*words, "evolution(population=20, sample=10)", "tpe"])
  assert capsys.readouterr().out == first


def test_a_table_without_all_cells_is_refused(study, published, tmp_path):
  cells = json.loads(published.read_text())
  lost = cells.popitem()[0]
  path = tmp_path / "part.json"
  path.write_text(json.dumps(cells))
  with pytest.raises(ValueError, match="all 15625 cells") as raised:
    study.read_table(path)
  assert lost in str(raised.value)


def test_the_figure_has_a_row_per_table(study, tmp_path):
  values = {(i,): float(i % 37) for i in range(80)}
  table = study.Table("small", (80,), values, values)
  children = list(values)[:60]
  study.draw_figure(
    [table],
    lambda *_: {"0": study.summarize(table, children)},
    tmp_path / "figure.png",
    children=60,
  )
  assert (tmp_path / "figure.png").stat().st_size > 10_000

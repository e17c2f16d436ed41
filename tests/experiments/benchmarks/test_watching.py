"""The benchmark of watching writes runs that look like those of a training."""

import experiment_scripts
import watched_runs


def test_it_measures_all_looks(capsys):
  script = experiment_scripts.load("benchmarks/watching.py")
  script.main(["--runs", "3", "--lines", "20", "--rounds", "2"])
  title, _, *rows = capsys.readouterr().out.splitlines()
  assert title.startswith("| 3 runs of 20 lines")
  assert [row.split("|")[1].strip() for row in rows] == [
    *("first", "unchanged", "one line each")
  ]
  assert all(float(row.split("|")[2]) >= 0 for row in rows)


def test_its_runs_train(tmp_path):
  script = experiment_scripts.load("benchmarks/watching.py")
  script.write_runs(tmp_path, runs=2, lines=20)
  script.append(tmp_path, 21)
  rows = watched_runs.rows(tmp_path)
  assert [*rows] == ["0000", "0001"]
  for row in rows.values():
    assert (row.step, row.total_steps, row.best) == (21, 200, 0.1)

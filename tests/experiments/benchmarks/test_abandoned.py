"""In the benchmark of lost processes, two processes train until one ends."""

import experiment_scripts
import pytest

from jaxvision.processes import exit_codes


@pytest.mark.slow
def test_the_other_process_ends_and_says_so(capsys):
  script = experiment_scripts.load("benchmarks/abandoned.py")
  events = ["killed (SIGKILL)", "raised an error"]
  script.main(["--rounds", "1", "--events", *events])
  _, _, *rows = capsys.readouterr().out.splitlines()
  cells = [[each.strip() for each in row.strip("|").split("|")] for row in rows]
  assert [row[0] for row in cells] == [
    each for each in events for _ in range(2)
  ]
  assert [row[1] for row in cells] == ["0", "1"] * 2
  for *_, seconds, _, code in cells:
    assert float(seconds) < 60
    assert code == str(exit_codes.ABANDONED)

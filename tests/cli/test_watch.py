"""The command `jaxvision watch`: one print, JSON, and the live table."""

import contextlib
import io
import json
import math
import re
import shutil
import subprocess
import sys
import time

import fake_sweeps
import pytest
import watched_runs
from rich import cells

from jaxvision import cli
from jaxvision.cli import watch, watch_table
from jaxvision.report import overview

_COLUMNS = [
  *("name", "state", "%", "step", "epoch", "left", "loss", "metric"),
  *("last", "best", "images/s", "age", "note"),
]


class _Terminal(io.StringIO):
  encoding = "utf-8"

  def isatty(self):
    return True


@pytest.fixture
def terminal(monkeypatch):
  """A terminal of 100 columns and 20 lines."""
  for name, value in (("TERM", "xterm"), ("COLUMNS", "100"), ("LINES", "20")):
    monkeypatch.setenv(name, value)
  monkeypatch.delenv("NO_COLOR", raising=False)
  return _Terminal()


@pytest.fixture
def root(tmp_path):
  """A run at step 40 of 100, and a sweep with a complete trial."""
  folder = tmp_path / "all"
  with watched_runs.training(folder / "run") as write:
    for step in (20, 40):
      write(step, watched_runs.values(step))
    write(40, {"validation/top1": 0.625})
  # The process still trains.
  (folder / "run" / "lock").write_text("process 1")
  fake_sweeps.write(
    folder / "swept", [{"settings": {"rate": 0.1}, "value": 0.75}]
  )
  return folder


def _live(monkeypatch, actions):
  """Replaces the waiting: does the next action, and at last Ctrl-C."""
  left = list(actions)

  def sleep(seconds):
    assert seconds == 2.5
    if not left:
      raise KeyboardInterrupt
    left.pop(0)()

  monkeypatch.setattr(time, "sleep", sleep)


def _watch(terminal, *words):
  """The exit code of the command in a terminal."""
  with contextlib.redirect_stdout(terminal):
    return cli.main(["watch", *map(str, words)])


def _plain(text):
  return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_pipe_gets_one_complete_table(root, capsys):
  assert cli.main(["watch", str(root)]) == 0
  heading, run, swept = capsys.readouterr().out.splitlines()
  assert heading.split() == _COLUMNS
  words = ["run", "running", "40%", "40/100", "0.8/2"]
  assert run.split()[:5] == words
  assert re.search(r"0.8/2 +(1 min 0|\d\d) s ", run)  # 60 steps of a second
  assert re.search("top1 +62.50%  62.50%", run)
  assert swept.split()[:5] == ["swept", "finished", "100%", "1/1", "trials"]
  assert swept.endswith("1 complete, best is trial 0000")


@pytest.mark.parametrize(
  ("words", "names"),
  [
    (["--trials"], ["run", "swept", "swept/trials/0000"]),
    (["--filter", "finished"], ["swept"]),
    (["--filter", "finished", "--filter", "running"], ["run", "swept"]),
    (["--filter", "failed"], []),
    (["--sort", "best"], ["swept", "run"]),
  ],
)
def test_rows_are_chosen(words, names, root, capsys):
  assert cli.main(["watch", str(root), *words]) == 0
  lines = capsys.readouterr().out.splitlines()[1:]
  assert [line.split()[0] for line in lines] == names


def test_json_is_strict_and_has_the_row_of_each_run(root, capsys):
  with (root / "run" / "metrics.jsonl").open("a") as file:
    file.write('{"step": 60, "train/loss": null}\n')
  assert cli.main(["watch", str(root), "--once", "--json"]) == 0

  def refuse(constant):
    raise ValueError(constant)

  printed = capsys.readouterr().out
  run, swept = json.loads(printed, parse_constant=refuse)
  assert (run["name"], run["step"], run["percent"]) == ("run", 60, 60.0)
  assert (run["train_loss"], run["not_finite"]) == (None, ["train_loss"])
  assert (swept["kind"], swept["trials"]) == ("sweep", {"complete": 1})


def test_an_empty_folder_has_no_rows(tmp_path, capsys):
  assert cli.main(["watch", str(tmp_path), "--json"]) == 0
  assert json.loads(capsys.readouterr().out) == []
  assert cli.main(["watch", str(tmp_path)]) == 0
  assert capsys.readouterr().out.split() == _COLUMNS


def test_a_missing_folder_is_an_error(tmp_path, capsys):
  assert cli.main(["watch", str(tmp_path / "runz")]) == 2
  error = capsys.readouterr().err
  assert "runz" in error and "contains some" in error


@pytest.mark.parametrize(
  ("words", "expected"),
  [
    (["--every", "0"], "must be a number above 0"),
    (["--every", "nan"], "must be a number above 0"),
    (["--filter", "done"], "'running', 'stalled'"),
    (["--sort", "size"], "'state', 'name'"),
  ],
)
def test_wrong_options_name_the_right_ones(words, expected, tmp_path, capsys):
  with pytest.raises(SystemExit):
    cli.main(["watch", str(tmp_path), *words])
  assert expected in re.sub(r"choose from (\w+, .*)\)", _quoted, _err(capsys))


def _err(capsys):
  return capsys.readouterr().err


def _quoted(match):
  """Python 3.14 prints choices without quotes."""
  return ", ".join(f"'{each}'" for each in match[1].split(", "))


def test_the_options_are_those_of_the_overview():
  assert tuple(overview.SORTS) == watch._SORTS
  assert watch._STATES == overview.STATES


def test_the_table_is_renewed_until_ctrl_c(root, terminal, monkeypatch):
  def train():
    with (root / "run" / "metrics.jsonl").open("a") as file:
      file.write('{"step": 70, "train/loss": 0.5}\n')

  def start():
    with watched_runs.training(root / "new"):
      pass

  def remove():
    shutil.rmtree(root / "run")

  _live(monkeypatch, [train, start, remove])
  assert _watch(terminal, root, "--every", "2.5") == 0
  assert "interrupted" not in terminal.getvalue()
  text = _plain(terminal.getvalue())
  assert text.index("40%") < text.index("70%") < text.index("new")
  *_, last = text.split("name ")
  assert "new" in last and "run " not in last and "swept" in last


def test_a_live_table_fits_the_terminal(root, terminal, monkeypatch):
  for number in range(30):
    shutil.copytree(root / "run", root / f"{'long_name' * 9}_{number}")
  _live(monkeypatch, [])
  assert _watch(terminal, root, "--every", "2.5") == 0
  lines = _plain(terminal.getvalue()).splitlines()
  assert max(map(cells.cell_len, lines)) <= 100
  title = "31 running, 1 finished; 15 rows do not fit the terminal"
  first, last = (i for i, line in enumerate(lines) if title in line)
  assert first == 0 and len(lines) - last <= 20  # It is drawn again at the end.


def test_once_prints_all_rows_in_a_terminal_too(root, terminal):
  for number in range(30):
    shutil.copytree(root / "run", root / f"run{number}")
  assert _watch(terminal, root, "--once") == 0
  lines = _plain(terminal.getvalue()).splitlines()
  assert len(lines) == 2 + 31 + 1
  assert max(map(cells.cell_len, lines)) <= 100


@pytest.mark.parametrize("colours", [True, False])
def test_colours_only_where_they_are_wanted(
  colours, root, terminal, monkeypatch
):
  if not colours:
    monkeypatch.setenv("NO_COLOR", "1")
  assert _watch(terminal, root, "--once") == 0
  assert ("\x1b[32m" in terminal.getvalue()) == colours


def test_a_terminal_without_a_cursor_gets_one_table(
  root, terminal, monkeypatch
):
  monkeypatch.setenv("TERM", "dumb")
  _live(monkeypatch, [])
  assert _watch(terminal, root, "--every", "2.5") == 0
  assert terminal.getvalue().splitlines()[0].split() == _COLUMNS


def _row(**fields):
  known = {
    "name": "folder/of/runs/a",
    "kind": "run",
    "workdir": "w",
    "state": "running",
    "reason": "a reason of some length",
    "step": 1000,
    "total_steps": 4690,
    "percent": 21.3,
    "epoch": 2.1,
    "total_epochs": 10,
    "seconds_left": 3725,
    "train_loss": 0.5,
    "metric": "validation/top1",
    "last": 0.5,
    "best": 0.75,
    "images_per_second": 1e4,
    "age_seconds": 5,
  }
  return overview.Row(**{**known, **fields})


def _heading(rows, width):
  return watch_table.lines(rows, width=width)[0].split()


def test_columns_go_one_by_one_the_least_important_first():
  before = _heading([_row()], 500)
  assert before == _COLUMNS
  for width in range(200, 20, -1):
    lines = watch_table.lines([_row(), _row(name="b" * 50)], width=width)
    assert max(map(cells.cell_len, lines)) <= width
    shown = lines[0].split()
    assert {*shown} <= {*before}, width
    before = shown
  assert before == ["name", "state"]


@pytest.mark.parametrize("width", [1, 5, 12, 30, 80, 130])
def test_no_name_makes_a_line_too_long(width):
  names = ("実験/学習率" * 8, "\x1b[31mred\nline", "e\u0301" * 40, "")
  rows = [_row(name=name, reason=name) for name in names]
  lines = watch_table.lines(rows, width=width)
  assert len(lines) == 1 + len(rows)
  assert max(map(cells.cell_len, lines)) <= width
  assert "\x1b" not in "".join(lines)


def test_a_long_name_keeps_its_end_and_a_long_note_its_beginning():
  rows = [_row(name=f"{'deep/' * 30}trial7", reason="because " * 40)]
  _, line = watch_table.lines(rows, width=150)
  assert re.match(r"\.\.\.\S*trial7 ", line)
  assert re.search(r"because[a-z ]*\.\.\.$", line)
  whole = watch_table.lines(rows, width=None)[1]
  assert rows[0].name in whole and whole.endswith("because")


def test_columns_without_values_are_left_out_of_a_terminal():
  rows = [_row(seconds_left=None, metric="", last=None, best=None)]
  shown = _heading(rows, 500)
  assert [each for each in _COLUMNS if each not in shown] == [
    *("left", "metric", "last", "best")
  ]
  assert _heading(rows, None) == _COLUMNS


@pytest.mark.parametrize(
  ("fields", "expected"),
  [
    ({"train_loss": math.nan}, "nan"),
    ({"last": math.inf}, "inf"),
    ({"best": 0.98611}, "98.61%"),
    ({"metric": "validation_ema/r2", "best": 0.98611}, "0.9861"),
    ({"metric": "validation_ema/r2"}, "r2 (EMA)"),
    ({"percent": 99.99}, "99%"),
    ({"seconds_left": 3725}, "1 h 2 min"),
    ({"step": 12000, "total_steps": None}, "12,000"),
    ({"kind": "sweep", "step": 3, "total_steps": 20}, "3/20 trials"),
  ],
)
def test_values_are_written_as_in_reports(fields, expected):
  assert f" {expected} " in watch_table.lines([_row(**fields)], width=None)[1]


def test_a_look_needs_no_jax(root):
  code = (
    "import sys; from jaxvision import cli; "
    f"cli.main(['watch', {str(root)!r}, '--trials', '--once']); "
    "heavy = ('jax', 'flax', 'optax', 'optuna', 'matplotlib', 'sklearn'); "
    "print([name for name in heavy if name in sys.modules])"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert done.stdout.splitlines()[-1] == "[]"

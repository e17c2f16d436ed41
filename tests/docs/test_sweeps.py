"""The commands of cross-validation in docs/sweeps.md run, with few steps."""

import json
import pathlib
import re
import shlex

import parsed_page
import pytest

from jaxvision import cli

_ROOT = pathlib.Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "sweeps.md").read_text("utf-8")
_SECTION = _PAGE.partition("## Cross-validation")[2].partition("\n## ")[0]
_SHORT = (
  "--config.train.duration=16 steps",
  "--config.schedule.warmup=0 steps",
  "--config.evaluate.every=8 steps",
  "--config.checkpoint.every=8 steps",
)
_QUESTION = """
from jaxvision import sweep
QUESTION = "Which rate?"
BASE = "configs/digits.py:mlp"
OVERRIDES = {{
  "train.duration": "16 steps",
  "schedule.warmup": "0 steps",
  "evaluate.every": "8 steps",
  "checkpoint.every": "8 steps",
  "log.tensorboard": False,
}}
{space}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The best mean over the folds."
"""


def _blocks(kind):
  return re.findall(rf"```{kind}\n(.*?)```", _SECTION, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """A folder with the file that the commands name."""
  (tmp_path / "configs").symlink_to(_ROOT / "configs")
  (space,) = _blocks("python")
  (tmp_path / "question.py").write_text(_QUESTION.format(space=space))
  monkeypatch.chdir(tmp_path)
  return tmp_path


def test_the_space_has_the_folds_first(folder, capsys):
  assert cli.main(["sweep", "question.py", "--dry-run"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith("20 runs of ")
  assert lines[5].startswith(
    "0004  --config.data.folds=5  --config.data.fold=1"
  )


@pytest.mark.slow
def test_the_commands_run(folder, capsys):
  lines = "".join(_blocks("bash")).splitlines()
  for words in map(shlex.split, lines):
    words = words[1:]
    if words[0] == "train":
      words += _SHORT
    if words[0] == "sweep":
      words += ["--config.train.steps_per_dispatch=4"]
    assert cli.main(words) == 0, f"{words}\n{capsys.readouterr().err}"
  page = parsed_page.Page(folder / "runs" / "folds" / "report.html")
  rows = page.table(*(f"fold {n}" for n in range(5)), "std", "out of fold")
  assert len(rows) == 2
  again = sorted((folder / "runs" / "folds-again" / "trials").iterdir())
  records = [json.loads((t / "trial.json").read_text()) for t in again]
  assert [
    (r["overrides"]["data.fold"], r["overrides"]["seed"]) for r in records
  ] == [(fold, seed) for fold in range(5) for seed in range(3)]

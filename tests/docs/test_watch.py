"""The commands in docs/running.md that watch runs are run."""

import json
import pathlib
import re
import shlex

import fake_sweeps
import pytest
import watched_runs

from jaxvision import cli
from jaxvision.report import overview

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "running.md"
_TEXT = _PAGE.read_text("utf-8").partition("## Watching runs")[2]
_SECTION = _TEXT.partition("\n## ")[0]
_LINES = "".join(
  re.findall(r"```bash\n(.*?)```", _SECTION, re.DOTALL)
).splitlines()


@pytest.mark.parametrize("line", _LINES)
def test_the_commands_run(line, tmp_path, monkeypatch, capsys):
  for name in ("runs/mlp", "/shared/runs/resnet50"):
    with watched_runs.training(tmp_path / name.lstrip("/")) as write:
      write(1, watched_runs.values(1))
  trial = {"settings": {"rate": 0.1}, "value": 0.75}
  fake_sweeps.write(tmp_path / "runs/optimizers", [trial])
  monkeypatch.chdir(tmp_path)
  command, *words = shlex.split(line.replace(" /shared", " shared"))
  assert command == "jaxvision"
  assert cli.main(words) == 0, capsys.readouterr().err
  printed = capsys.readouterr().out
  rows = json.loads(printed) if "--json" in words else printed.splitlines()[1:]
  assert rows


def test_the_page_names_all_states_and_sort_keys():
  for name in (*overview.STATES, *overview.SORTS):
    assert f"`{name}`" in _SECTION, name

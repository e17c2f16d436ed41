"""The commands of docs/launch.md pass a dry run."""

import os
import pathlib
import re
import shlex

import pytest

from jaxvision import cli, launch

_ROOT = pathlib.Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "launch.md").read_text("utf-8")
_LINES = "".join(
  re.findall(r"```bash\n(.*?)```", _PAGE, re.DOTALL)
).splitlines()


def test_every_engine_has_a_command():
  assert {shlex.split(line)[2] for line in _LINES} == set(launch.LAUNCHERS)


@pytest.mark.parametrize("line", _LINES)
def test_the_commands_can_be_launched(line, tmp_path, monkeypatch, capsys):
  (tmp_path / "configs").symlink_to(_ROOT / "configs")
  monkeypatch.chdir(tmp_path)
  command, *words = shlex.split(line)
  assert command == "jaxvision"
  words.insert(words.index("--"), "--dry-run")
  assert cli.main(words) == 0, capsys.readouterr().err
  assert "# " in capsys.readouterr().out
  assert os.listdir(tmp_path) == ["configs"]

"""The commands in docs/running.md that write reports are run."""

import pathlib
import re
import shlex

import fake_runs
import pytest

from jaxvision import cli, report
from jaxvision.training.loop import predictions

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "running.md"
_TEXT = _PAGE.read_text("utf-8").partition("## Reports")[2]
_SECTION = _TEXT.partition("\n## ")[0]
_LINES = re.search(r"```bash\n(.*?)```", _SECTION, re.DOTALL)[1].splitlines()


@pytest.mark.parametrize("line", _LINES)
def test_the_commands_run(line, tmp_path, monkeypatch, capsys):
  for name in ("mlp", "linear"):
    fake_runs.write_run(tmp_path / "runs" / name, epochs=1)
  monkeypatch.chdir(tmp_path)
  command, *words = shlex.split(line)
  assert command == "jaxvision"
  assert cli.main(words) == 0, capsys.readouterr().err
  assert [each for each in tmp_path.rglob("*.html") if report.is_whole(each)]


def test_the_page_states_the_limits():
  text = " ".join(_SECTION.split())
  assert f"at most {predictions.MOST_NUMBERS // 10**6} million" in text
  assert f"at most {predictions.MOST_PICTURES} images" in text

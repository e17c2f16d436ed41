"""Every block of docs/extending.md runs, together, in one folder."""

import json
import pathlib
import re
import runpy
import shlex

import pytest

from jaxvision import cli

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """The files of the page, in one folder; no block is left out."""
  folder = tmp_path_factory.mktemp("mine")
  blocks = re.findall(r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL)
  for block in blocks:
    name = re.match(r"# (my_\w+\.py)\n", block)[1]
    (folder / name).write_text(block)
  assert len(list(folder.iterdir())) == len(blocks) == 12
  return folder


def test_the_commands_run_on_all_kinds_of_own_code(folder, monkeypatch, capsys):
  monkeypatch.chdir(folder)
  [commands] = re.findall(r"```bash\n(.*?)```", _PAGE.read_text(), re.DOTALL)
  for line in commands.splitlines():
    command, *words = shlex.split(line)
    assert command == "jaxvision"
    assert cli.main(words) == 0, f"{line}\n{capsys.readouterr().err}"
  said = capsys.readouterr().out
  assert "my_probe.py:nearest_mean: top1" in said
  run = folder / "runs" / "mine"
  lines = (run / "metrics.jsonl").read_text()
  assert "validation/my_probe.py:nearest_mean/top1" in lines
  saved = json.loads((run / "config.json").read_text())
  assert saved["config"]["model"]["name"] == "my_model.py:create"
  assert set(saved["code"]) == {
    *("my_model.py", "my_activation.py", "my_loss.py", "my_schedule.py"),
    *("my_optimizer.py", "my_transforms.py", "my_probe.py", "my_data.py"),
    "my_task.py",
  }
  assert set(saved["code"]["my_model.py"]["files"]) == {
    "my_model.py",
    "my_layers.py",
  }


def test_the_loop_trains_in_thirty_lines(folder, monkeypatch, capsys):
  monkeypatch.chdir(folder)
  text = (folder / "my_loop.py").read_text()
  code = text[text.index("split = ") :]
  assert len(code.splitlines()) <= 30
  runpy.run_path("my_loop.py")
  accuracy = int(re.search(r"accuracy (\d+)%", capsys.readouterr().out)[1])
  assert accuracy > 80

"""The commands in docs/running.md that train on the digits are run."""

import json
import pathlib
import re
import shlex

import pytest

from jaxvision import cli

_ROOT = pathlib.Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "running.md").read_text("utf-8")
# The commands of the page, with few steps.
_SHORT = (
  "--config.train.duration=16 steps",
  "--config.evaluate.every=8 steps",
  "--config.log.tensorboard=False",
)
_SMALL = (
  '--config.model.options={"features": 4, "blocks": (1,), "stem": "small"}',
  "--config.schedule.duration=8 steps",
  "--config.ema.every=2 steps",
)


def _commands(name):
  """The commands of the section with this heading."""
  _, section = _PAGE.split(f"\n## {name}\n")
  section, *_ = section.split("\n## ")
  blocks = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
  return [shlex.split(line)[1:] for line in "".join(blocks).splitlines()]


@pytest.fixture
def folder(tmp_path, monkeypatch):
  (tmp_path / "configs").symlink_to(_ROOT / "configs")
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
  assert cli.main(["data", "prepare", "digits"]) == 0
  return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "runs"),
  [
    ("One cycle of the learning rate", ["cycle"]),
    ("An equal average of the parameters (SWA)", ["swa"]),
  ],
)
def test_the_commands_run(name, runs, folder, capsys):
  for words in _commands(name):
    words += _SHORT if words[0] == "train" else ()
    if "configs/digits.py:resnet" in words:
      words += _SMALL
    assert cli.main(words) == 0, f"{words}\n{capsys.readouterr().err}"
  for run in runs:
    result = json.loads((folder / "runs" / run / "result.json").read_text())
    assert result["status"] == "finished"

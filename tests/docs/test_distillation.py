"""The commands of docs/distillation.md run, with a few steps."""

import json
import pathlib
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from jaxvision import cli
from jaxvision.losses import distillation

_ROOT = pathlib.Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "distillation.md").read_text("utf-8")
_SHORT = (
  "--config.train.duration=8 steps",
  "--config.train.steps_per_dispatch=1",
  "--config.schedule.warmup=0 steps",
  "--config.evaluate.every=8 steps",
)


def _commands():
  blocks = re.findall(r"```bash\n(.*?)```", _PAGE, re.DOTALL)
  lines = "".join(blocks).replace("\\\n", " ").splitlines()
  return [shlex.split(line)[1:] for line in lines]


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """A folder with the files that the commands name."""
  (tmp_path / "configs").symlink_to(_ROOT / "configs")
  for digit in range(10):
    images = tmp_path / f"path/to/labelled/{digit}"
    images.mkdir(parents=True)
    for number in range(2):
      pixels = np.full((8, 8), 20 * digit + number, np.uint8)
      Image.fromarray(pixels).save(images / f"{number}.png")
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
  return tmp_path


@pytest.mark.slow
def test_the_commands_run(folder, capsys):
  for words in _commands():
    if "--data" in words:
      words += ["--split", "train"]
    if words[0] == "train":
      words += _SHORT
    if "configs/digits.py:resnet" in words:
      words += ["--config.model.options.features=4"]
    assert cli.main(words) == 0, f"{words}\n{capsys.readouterr().err}"
  for name in ("student", "stored", "deit"):
    result = json.loads((folder / "runs" / name / "result.json").read_text())
    assert "agreement" in result["final"]["metrics"], name


def test_all_losses_are_in_the_table():
  listed = re.findall(r"^\| (`[^|]+`)", _PAGE, re.MULTILINE)
  names = re.findall(r"`(\w+)`", "".join(listed))
  assert set(names) == set(distillation.LOSSES)

"""The commands of docs/data.md run, on small data sets."""

import functools
import pathlib
import re
import shlex

import published_archives
import pytest
from PIL import Image

from jaxvision import cli

_ROOT = pathlib.Path(__file__).parents[2]
_DOWNLOADS = {
  "cifar10": published_archives.cifar,
  "cifar100": functools.partial(published_archives.cifar, classes=100),
  "mnist": published_archives.idx,
  "fashion_mnist": published_archives.idx,
  "hangul": published_archives.hangul,
  "flowers": published_archives.flowers,
  "pets": published_archives.pets,
  "imagenet": published_archives.imagenet,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """A folder with the files that the commands name."""
  (tmp_path / "downloads").mkdir()
  published_archives.stamps(tmp_path / "downloads")
  published_archives.samples(tmp_path / "downloads")
  for name, write in _DOWNLOADS.items():
    (tmp_path / "downloads" / name).mkdir()
    write(tmp_path / "downloads" / name)
  photos = tmp_path / "path/to/photos/2026"
  photos.mkdir(parents=True)
  for number in range(3):
    Image.new("RGB", (8, 6), (number, 0, 0)).save(photos / f"{number}.png")
  (tmp_path / "configs").symlink_to(_ROOT / "configs")
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
  return tmp_path


def test_the_commands_run(folder, capsys):
  page = (_ROOT / "docs" / "data.md").read_text("utf-8")
  blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
  for line in "".join(blocks).splitlines():
    command, *words = shlex.split(line)
    assert command == "jaxvision"
    if words[:2] == ["data", "prepare"] and "--source" in line:
      words.append("--allow_partial")
    assert cli.main(words) == 0, f"{line}\n{capsys.readouterr().err}"
  printed = capsys.readouterr().out
  listed = re.findall(r"^(\w+) +\d\.\d\.\d +train \d", printed, re.MULTILINE)
  assert len(listed) == 9 + 4
  samples = re.findall(r"^(\w+_samples) +\d\.\d\.\d +test \d", printed, re.M)
  assert len(samples) == 5
  assert "data prepare" not in printed  # everything is there
  assert (folder / "smaller" / "imagenet2012" / "5.1.0").is_dir()
  assert (folder / "sheet.png").is_file()

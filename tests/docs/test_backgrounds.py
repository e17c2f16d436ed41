"""The commands of docs/backgrounds.md, on small images."""

import json
import pathlib
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from jaxvision import cli, data
from jaxvision.evaluation import backgrounds

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "backgrounds.md").read_text("utf-8")
# A network that is small enough for a test.
SMALL = (
  *("--config.model.name=linear", "--config.model.options={}"),
  *("--config.train.duration=2 steps", "--config.train.batch_size=8"),
  "--config.log.tensorboard=False",
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """A folder with the files that the commands name."""
  rng = np.random.default_rng(0)
  boxes = ["file_name,xmin,ymin,xmax,ymax"]
  for number in range(24):
    name = ("cat", "dog", "eel")[number % 3]
    image = rng.integers(0, 60, (20, 20, 3))
    image[..., 2] += 150
    image[6:14, 5:15] = rng.integers(180, 220, 3)
    mask = np.zeros((20, 20), np.uint8)
    mask[6:14, 5:15] = 255
    for place in ("cut_outs", "photos"):
      path = tmp_path / "path/to" / place / name / f"{number}.png"
      path.parent.mkdir(parents=True, exist_ok=True)
      Image.fromarray(image.astype(np.uint8)).save(path)
    Image.fromarray(mask).save(
      tmp_path / "path/to/cut_outs" / name / f"{number}.mask.png"
    )
    boxes.append(f"{number}.png,3,4,17,16")
  (tmp_path / "path/to/boxes.csv").write_text("\n".join(boxes))
  pictures = tmp_path / "path/to/pictures"
  pictures.mkdir()
  for number in range(3):
    picture = rng.integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(picture).save(pictures / f"{number}.png")
  (tmp_path / "configs").symlink_to(ROOT / "configs")
  monkeypatch.chdir(tmp_path)
  return tmp_path


@pytest.mark.slow
def test_the_commands_run(folder, capsys):
  blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
  for line in "".join(blocks).splitlines():
    command, *words = shlex.split(line)
    assert command == "jaxvision"
    if "--weights" in words:
      continue  # of published files; the parser is tested in test_commands.py
    words += SMALL if words[0] == "train" else ()
    assert cli.main(words) == 0, f"{line}\n{capsys.readouterr().err}"
  for made, count in (("variants", 18), ("photo_variants", 24), ("scenes", 24)):
    about = json.loads((folder / made / "backgrounds.json").read_text())
    assert about["counts"]["train"] == count
    assert (folder / made / "contact_sheet.png").is_file()
  lines = (folder / "runs/original/metrics.jsonl").read_text()
  assert "validation/backgrounds/bg_gap" in lines


def test_the_tables_have_the_names_of_the_code():
  variants = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", PAGE, re.MULTILINE)
  assert tuple(variants) == data.VARIANTS
  words = {True: "correct", False: "wrong"}
  for name, correct in backgrounds.CATEGORIES.items():
    cells = " | ".join(words[each] for each in correct)
    assert f"| `{name}` | {cells} |" in PAGE
  assert f"| `{backgrounds.IRRELEVANT}` | as the foreground |" in PAGE

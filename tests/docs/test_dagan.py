"""The commands and the recipe of docs/dagan.md."""

import pathlib
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from jaxvision import cli, data, models, trees
from jaxvision.variables import variable_shapes

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "dagan.md").read_text("utf-8")
# Networks and trainings that are small enough for a test.
SHORTER = {
  "dagan.py:mnist": " --config.train.duration='2 steps'"
  " --config.train.batch_size=48 --config.evaluate.every='2 steps'"
  " --config.model.options.generator_sizes='(4,)'"
  " --config.model.options.critic_sizes='(4,)'",
  "my_low_data.py": " --config.train.duration='2 steps'"
  " --config.model.options.blocks='(1,)'",
  "jaxvision generate": " --per_image 2",
}


def _block(language, first=""):
  """The block of code that begins with this text."""
  return re.search(rf"```{language}\n({first}.*?)```", PAGE, re.DOTALL)[1]


def _write(path, splits):
  rng = np.random.default_rng(0)
  arrays = {}
  for split, count in splits.items():
    shape = (count, 28, 28)
    arrays[f"{split}_images"] = rng.integers(0, 255, shape, np.uint8)
    arrays[f"{split}_labels"] = np.arange(count) % 5
  np.savez(path, **arrays)


@pytest.mark.slow
def test_the_commands_run(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "configs").symlink_to(ROOT / "configs")
  (tmp_path / "my_low_data.py").write_text(
    _block("python", "# my_low_data"), "utf-8"
  )
  _write("digits_0_to_4.npz", {"train": 60, "validation": 20})
  _write("few.npz", {"train": 15, "test": 20})
  for line in _block("bash").splitlines():
    for name, options in SHORTER.items():
      line += options if name in line else ""
    command, *words = shlex.split(line)
    assert command == "jaxvision"
    assert cli.main(words) == 0, f"{line}\n{capsys.readouterr().err}"
  found = capsys.readouterr().out
  assert "pixel_frechet" in found and "frechet_distance" in found
  assert (tmp_path / "generator.jax").exists()


@pytest.mark.slow
def test_omniglot_is_made_of_its_pictures(tmp_path, monkeypatch):
  """1,603 classes of one picture: three are in the split of 23."""
  monkeypatch.chdir(tmp_path)
  picture = np.full((6, 6), 255, np.uint8)
  for i in range(1603):
    folder = pathlib.Path(
      f"images_background/a{i // 100:02d}/character{i % 100:02d}"
    )
    folder.mkdir(parents=True)
    picture[0, 0] = i % 256
    Image.fromarray(picture).save(folder / "0.png")
  exec(_block("python", "# make_omniglot"), {})
  source = data.Source("npz", "omniglot.npz")
  sizes = {"source": 1200, "test": 400, "validation": 3}
  for split, size in sizes.items():
    opened = data.open_dataset(source, split)
    assert opened.num_examples == size
    image, label = opened.read([size - 1])[0]
    names = opened.class_names
    assert image.shape[:2] == (28, 28) and len(names) == 1603
    assert np.median(image) == 0
    # The first pixel of a picture is the number of its class.
    assert 255 - image.flat[0] == label % 256
    assert names[label] == f"a{label // 100:02d}/character{label % 100:02d}"


@pytest.mark.slow
def test_the_table_has_the_parameters_of_the_models():
  rows = re.findall(r"\| `(\w+)`(.*?)\| ([\d,]+).*?\| ([\d,]+) \|", PAGE)
  assert len(rows) == 3
  for name, note, *numbers in rows:
    options = (
      {"generator_layers": 1, "critic_layers": 1} if note.strip() else {}
    )
    model = models.create(name, num_classes=5, **options)
    shapes = variable_shapes(model, image_shape=(28, 28, 1))["params"]
    counts = [trees.count(shapes[key]) for key in ("generator", "critic")]
    assert counts == [int(each.replace(",", "")) for each in numbers]

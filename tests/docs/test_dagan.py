"""The commands and the recipe of docs/dagan.md."""

import pathlib
import re
import shlex

import numpy as np
import pytest

from jaxvision import cli, models, trees
from jaxvision.variables import variable_shapes

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "dagan.md").read_text("utf-8")
# Networks and trainings that are small enough for a test.
SHORTER = {
  "dagan.py:mnist": " --config.train.duration='2 steps'"
  " --config.train.batch_size=48 --config.evaluate.every='2 steps'"
  " --config.model.options.generator_sizes='(4,)'"
  " --config.model.options.critic_sizes='(4,)'",
  "low_data.py": " --config.train.duration='2 steps'"
  " --config.model.options.blocks='(1,)'",
  "jaxvision generate": " --per_image 2",
}


def _block(language):
  return re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]


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
  (tmp_path / "low_data.py").write_text(_block("python"), "utf-8")
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

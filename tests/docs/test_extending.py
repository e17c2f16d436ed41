"""Every block of docs/extending.md runs, together, in one folder."""

import json
import pathlib
import re
import runpy
import shlex

import numpy as np
import pytest

from jaxvision import cli, training

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """The files of the page, in one folder; no block is left out."""
  folder = tmp_path_factory.mktemp("mine")
  blocks = re.findall(r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL)
  for block in blocks:
    name = re.match(r"# (my_\w+\.py)\n", block)[1]
    (folder / name).write_text(block)
  assert len(list(folder.iterdir())) == len(blocks) == 13
  return folder


@pytest.mark.slow
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


def test_a_task_asks_for_a_mask(folder, tmp_path):
  rng = np.random.default_rng(0)
  labels = np.arange(60) % 3
  objects = np.zeros((60, 4, 4), np.uint8)
  objects[np.arange(60), 0, labels] = 255
  # Outside of the objects is noise that says nothing of the class.
  images = np.where(objects > 0, 255, rng.integers(0, 256, objects.shape))
  np.savez(
    tmp_path / "data.npz",
    images=images,
    labels=labels,
    segmentation_masks=objects,
  )
  recipe = tmp_path / "recipe.py"
  recipe.write_text(
    "from jaxvision.configs import default\n\n\ndef get_config():\n"
    "  config = default.get_config()\n"
    f"  config.task.name = '{folder / 'my_object_task.py'}:make'\n"
    f"  config.data.kind, config.data.name = 'npz', '{tmp_path}/data.npz'\n"
    "  config.data.train, config.data.test = 'train[:70%]', ''\n"
    "  config.data.validation, config.data.channels = 'train[70%:]', 1\n"
    "  config.model.name = 'mlp'\n"
    "  config.model.options = {'hidden': (16,)}\n"
    "  config.train.batch_size, config.train.duration = 16, '60 steps'\n"
    "  config.optimizer.learning_rate = 0.1\n"
    "  config.log.tensorboard = False\n"
    "  return config\n"
  )
  result = training.train(str(recipe), workdir=tmp_path / "run")
  assert result["final"]["metrics"]["top1"] == 1

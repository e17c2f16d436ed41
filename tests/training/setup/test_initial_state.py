"""Trainings that start from the weights of a file."""

import numpy as np
import pytest
import tiny_runs
import torch_files
import weight_files
from weight_files import random_variables

from jaxvision import config as configs
from jaxvision import inference, models, training, trees, weights
from jaxvision.training.setup import initial_state
from jaxvision.weights import formats

SMALL = {
  "patch_size": 4,
  "width": 24,
  "depth": 2,
  "mlp_dim": 32,
  "num_heads": 3,
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
  """(path, variables) of a ViT for 8 pixels and 7 classes, as timm saves it."""
  path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
  model = models.create("vit_ti16", num_classes=7, **SMALL)
  variables = random_variables(model, 8)
  weights.save(path, "vit_ti16", variables)
  return path, variables


def _train(folder, path, **overrides):
  tiny_runs.write_data(folder, shape=(8, 8, 3))
  tiny_runs.load_config(folder)  # writes the recipe
  return training.train(
    str(folder / "recipe.py"),
    workdir=folder / "run",
    overrides={
      "model.name": "vit_ti16",
      "model.options": SMALL,
      "model.weights": str(path),
      "data.channels": 3,
      "log.tensorboard": False,
      **overrides,
    },
  )


@pytest.mark.slow
def test_a_training_starts_at_the_weights(file, tmp_path):
  """With a learning rate of 0 it stays there, with a classifier of zeros."""
  path, variables = file
  _train(tmp_path, path, **{"optimizer.learning_rate": 0.0, "ema.decay": 0.9})
  run = inference.load_run(tmp_path / "run")
  leaves, expected = (trees.flatten(t) for t in (run.variables, variables))
  for leaf, array in leaves.items():
    if "head" in leaf:
      assert not np.asarray(array).any()
    else:
      np.testing.assert_allclose(array, expected[leaf], rtol=1e-6)
  assert leaves["params/head/kernel"].shape == (24, 3)
  # The config of the run has the implied values, so the file is not needed.
  assert run.config.model.options.activation == "gelu_erf"


@pytest.mark.slow
def test_a_training_starts_at_a_part_of_a_file_of_torch(file, tmp_path):
  arrays = formats.open_file(file[0]).arrays
  named = {f"student.{key}": 0 * array for key, array in arrays.items()}
  named |= {f"teacher.{key}": array for key, array in arrays.items()}
  path = tmp_path / "dino.pth"
  path.write_bytes(torch_files.saved(named))
  _train(tmp_path, f"{path}#teacher", **{"optimizer.learning_rate": 0.0})
  leaves = trees.flatten(inference.load_run(tmp_path / "run").variables)
  for leaf, array in trees.flatten(file[1]).items():
    if "head" not in leaf:
      np.testing.assert_allclose(leaves[leaf], array, rtol=1e-6)


@pytest.mark.slow
def test_a_training_may_start_from_a_run(file, tmp_path):
  _train(tmp_path, file[0], **{"train.duration": "2 steps"})
  run = inference.load_run(tmp_path / "run")
  model, variables = weights.load(tmp_path / "run", "vit_ti16")
  assert model == run.model
  for leaf, array in trees.flatten(variables).items():
    np.testing.assert_array_equal(array, trees.flatten(run.variables)[leaf])
  model, variables = weights.load(tmp_path / "run", "vit_ti16", num_classes=5)
  assert variables["params"]["head"]["kernel"].shape == (24, 5)
  with pytest.raises(ValueError, match="run of vit_ti16, not of resnet50"):
    weights.load(tmp_path / "run", "resnet50")


@pytest.mark.slow
def test_a_probe_trains_the_classifier_alone(file, tmp_path):
  path, variables = file
  rules = (("head/.*", 1.0), (".*", None))
  _train(tmp_path, path, **{"optimizer.learning_rate_rules": rules})
  trained = trees.flatten(inference.load_run(tmp_path / "run").variables)
  for leaf, array in trees.flatten(variables).items():
    if "head" not in leaf:
      np.testing.assert_array_equal(trained[leaf], array)
  assert np.abs(trained["params/head/kernel"]).sum() > 0


def test_weights_of_another_model_end_before_anything_is_written(
  file, tmp_path
):
  with pytest.raises(ValueError, match="is not a resnet18"):
    _train(tmp_path, file[0], **{"model.name": "resnet18", "model.options": {}})
  assert not (tmp_path / "run").exists()


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _config(path, **overrides):
  recipe = "configs/vit_transfer.py"
  changes = {
    "model.name": "vit_ti16",
    "model.weights": str(path),
    "data.kind": "npz",
    **{key.replace("__", "."): value for key, value in overrides.items()},
  }
  return initial_state.with_implied_options(configs.load(recipe, changes)).data


@pytest.fixture
def torchvisions(tmp_path):
  """A file in the layout of torchvision."""
  path = tmp_path / "vit.safetensors"
  keys = {**weight_files.KEYS["vit torchvision"]}
  weight_files.write(path, keys)
  return path


def test_a_transfer_normalises_as_its_weights_were_trained(
  torchvisions, file, caplog
):
  caplog.set_level("INFO", "jaxvision.training.setup.initial_state")
  found = _config(torchvisions, model__name="vit_b32")
  assert (found.mean, found.std) == IMAGENET
  assert "torchvision's default weights" in caplog.text
  found = _config(file[0])
  assert found.mean == found.std == (0.5, 0.5, 0.5)
  assert configs.load("configs/vit_transfer.py").data.mean == (0.5,)


def test_grey_images_get_the_average(torchvisions):
  found = _config(torchvisions, model__name="vit_b32", data__channels=1)
  np.testing.assert_allclose(found.mean, np.mean(IMAGENET[0]))
  np.testing.assert_allclose(found.std, np.mean(IMAGENET[1]))


def test_a_mean_that_contradicts_the_weights_gives_a_warning(
  torchvisions, caplog
):
  found = _config(
    torchvisions, model__name="vit_b32", data__mean=(0.5,), data__std=(0.5,)
  )
  assert found.mean == found.std == (0.5,)
  assert "data.mean=() uses that" in caplog.text
  caplog.clear()
  _config(
    torchvisions,
    model__name="vit_b32",
    data__mean=IMAGENET[0],
    data__std=IMAGENET[1],
  )
  assert not [r for r in caplog.records if r.levelname == "WARNING"]

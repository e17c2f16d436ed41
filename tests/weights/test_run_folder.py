"""A run folder is loaded like a weight file."""

import functools
import pathlib
import shutil

import jax
import numpy as np
import pytest
import tiny_runs

from jaxvision import inference, training, trees, user_code, weights
from jaxvision.weights import resize

_SMALL = {"width": 24, "depth": 1, "mlp_dim": 32, "num_heads": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A ViT of 2x2 patches, trained for a step on grey images of 8x8 pixels."""
  folder = tmp_path_factory.mktemp("run")
  tiny_runs.write_data(folder, shape=(8, 8, 1))
  tiny_runs.load_config(folder)  # writes the recipe
  training.train(
    str(folder / "recipe.py"),
    workdir=folder / "run",
    overrides={
      "model.name": "vit_ti16",
      "model.options": {**_SMALL, "patch_size": 4},
      "data.channels": 1,
      "train.duration": "1 steps",
      "log.tensorboard": False,
    },
  )
  return folder / "run"


def _leaves(tree):
  return {k: np.asarray(v) for k, v in trees.flatten(tree).items()}


@pytest.mark.slow
def test_a_fresh_classifier_is_zero_also_of_as_many_classes(run):
  own = inference.load_run(run)
  classes = len(own.class_names)
  _, variables = weights.load(run, "vit_ti16", num_classes=classes)
  expected = _leaves(own.variables)
  assert np.abs(expected["params/head/bias"]).max() > 0
  for leaf, array in _leaves(variables).items():
    if leaf.startswith("params/head/"):
      assert not array.any()
    else:
      np.testing.assert_array_equal(array, expected[leaf])


@pytest.mark.slow
def test_positions_and_channels_follow_the_images(run):
  model, variables = weights.load(
    run, "vit_ti16", image_size=(12, 8), channels=3
  )
  expected = _leaves(inference.load_run(run).variables)
  leaves = _leaves(variables)
  positions = next(leaf for leaf in leaves if "pos_embedding" in leaf)
  np.testing.assert_array_equal(
    leaves[positions],
    resize.positions(expected[positions], grid=(2, 2), new_grid=(3, 2)),
  )
  stem = next(k for k, v in leaves.items() if v.shape == (4, 4, 3, 24))
  # Each channel has a third, so grey images in RGB have the same features.
  np.testing.assert_allclose(
    leaves[stem].sum(2), expected[stem][:, :, 0], rtol=1e-6
  )
  logits = model.apply(variables, np.zeros((1, 12, 8, 3)), train=False)
  assert np.isfinite(logits).all()


@pytest.mark.slow
def test_other_options_do_not_fit_unless_they_are_ignored(run):
  with pytest.raises(ValueError, match=r"MlpBlock_\d/Dense_0/kernel.*ignore="):
    weights.load(run, "vit_ti16", mlp_dim=40)
  _, variables = weights.load(
    run, "vit_ti16", mlp_dim=40, ignore=[".*MlpBlock.*"]
  )
  leaves = _leaves(variables)
  fresh = [
    k for k in leaves if "MlpBlock" in k and k.endswith("Dense_0/kernel")
  ]
  assert [leaves[k].shape for k in fresh] == [(24, 40)]
  assert leaves[fresh[0]].std() > 0


def test_arrays_have_the_given_sharding(run):
  device = jax.devices()[3]
  _, variables = weights.load(
    run, "vit_ti16", sharding=jax.sharding.SingleDeviceSharding(device)
  )
  assert {a.device for a in jax.tree.leaves(variables)} == {device}


def test_preprocessing_and_options_are_those_of_the_config(run):
  found = weights.preprocessing(run, "vit_ti16")
  assert found.image_size == (8, 8)
  assert found.mean == found.std == (0.5,)
  assert found.eval_transforms[-1] == "resize((8, 8))"
  options = weights.implied_options(run, "vit_ti16")
  assert options == {**_SMALL, "patch_size": 4}


def test_a_run_that_has_not_begun_has_no_weights(run, tmp_path):
  shutil.copy(run / "config.json", tmp_path)
  for read in (weights.load, weights.preprocessing, weights.implied_options):
    with pytest.raises(
      FileNotFoundError, match="the run has not started to train"
    ):
      read(tmp_path, "vit_ti16")
  shutil.copy(run / "result.json", tmp_path)
  for read in (weights.load, weights.implied_options):
    with pytest.raises(FileNotFoundError, match="no checkpoints"):
      read(tmp_path, "vit_ti16")


def test_own_code_of_a_run_needs_consent(tmp_path, monkeypatch):
  monkeypatch.setenv("JAXVISION_CACHE", str(tmp_path / "account"))
  kept = pathlib.Path(__file__).parents[1] / "kept" / "own_code"
  folder = shutil.copytree(kept, tmp_path / "run")
  name = "my_model.py:create"
  reads = [
    functools.partial(read, folder)
    for read in (weights.load, weights.preprocessing, weights.implied_options)
  ]
  for read in reads:
    with pytest.raises(ValueError, match="never typed on this account"):
      read(name)
  with user_code.trusting():
    run = inference.load_run(folder)
  # Code that was trusted once is on the list of the account.
  load, *others = reads
  for read in others:
    read(name)
  model, variables = load(run.config.model.name)
  assert model == run.model
  jax.tree.map(np.testing.assert_array_equal, variables, run.variables)

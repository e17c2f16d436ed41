"""Classification of real and generated images, with a bit for real ones."""

import jax
import numpy as np
import pytest
import tiny_runs

from jaxvision import data
from jaxvision.configs import default
from jaxvision.training import setup

SHAPE = (8, 8, 1)


@pytest.fixture
def config(tmp_path):
  """Real and generated images in equal shares; evaluation is on real ones."""
  path = tiny_runs.write_data(tmp_path, shape=SHAPE)
  with np.load(path) as arrays:
    images, labels = arrays["train_images"][:6], arrays["train_labels"][:6]
  made = tmp_path / "generated.npz"
  np.savez(made, images=images, labels=labels, generated=np.ones(6))
  config = default.get_config()
  config.task.options = {"real_bit": True}
  config.model.name = "low_data_densenet"
  config.model.options = {
    "blocks": (1,),
    "growth": 4,
    "features": 4,
    "stem": "small",
  }
  config.data.kind = "mixture"
  config.data.sources = (
    (1.0, "npz", str(path), "train"),
    (1.0, "npz", str(made), "train"),
  )
  config.data.channels = 1
  config.data.test = ""
  config.train.batch_size = 16
  config.train.duration = "4 steps"
  return config


def test_a_batch_says_which_images_are_generated(config):
  parts = setup.prepare(config, setup.open_splits(config))
  batches = parts.batches["train"]
  flags = np.concatenate([batches.at(i)["generated"] for i in range(20)])
  assert set(flags) == {0.0, 1.0} and abs(flags.mean() - 0.5) < 0.05
  for i in range(3):
    indices, flags = batches.indices(i), batches.at(i)["generated"]
    # The real images are the first forty of the mixture.
    np.testing.assert_array_equal(flags, indices >= 40)
  assert not parts.batches["validation"].at(0)["generated"].any()


def test_training_tells_the_model_and_evaluation_does_not(config):
  parts = setup.prepare(config, setup.open_splits(config))
  state = parts.init()
  batch = parts.batches["train"].at(0)
  others = {**batch, "generated": 1 - batch["generated"]}

  @jax.jit
  @jax.value_and_grad
  def loss(params, given):
    key = jax.random.key(0)
    return parts.task.loss(params, state.model_state, given, key)[0]

  (told, gradient), (other, _) = (
    loss(state.params, each) for each in (batch, others)
  )
  assert float(told) != float(other)
  evaluate = jax.jit(parts.task.evaluate)
  found = [evaluate(state.variables, each)[1] for each in (batch, others)]
  np.testing.assert_array_equal(*found)
  bit = gradient["hidden"]["kernel"][-1]
  assert np.isfinite(bit).all() and np.abs(bit).max() > 0


def test_a_model_without_the_argument_is_refused(config):
  config.model.name = "linear"
  config.model.options = {}
  with pytest.raises(ValueError, match="takes no argument 'generated'"):
    setup.prepare(config, setup.open_splits(config))


def test_numbers_of_an_npz_file_are_checked(tmp_path):
  images = np.zeros((4, *SHAPE), np.uint8)
  for wrong in (np.zeros(3), np.full(4, 0.5)):
    path = tmp_path / "wrong.npz"
    np.savez(path, images=images, labels=np.arange(4), generated=wrong)
    with pytest.raises(ValueError, match="expected 0 or 1 for each of the 4"):
      data.open_dataset(data.Source("npz", str(path)), "train")
    path.unlink()


def test_a_task_of_numbers_states_their_shape(config):
  split = setup.open_splits(config)["train"]
  batches = setup.make_batches(config, split, train=True)
  wrong = batches.with_fields({"generated": ((2,), np.float32)})
  with pytest.raises(ValueError, match=r"the generated has the shape \[\]"):
    wrong.at(0)

"""A preview shows the inputs of the model, byte for byte."""

import functools

import jax
import numpy as np
import pytest
import tiny_runs
from flax import linen as nn
from PIL import Image

from jaxvision import losses
from jaxvision.training import preview, setup
from jaxvision.training.step import step_key

TRANSFORMS = (
  ("random_crop(padding=1)", "random_flip"),
  ("random_mixup(1.0)", "random_flip"),
)


class Witness(nn.Module):
  """A linear model that stores its inputs."""

  num_classes: int

  @nn.compact
  def __call__(self, images, *, train):
    self.variable("seen", "images", lambda: images).value = images
    return nn.Dense(self.num_classes)(images.reshape(len(images), -1))


def trained_on(config, step):
  """(images, targets) of the model and the loss in a training step."""
  split = setup.open_splits(config)["train"]
  batch = setup.make_batches(config, split, train=True).at(step)
  model, kept = Witness(len(split.class_names)), []

  def loss(logits, targets):
    kept.append(targets)
    return losses.softmax(logits, targets)

  variables = model.init(jax.random.key(0), batch["image"] / 255, train=True)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(losses, "create", lambda *_, **__: loss)
    task = tiny_runs.make_task(config, model, batch["image"].shape[1:])
  key = step_key(config.seed, step)
  state = {"seen": variables["seen"]}
  _, (state, _) = task.loss(variables["params"], state, batch, key)
  return np.asarray(state["seen"]["images"]), np.asarray(kept[-1])


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize("transforms", TRANSFORMS)
def test_training_images_are_those_of_the_steps(transforms, tmp_path):
  tiny_runs.write_data(tmp_path, shape=(5, 6, 1))
  config = tiny_runs.load_config(
    tmp_path,
    data__device_transforms=transforms,
    data__mean=(0.3,),
    data__std=(0.2,),
    seed=3,
  )
  split = setup.open_splits(config)["train"]
  images, titles = preview.look(config, split, train=True, batches=2)
  expected, targets = map(
    np.concatenate, zip(*(trained_on(config, i) for i in (0, 1)), strict=True)
  )
  assert len(images) == len(titles) == 32
  pixels = (expected * 0.2 + 0.3) * 255
  np.testing.assert_allclose(images, pixels, atol=0.51)
  for title, row in zip(titles, targets, strict=True):
    shares = [f"{row[i]:.2f} {i}" for i in np.flatnonzero(row)]
    whole = [str(row.argmax())] if len(shares) == 1 else shares
    assert sorted(title.split(" + ")) == sorted(whole)
  mixed = "random_mixup(1.0)" in transforms
  assert any(" + " in title for title in titles) is mixed


def test_evaluation_images_are_those_of_the_data(tmp_path):
  tiny_runs.write_data(tmp_path)
  config = tiny_runs.load_config(
    tmp_path, data__device_transforms=TRANSFORMS[1]
  )
  split = setup.open_splits(config)["validation"]
  images, titles = preview.look(config, split, train=False, batches=9)
  assert len(images) == split.num_examples == 21  # no padding
  for index, (image, label) in enumerate(split.read(range(21))):
    np.testing.assert_array_equal(images[index], image)
    assert titles[index] == split.class_names[label]


@pytest.mark.parametrize(
  ("targets", "title"),
  [
    ([0, 1, 0, 0], "cat"),
    ([0.3, 0.7, 0, 0], "0.70 cat + 0.30 dog"),
    ([0.025, 0.925, 0.025, 0.025], "0.93 cat"),
    ([0.3, 0.65, 0.025, 0.025], "0.65 cat + 0.30 dog"),
    ([0.001, 0.999, 0, 0], "cat"),
  ],
)
def test_titles_name_the_mixed_classes(targets, title):
  names = ("dog", "cat", "cow", "ant")
  assert preview._title(np.asarray(targets), names) == title


def test_the_sheet_has_training_and_evaluation_beside_each_other(tmp_path):
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  recipe = str(tmp_path / "recipe.py")
  write = functools.partial(preview.write_preview, recipe, batches=1)
  both = write(tmp_path / "both.png")
  alone = write(tmp_path / "one.png", overrides={"data.validation": ""})
  with Image.open(both) as wide, Image.open(alone) as narrow:
    assert wide.width == 2 * narrow.width
    assert wide.height == narrow.height
    half = wide.crop((0, 0, narrow.width, narrow.height))
    np.testing.assert_array_equal(np.asarray(half), np.asarray(narrow))


def test_there_must_be_a_batch(tmp_path):
  with pytest.raises(ValueError, match="draw at least 1"):
    preview.write_preview("x.py", tmp_path / "x.png", batches=0)

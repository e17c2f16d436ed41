"""A task of the user's own that trains on masks and captions of the data."""

import captioned_files
import numpy as np
import pytest
from PIL import Image

from jaxvision import cli, training
from jaxvision import config as configs
from jaxvision.runs import metrics_log
from jaxvision.training import preview, setup

TASK = """
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import data, tasks


def count_words(text):
  return np.asarray([len(text.split()), len(text)], np.int32)


def make(components):
  model, side = components.model, components.image_shape[:2]
  plain = tasks.classification.make(components)

  def errors(outputs, batch):
    share = batch["segmentation_mask"].mean((1, 2, 3)) / 255
    words = batch["caption"][:, 0] / 10
    targets = jnp.stack([share, words], axis=1)
    found = jnp.square(outputs[:, :2] - targets).sum(-1)
    found = jnp.where(batch["mask"] > 0, found, 0)
    return {"loss": found.sum(), "count": batch["mask"].sum()}

  def loss(params, model_state, batch, key):
    images = data.normalize(batch["image"], components.normalization)
    outputs = model.apply({"params": params}, images, train=True)
    sums = errors(outputs, batch)
    return sums["loss"] / sums["count"], (model_state, sums)

  def evaluate(variables, batch):
    images = data.normalize(batch["image"], components.normalization)
    outputs = model.apply(variables, images, train=False)
    return errors(outputs, batch), outputs

  return dataclasses.replace(
    plain,
    batch={
      **plain.batch,
      "segmentation_mask": ((*side, 1), np.uint8),
      "caption": ((2,), np.int32),
    },
    encode={"caption": count_words},
    loss=loss,
    evaluate=evaluate,
    finish=lambda sums: {"error": float(sums["loss"] / sums["count"])},
    logged=("loss",),
    measured=("error",),
    best={"error": -1},
    untrained=lambda: None,
    artifacts=lambda *_: tasks.contract.Artifacts(arrays={}),
  )
"""
RECIPE = """
from jaxvision.configs import default


def get_config():
  config = default.get_config()
  config.task.name = "my_task.py:make"
  config.model.name = "mlp"
  config.model.options = {{"hidden": (16,)}}
  config.schedule.name = "constant"
  config.optimizer.learning_rate = 0.03
  config.data.kind = "npz"
  config.data.name = {path!r}
  config.data.test = ""
  config.data.channels = 1
  config.data.mean, config.data.std = (0.5,), (0.5,)
  config.data.train_transforms = ("random_crop(6)", "random_flip")
  config.data.eval_transforms = ("center_crop(6)",)
  config.train.batch_size = 16
  config.train.duration = "24 steps"
  config.evaluate.every = "12 steps"
  config.log.every = "10 steps"
  config.log.tensorboard = False
  return config
"""


def write(folder, *, fields=("segmentation_masks", "captions")):
  """Bright objects of random size, whose captions have as many words as rows.

  Returns:
    The recipe.
  """
  rng = np.random.default_rng(0)
  arrays = {}
  for split, size in (("train", 48), ("validation", 21)):
    rows = rng.integers(1, 8, size)
    masks = (np.arange(8)[:, None] < rows[:, None, None]) * np.ones((1, 1, 8))
    noise = rng.integers(0, 56, masks.shape)
    arrays |= {
      f"{split}_images": (masks * 199 + noise).astype(np.uint8),
      f"{split}_labels": np.arange(size) % 3,
      f"{split}_segmentation_masks": (masks * 255).astype(np.uint8),
      f"{split}_captions": np.asarray([" ".join(["row"] * n) for n in rows]),
    }
  kept = ("images", "labels", *fields)
  arrays = {k: v for k, v in arrays.items() if k.endswith(kept)}
  np.savez(folder / "data.npz", **arrays)
  (folder / "my_task.py").write_text(TASK)
  recipe = folder / "recipe.py"
  recipe.write_text(RECIPE.format(path=str(folder / "data.npz")))
  return str(recipe)


def errors(workdir):
  lines = metrics_log.read_metrics(workdir)
  return [x["validation/error"] for x in lines if "validation/error" in x]


@pytest.mark.parametrize(
  "workers", [0, pytest.param(2, marks=[pytest.mark.slow])]
)
def test_it_learns_and_resumes_exactly_also_with_workers(workers, tmp_path):
  recipe = write(tmp_path)
  whole = training.train(recipe, workdir=tmp_path / "whole")
  assert whole["status"] == "finished"
  first, last = errors(tmp_path / "whole")
  # A constant prediction has the variance of both targets, 0.10.
  assert last < first and last < 0.05
  half = {"data.workers": workers, "train.duration": "12 steps"}
  training.train(recipe, workdir=tmp_path / "parts", overrides=half)
  resumed = training.train(workdir=tmp_path / "parts", extend="24 steps")
  assert resumed["fingerprint"] == whole["fingerprint"]
  assert resumed["final"] == whole["final"]


@pytest.mark.slow
def test_the_data_may_stay_on_the_device(tmp_path):
  recipe = write(tmp_path)
  same = {"data.train_transforms": ("center_crop(6)",)}
  found = [
    training.train(
      recipe,
      workdir=tmp_path / placement,
      overrides={**same, "data.placement": placement},
    )
    for placement in ("host", "device")
  ]
  assert found[0]["fingerprint"] == found[1]["fingerprint"]


def test_a_run_is_evaluated_again_with_its_fields(tmp_path, capsys):
  recipe = write(tmp_path)
  training.train(recipe, workdir=tmp_path / "run")
  command = ["evaluate", "--workdir", str(tmp_path / "run")]
  assert cli.main([*command, "--split", "validation"]) == 0
  assert f"{errors(tmp_path / 'run')[-1]:.4f}"[:5] in capsys.readouterr().out


@pytest.mark.parametrize(
  ("lacking", "message"),
  [
    ("captions", "asks for the field 'caption', which .*data.npz .train. does"),
    ("segmentation_masks", "field 'segmentation_mask'.*it has caption"),
  ],
)
def test_data_without_a_field_are_refused(lacking, message, tmp_path):
  kept = {"segmentation_masks", "captions"} - {lacking}
  recipe = write(tmp_path, fields=tuple(kept))
  with pytest.raises(ValueError, match=message):
    training.train(recipe, workdir=tmp_path / "run")


@pytest.mark.parametrize("call", ["random_flip", "random_mixup(0.2)"])
def test_device_transforms_that_leave_masks_behind_are_refused(call, tmp_path):
  overrides = {"data.device_transforms": (call,)}
  with pytest.raises(ValueError, match="does not move the segmentation_mask"):
    training.train(
      write(tmp_path), workdir=tmp_path / "run", overrides=overrides
    )
  erasing = {"data.device_transforms": ("random_cutout(2)",)}
  config = configs.load(write(tmp_path), erasing)
  setup.prepare(config, setup.open_splits(config))


def test_the_preview_tints_masks_and_quotes_captions(tmp_path):
  config = configs.load(write(tmp_path))
  split = setup.open_splits(config)["validation"]
  images, titles = preview.look(config, split, train=False, batches=1)
  captions = split.fields()["caption"].read(range(16))
  assert [title.split(": ")[1] for title in titles] == captions
  for image, caption in zip(images, captions, strict=True):
    rows = len(caption.split()) - 1  # the crop removes the first
    tinted = image[..., 0] != image[..., 1]
    assert tinted[:rows].all() and not tinted[max(rows, 0) :].any()
  sheet = preview.write_preview(write(tmp_path), tmp_path / "sheet.png")
  with Image.open(sheet) as opened:
    assert opened.width > 100


WITHOUT_LABELS = """
def without_labels(components):
  task = make(components)
  kept = {**task.batch}
  del kept["segmentation_mask"]

  def inputs(batch, key):
    pixels = data.normalize(batch["image"], components.normalization)
    return ({**batch, "image": pixels},) * 2

  def loss(params, model_state, batch, key):
    shape = (*batch["image"].shape[:3], 1)
    return task.loss(
      params,
      model_state,
      {**batch, "segmentation_mask": jnp.zeros(shape)},
      key,
    )

  def evaluate(variables, batch):
    count = batch["mask"].sum()
    words = (batch["caption"][:, 0] * batch["mask"]).sum()
    sums = {"count": count, "loss": words}
    return sums, jnp.zeros((len(batch["mask"]), 1))

  return dataclasses.replace(
    task,
    batch=kept,
    inputs=inputs,
    loss=loss,
    evaluate=evaluate,
    unlabelled=True,
  )
"""


def test_images_without_labels_are_previewed_and_trained_on(tmp_path):
  captioned_files.coco(tmp_path / "coco")
  recipe = write(tmp_path)
  (tmp_path / "my_task.py").write_text(TASK + WITHOUT_LABELS)
  overrides = {
    "task.name": "my_task.py:without_labels",
    "model.options": {"hidden": (4,)},
    "data.kind": "captions",
    "data.labels": "none",
    "data.name": str(tmp_path / "coco"),
    "data.train_transforms": ("center_crop(4)",),
    "data.eval_transforms": ("center_crop(4)",),
    "train.batch_size": 8,
    "train.duration": "2 steps",
    "evaluate.every": "2 steps",
  }
  config = configs.load(recipe, overrides)
  split = setup.open_splits(config)["validation"]
  images, titles = preview.look(config, split, train=False, batches=1)
  values = [int(image[0, 0, 0]) for image in images]
  assert sorted(values) == list(range(5))
  assert titles == [" / ".join(captioned_files.CAPTIONS[i]) for i in values]
  found = training.train(recipe, workdir=tmp_path / "run", overrides=overrides)
  assert found["status"] == "finished"
  words = [
    len(" ".join(captions).split()) for captions in captioned_files.CAPTIONS
  ]
  assert errors(tmp_path / "run")[-1] == np.mean(words)

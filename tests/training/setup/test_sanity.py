"""Tests of the sanity checks: the first loss and the overfitting check."""

import functools
import logging
import math
import re

import jax
import numpy as np
import pytest
import tiny_runs

from jaxvision import config, losses
from jaxvision.training import setup
from jaxvision.training.setup import sanity


@pytest.fixture
def folder(tmp_path):
  tiny_runs.write_data(tmp_path)
  return tmp_path


def _warnings(folder, caplog, loss, **overrides):
  parts = tiny_runs.prepare(folder, **overrides)
  caplog.clear()
  config = tiny_runs.load_config(folder, **overrides)
  sanity.check_first_loss(config, parts, loss)
  return caplog.text


@pytest.mark.parametrize(
  ("overrides", "expected"),
  [
    ({}, math.log(3)),
    ({"loss__options__label_smoothing": 0.1}, math.log(3)),
    ({"loss__name": "hinge"}, 2.0),
    ({"loss__name": "sigmoid"}, 3 * math.log(2)),
    ({"loss__name": "square"}, 1 / 3),
  ],
)
def test_the_first_loss_must_match_the_loss_of_an_untrained_model(
  folder, caplog, overrides, expected
):
  """Within a factor of two; the warning states the expected loss."""
  for factor in (0.6, 1.0, 1.9):
    assert not _warnings(folder, caplog, factor * expected, **overrides)
  for factor in (0.4, 2.1):
    text = _warnings(folder, caplog, factor * expected, **overrides)
    assert f"has {expected:.4g}. If it is larger, check the norm" in text
    assert f"the first loss is {factor * expected:.4g}" in text


@pytest.mark.parametrize("loss", losses.LOSSES_OF_LABELS["classes"])
def test_a_fresh_linear_model_raises_no_warning(folder, caplog, loss):
  overrides = {
    "loss__name": loss,
    "model__name": "linear",
    "model__options": {},
  }
  parts = tiny_runs.prepare(folder, **overrides)
  state = parts.init()
  value, _ = jax.jit(parts.task.loss)(
    state.params, {}, parts.batches["train"].at(0), jax.random.key(0)
  )
  assert not _warnings(folder, caplog, float(value), **overrides)


def _overfit(folder, count, **overrides):
  before = tiny_runs.load_config(folder, **overrides)
  return sanity.overfit(before, setup.open_splits(before), count)


def test_overfit_turns_off_regularization(folder):
  after, _ = _overfit(
    folder,
    20,
    data__train_transforms=("random_flip",),
    data__device_transforms=("random_crop(padding=1)",),
    loss__options={"label_smoothing": 0.1, "smoothing_form": "others"},
    loss__l1=0.1,
    loss__l2=0.1,
    optimizer__weight_decay=0.1,
    optimizer__sam_radius=0.1,
    schedule__name="rsqrt",
    schedule__options={"timescale": 10},
    ema__decay=0.9,
    checkpoint__best="validation_ema/top1",
  )
  found = config.flatten(after.to_dict())
  expected = {
    "data.train_transforms": (),
    "data.device_transforms": (),
    "loss.l1": 0.0,
    "loss.l2": 0.0,
    "optimizer.weight_decay": 0.0,
    "optimizer.sam_radius": 0.0,
    "schedule.name": "constant",
    "ema.decay": 0.0,
    "train.duration": "500 steps",
    "checkpoint.best": "validation/top1",
  }
  assert {key: found[key] for key in expected} == expected
  assert after.loss.options.to_dict() == {}
  assert after.schedule.options.to_dict() == {}


SMALL_VIT = {
  "patch_size": 2,
  "width": 8,
  "depth": 2,
  "mlp_dim": 8,
  "num_heads": 2,
}


@pytest.mark.parametrize(
  ("name", "options"),
  [
    ("mlp", {"hidden": (16,), "dropout": 0.9}),
    pytest.param(
      "vit_ti16",
      SMALL_VIT | {"dropout": 0.5, "drop_path": 0.9},
      marks=pytest.mark.slow,
    ),
    # The default dropout of this model is not 0.
    (
      "vgg11",
      {"blocks": (1,), "features": 8, "hidden": (8,), "pool_size": 1},
    ),
    pytest.param(
      "efficientnet_b0",
      {"stages": ((2, 3, 1, 1, 8),), "stem": "small", "width": 0.25},
      marks=pytest.mark.slow,
    ),
    pytest.param(
      "nasnet_a_mobile",
      {
        "repeats": 1,
        "features": 4,
        "stages": 2,
        "stem": "small",
        "drop_path": 0.9,
      },
      marks=pytest.mark.slow,
    ),
  ],
)
def test_overfit_makes_the_model_deterministic(folder, name, options):
  """Two keys give the same output only after the change of the config."""
  cfg = tiny_runs.load_config(folder, model__name=name, model__options=options)
  after, _ = sanity.overfit(cfg, setup.open_splits(cfg), 16)
  images = np.random.default_rng(0).normal(size=(8, 8, 8, 1))

  def logits(config, key):
    model = setup.make_model(config, 3)
    variables = jax.jit(functools.partial(model.init, train=False))(
      jax.random.key(0), images
    )
    if "head" in variables["params"]:  # It starts at zero.
      variables["params"]["head"]["kernel"] += 1.0
    mutable = [each for each in variables if each != "params"]
    found, _ = jax.jit(
      functools.partial(model.apply, train=True, mutable=mutable)
    )(variables, images, rngs={"dropout": jax.random.key(key)})
    return np.asarray(found)

  np.testing.assert_array_equal(logits(after, 1), logits(after, 2))
  assert np.ptp(logits(cfg, 1) - logits(cfg, 2)) > 0


def test_warm_up_accumulation_and_probes_are_left_out(folder):
  after, splits = _overfit(
    folder,
    16,
    schedule__warmup="10 epochs",
    train__batch_size=64,
    train__accumulate=4,
    train__duration="100 epochs",
    evaluate__batch_size=24,
    evaluate__probes=("knn(k=3)",),
  )
  parts = setup.prepare(after, splits)
  assert parts.steps.total == 500
  assert parts.steps.warmup == 0
  assert float(parts.schedule(0)) == pytest.approx(0.1)
  assert after.train.accumulate == 1
  # The batch is not larger than the micro-batches of the recipe.
  assert parts.batches["train"].batch_size == 16
  assert parts.probes == ()


@pytest.mark.parametrize(("block", "total"), [(1, 500), (8, 504), (400, 500)])
def test_calls_of_several_steps_are_whole(folder, block, total, caplog):
  after, splits = _overfit(
    folder,
    16,
    data__placement="device",
    train__steps_per_dispatch=block,
    train__duration="800 steps",
  )
  parts = setup.prepare(after, splits)
  assert parts.steps.total == total
  assert "are taken, a multiple of" not in caplog.text


def test_overfit_takes_the_first_source_of_a_mixture(folder):
  path = str(folder / "data.npz")
  sources = tuple((weight, "npz", path, "train") for weight in (1.0, 3.0))
  _, splits = _overfit(
    folder, 16, data__kind="mixture", data__name="m", data__sources=sources
  )
  after, _ = _overfit(folder, 16)
  batches = setup.make_batches(after, splits["train"], train=True)
  seen = {i for step in range(10) for i in batches.indices(step).tolist()}
  assert seen == set(range(16))


def test_other_options_of_the_loss_stay(folder):
  options = {"k": 2.0, "M": 3.0}
  after, _ = _overfit(folder, 20, loss__name="square", loss__options=options)
  assert after.loss.options.to_dict() == options


def test_the_config_before_is_not_changed(folder):
  before = tiny_runs.load_config(folder, ema__decay=0.9)
  sanity.overfit(before, setup.open_splits(before), 20)
  assert before.ema.decay == 0.9
  assert before.train.duration == "6 steps"


@pytest.mark.parametrize(
  ("count", "batch_size"), [(8, 8), (10, 8), (16, 16), (20, 16), (40, 16)]
)
def test_it_can_be_prepared_for_any_count(folder, count, batch_size):
  """The batch is no larger than the examples and divides over 8 devices."""
  after, splits = _overfit(folder, count)
  parts = setup.prepare(after, splits)
  assert parts.batches["train"].batch_size == batch_size
  assert set(splits) == {"train", "validation"}
  for split in splits.values():
    assert split.num_examples == count
    assert len(split.labels()) == count
  seen = [i for s in range(10) for i in parts.batches["train"].indices(s)]
  assert set(seen) == set(range(count))


def test_it_trains_and_validates_on_the_same_examples(folder):
  _, splits = _overfit(folder, 8)
  whole = setup.open_splits(tiny_runs.load_config(folder))["train"]
  for split in splits.values():
    for (a, a_label), (b, b_label) in zip(
      split.read(range(8)), whole.read(range(8)), strict=True
    ):
      np.testing.assert_array_equal(a, b)
      assert a_label == b_label


@pytest.mark.parametrize(
  ("count", "message"),
  [
    (0, "cannot overfit 0 examples: 'train' of .* has 40"),
    (-1, "cannot overfit -1 examples"),
    (41, "cannot overfit 41 examples: 'train' of .* has 40"),
    (5, "each of the 8 devices needs one; give at least 8"),
  ],
)
def test_too_few_examples_are_an_error(folder, count, message):
  with pytest.raises(ValueError, match=message):
    _overfit(folder, count)


@pytest.mark.parametrize(
  ("top1", "level", "words"),
  [
    (1.0, logging.INFO, "can learn"),
    (0.95, logging.WARNING, "95.00% .* did not memorise them"),
  ],
)
def test_the_verdict(caplog, top1, level, words):
  caplog.set_level(logging.INFO)
  sanity.judge_overfit({"loss": 0.01, "top1": top1}, 20)
  (record,) = caplog.records
  assert record.levelno == level
  assert re.search(words, record.getMessage())


def test_dropout_of_a_user_model_is_switched_off(folder):
  path = folder / "mine.py"
  path.write_text(
    "from jaxvision import models\n"
    "def create(num_classes, feature_dropout=0.5):\n"
    "  return models.create('mlp', num_classes=num_classes, hidden=(8,),\n"
    "                       dropout=feature_dropout)\n",
    "utf-8",
  )
  name = f"{path}:create"
  after, _ = _overfit(folder, 16, model__name=name, model__options={})
  assert after.model.options.to_dict() == {"feature_dropout": 0.0}
  assert setup.make_model(after, 3).dropout == 0

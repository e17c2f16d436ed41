"""Tests of the parts of a config, and of early errors."""

import dataclasses
import re

import jax
import numpy as np
import pytest
import tiny_runs

from jaxvision import config, data, schedules
from jaxvision.config import durations
from jaxvision.training import setup


@pytest.fixture
def folder(tmp_path):
  tiny_runs.write_data(tmp_path)
  return tmp_path


def test_the_parts_of_a_config(folder):
  parts = tiny_runs.prepare(
    folder, optimizer__learning_rate=0.5, ema__decay=0.9
  )
  assert set(parts.splits) == set(parts.batches) == {"train", "validation"}
  assert parts.image_shape == (4, 4, 1)
  assert parts.model.num_classes == 3
  assert parts.model.hidden == (8,)
  assert parts.mesh.size == 8
  assert float(parts.schedule(0)) == 0.5
  assert parts.steps == durations.Durations(
    total=6, warmup=0, evaluate=2, checkpoint=2, log=1
  )
  assert parts.batches["validation"].batch_size == 16


@pytest.mark.parametrize(
  ("options", "steps"), [({}, 6), ({"total_steps": 9}, 9)]
)
def test_a_model_that_changes_over_the_training_knows_its_steps(
  folder, options, steps
):
  options = {"repeats": 1, "features": 2, "stages": 1, **options}
  parts = tiny_runs.prepare(
    folder, model__name="nasnet_a_cifar", model__options=options
  )
  assert parts.model.total_steps == steps
  assert set(parts.template.model_state) == {"batch_stats", "progress"}


def test_layer_decay_lowers_the_rate_from_layer_to_layer(folder):
  parts = tiny_runs.prepare(
    folder,
    model__options={"hidden": (8, 8)},
    optimizer__learning_rate=0.5,
    optimizer__layer_decay=0.25,
  )
  params = parts.init().params
  ones = jax.tree.map(np.ones_like, params)
  updates, _ = parts.optimizer.update(
    ones, parts.optimizer.init(params), params
  )
  for layer, factor in (("head", 1), ("hidden_1", 1 / 4), ("hidden_0", 1 / 16)):
    for update in jax.tree.leaves(updates[layer]):
      np.testing.assert_allclose(update, -0.5 * factor, rtol=1e-6)


def test_the_template_is_the_state(folder):
  parts = tiny_runs.prepare(folder, ema__decay=0.9, optimizer__name="adamw")
  state = parts.init()
  assert jax.tree.structure(state) == jax.tree.structure(parts.template)
  for array, shape in zip(
    jax.tree.leaves(state), jax.tree.leaves(parts.template), strict=True
  ):
    assert (array.shape, array.dtype) == (shape.shape, shape.dtype)
    assert array.sharding == shape.sharding
  assert set(state.ema) == {"params"}


def test_the_seed_decides_the_first_state(folder):
  first, same, other = (
    jax.tree.map(np.asarray, tiny_runs.prepare(folder, seed=seed).init().params)
    for seed in (0, 0, 1)
  )
  jax.tree.map(np.testing.assert_array_equal, first, same)
  kernels = [each["hidden_0"]["kernel"] for each in (first, other)]
  assert not np.array_equal(*kernels)


@pytest.mark.parametrize(
  ("overrides", "expected"),
  [
    ({"train__duration": "3 epochs"}, {"total": 8}),
    ({"train__duration": "100 steps", "schedule__warmup": "5%"}, {"warmup": 5}),
    ({"evaluate__every": "50 percent"}, {"evaluate": 3}),
    ({"evaluate__every": "0 steps"}, {"evaluate": 6}),
    (
      {"train__steps_per_dispatch": 4, "log__every": "5 steps"},
      {"total": 8, "log": 8, "evaluate": 4},
    ),
  ],
)
def test_durations_are_converted_once(folder, overrides, expected):
  """40 examples in batches of 16."""
  overrides = {"data__placement": "device", **overrides}
  found = dataclasses.asdict(tiny_runs.prepare(folder, **overrides).steps)
  assert {name: found[name] for name in expected} == expected


def test_a_run_without_a_step_is_an_error(folder):
  with pytest.raises(ValueError, match="'0 epochs' is less than a step"):
    tiny_runs.prepare(folder, train__duration="0 epochs")


def test_evaluation_may_have_another_batch_size(folder):
  parts = tiny_runs.prepare(folder, evaluate__batch_size=8)
  assert parts.batches["validation"].batch_size == 8
  assert parts.batches["train"].batch_size == 16


def test_the_training_split_is_needed(folder):
  cfg = tiny_runs.load_config(folder, data__train="")
  with pytest.raises(ValueError, match=r"data\.train is empty"):
    setup.open_splits(cfg)


def test_splits_share_their_classes(folder, monkeypatch):
  """Two folders, train/ and validation/, may have different directories."""
  real = data.open_dataset

  def open_dataset(data_config, split):
    names = ("cat", "dog", "owl") if split == "train" else ("cat", "dog", "yak")
    return dataclasses.replace(real(data_config, split), class_names=names)

  monkeypatch.setattr(data, "open_dataset", open_dataset)
  message = (
    r"data.validation 'validation' of .* has the classes cat, dog, yak, but "
    "the training split has cat, dog, owl"
  )
  with pytest.raises(ValueError, match=message):
    setup.open_splits(tiny_runs.load_config(folder))


# override -> text that the message must contain
_MISTAKES = {
  "model__name=mpl": "unknown model 'mpl'; did you mean 'mlp'",
  "model__options__hiden=(3,)": "did you mean 'hidden'",
  "model__options__activation=rellu": "did you mean 'relu'",
  "loss__name=softmx": "unknown loss 'softmx'; did you mean 'softmax'",
  "loss__options__label_smooting=0.1": "did you mean 'label_smoothing'",
  "loss__options__label_smoothing=2": "label_smoothing is 2; it must",
  "optimizer__name=adamm": "did you mean 'adam'",
  "optimizer__options__momentun=0.9": "did you mean 'momentum'",
  "optimizer__learning_rate_rules=(('hed/.*',1.0),('.*',None))": "did you mean",
  "schedule__name=cosin": "did you mean 'cosine'",
  "schedule__options__final_fracton=0.1": "did you mean 'final_fraction'",
  "schedule__warmup=6 steps": "shorten schedule.warmup",
  "data__kind=nzp": "did you mean 'npz'",
  "data__train=trian": "did you mean 'train'",
  "data__placement=devise": "did you mean 'device'",
  "data__num_classes=2": "is outside the 2 classes",
  "data__train_transforms=('random_flp',)": "did you mean 'random_flip'",
  "data__train_transforms=('random_randaugment(n=0)',)": "n is 0; it must",
  "data__eval_transforms=('random_flip',)": "evaluation must not be",
  "data__device_transforms=('random_crp',)": "did you mean 'random_crop'",
  "data__mean=(0.1,0.2)": "data.mean is (0.1, 0.2)",
  "data__std=(0.0,)": "0.0; it must be a number above 0",
  "checkpoint__best=validation/top2": "did you mean 'validation/top1'",
  "checkpoint__best=validation_ema/top1": "correct checkpoint.best",
  "checkpoint__best=validation/calibration_error": "for the best checkpoint",
  "train__batch_size=12": "train.batch_size 12 does not divide over 8 devices",
  "evaluate__batch_size=9": "evaluate.batch_size 9 does not divide",
  "train__steps_per_dispatch=2": 'set data.placement to "device"',
}


@pytest.mark.parametrize("mistake", _MISTAKES)
def test_a_mistake_is_found_before_anything_is_compiled(
  folder, compiled, mistake
):
  key, value = mistake.split("=", 1)
  count = len(compiled)
  with pytest.raises(ValueError, match=re.escape(_MISTAKES[mistake])):
    tiny_runs.prepare(folder, **{key: value})
  assert len(compiled) == count


@pytest.mark.parametrize("missing", ["data__validation", "checkpoint__best"])
def test_patience_needs_evaluations_that_are_compared(folder, missing):
  with pytest.raises(ValueError, match=r"train\.patience 3 .* set data\.valid"):
    tiny_runs.prepare(folder, train__patience=3, **{missing: ""})


def test_evaluation_is_checked_without_a_split_to_evaluate(folder):
  with pytest.raises(ValueError, match="did you mean 'resize'"):
    tiny_runs.prepare(
      folder, data__validation="", data__eval_transforms=("rezise(4)",)
    )


def test_penalties_are_checked_too(folder, compiled):
  count = len(compiled)
  with pytest.raises(
    ValueError, match=r"loss\.penalty_on: '\.\*kernl' matches"
  ):
    tiny_runs.prepare(folder, loss__l2=0.1, loss__penalty_on=".*kernl")
  assert len(compiled) == count


def test_preparing_compiles_nothing(folder, compiled):
  count = len(compiled)
  tiny_runs.prepare(folder)
  assert len(compiled) == count


@pytest.mark.parametrize(
  "best",
  ["", "validation/f1_macro", "validation_ema/top1", "validation/loss"],
)
def test_metrics_that_may_select_the_best_checkpoint(folder, best):
  parts = tiny_runs.prepare(folder, ema__decay=0.9, checkpoint__best=best)
  sign = -1 if best.endswith("loss") else 1
  assert parts.best == ((best, sign) if best else None)


def test_without_validation_nothing_is_best(folder):
  parts = tiny_runs.prepare(folder, data__validation="", checkpoint__best="x")
  assert set(parts.splits) == {"train"}
  assert parts.best is None


def test_every_schedule_of_a_config_starts_from_its_rate(folder):
  for name in set(schedules.SCHEDULES) - {"one_cycle"}:  # it has no warm-up
    options = {"every": 0.5} if name == "staircase" else {}
    parts = tiny_runs.prepare(
      folder,
      schedule__name=name,
      schedule__options=options,
      schedule__warmup="2 steps",
      optimizer__learning_rate=0.5,
    )
    assert float(parts.schedule(0)) == 0
    assert float(parts.schedule(2)) == pytest.approx(0.5)


def test_the_config_stays_as_it_was_read(folder):
  cfg = tiny_runs.load_config(folder)
  before = config.flatten(cfg.to_dict())
  setup.prepare(cfg, setup.open_splits(cfg))
  assert config.flatten(cfg.to_dict()) == before

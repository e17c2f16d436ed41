"""A run of cross-validation: its splits, its record, and its end."""

import itertools
import json
import logging
import signal

import jax
import numpy as np
import pytest
import tiny_runs

from jaxvision import config as configs
from jaxvision import data, inference, training
from jaxvision.config import loading
from jaxvision.plan import placeholder_data
from jaxvision.runs import metrics_log
from jaxvision.training import setup
from jaxvision.training.loop import train_loop
from jaxvision.training.setup import sanity

_OVERRIDES = {
  "data.folds": 4,
  "data.fold": 1,
  "train.duration": "8 steps",
  "evaluate.every": "4 steps",
  "checkpoint.every": "2 steps",
  "log.every": "1 steps",
  "log.tensorboard": False,
}


@pytest.fixture
def recipe(tmp_path):
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  return str(tmp_path / "recipe.py")


def _ids(split):
  return split.ids(range(split.num_examples))


def _open(recipe, **overrides):
  dotted = {key.replace("__", "."): value for key, value in overrides.items()}
  return setup.open_splits(configs.load(recipe, {**_OVERRIDES, **dotted}))


def test_a_fold_replaces_the_validation_split(recipe, caplog):
  caplog.set_level(logging.INFO)
  splits = _open(recipe)
  assert list(splits) == ["train", "validation"]
  assert [each.num_examples for each in splits.values()] == [30, 10]
  assert splits["validation"].split == "train, fold 1 of 4"
  assert "validation: train, fold 1 of 4 (10 examples)" in caplog.text
  assert "data.validation 'validation' is not used" in caplog.text
  caplog.clear()
  without = _open(recipe, data__validation="", data__test="validation[:9]")
  assert list(without) == ["train", "validation", "test"]
  assert _ids(without["validation"]) == _ids(splits["validation"])
  assert without["test"].num_examples == 9
  assert "not used" not in caplog.text


def test_all_seeds_and_slices_have_the_same_folds(recipe):
  one, other = _open(recipe), _open(recipe, seed=7, train__batch_size=8)
  assert _ids(one["validation"]) == _ids(other["validation"])
  parts = [
    _ids(_open(recipe, data__train="train[:50%]", data__fold=f)["validation"])
    for f in range(4)
  ]
  whole = setup.open_split(
    configs.load(recipe, {"data.train": "train[:50%]"}), "train"
  )
  assert sorted(itertools.chain(*parts)) == sorted(_ids(whole))


def test_split_keys_of_different_folds_differ(recipe):
  """Trials with equal keys share the splits that were opened."""
  keys = {
    setup.split_keys(configs.load(recipe, {"data.folds": k, "data.fold": f}))
    for k, f in ((0, 0), (4, 0), (4, 1), (5, 1))
  }
  assert len(keys) == 4


@pytest.mark.parametrize(
  ("overrides", "message"),
  [
    ({"data.folds": 5, "data.fold": 5}, "expected 0 to 4"),
    ({"data.folds": 0, "data.fold": 2}, "set data.folds too"),
    ({"data.folds": 1, "data.fold": 0}, "at least 2 folds, or 0"),
    ({"data.folds": -3, "data.fold": 0}, "data.folds"),
    ({"data.folds": 2.5, "data.fold": 0}, "data.folds"),
  ],
)
def test_wrong_folds_are_errors_of_the_config(recipe, overrides, message):
  with pytest.raises(ValueError, match=message):
    configs.load(recipe, overrides)


def test_a_run_without_the_keys_has_no_folds(recipe):
  """config.json of older versions lacks them."""
  saved = configs.load(recipe, {}).to_dict()
  del saved["data"]["folds"], saved["data"]["fold"]
  assert setup.roles(loading.restore(saved)) == ("train", "validation")
  assert loading.restore(saved).data.folds == 0


def test_a_run_measures_its_fold_and_its_folder_knows_it(recipe, tmp_path):
  workdir = tmp_path / "run"
  training.train(recipe, workdir=workdir, overrides=_OVERRIDES)
  record = json.loads((workdir / "data.json").read_text())["splits"]
  assert record["train"]["split"] == "train, without fold 1 of 4"
  assert record["validation"]["split"] == "train, fold 1 of 4"
  run = inference.load_run(workdir)
  lines = metrics_log.read_metrics(workdir)
  measured = [each for each in lines if "validation/loss" in each][-1]
  found = inference.evaluate(run, role="validation").metrics
  assert found["loss"] == pytest.approx(measured["validation/loss"], rel=1e-5)
  # The loss by hand, over the images of the fold.
  split = _open(recipe)["validation"]
  pixels = np.stack([x for x, _ in split.read(range(split.num_examples))])
  images = (pixels / 255 - 0.5).astype(np.float32) / 0.5
  logits = run.model.apply(run.model_variables, images, train=False)
  picked = jax.nn.log_softmax(logits)[np.arange(10), split.labels()]
  assert found["loss"] == pytest.approx(-float(picked.mean()), rel=1e-4)
  of_train = inference.evaluate(run, role="train").metrics
  assert of_train["loss"] != pytest.approx(found["loss"], rel=1e-5)
  page = (workdir / "report.html").read_text("utf-8")
  assert "train, fold 1 of 4, 10 examples" in page
  other = {**_OVERRIDES, "data.fold": 2}
  with pytest.raises(ValueError, match=r"data\.fold: 1 there, 2 here"):
    training.train(recipe, workdir=workdir, overrides=other)


def test_a_resumed_run_equals_a_whole_one(recipe, tmp_path):
  training.train(recipe, workdir=tmp_path / "whole", overrides=_OVERRIDES)

  def stop(step, *_):
    if step == 4:
      signal.raise_signal(signal.SIGTERM)
    return ""

  cut = {"workdir": tmp_path / "cut", "overrides": _OVERRIDES}
  with pytest.raises(train_loop.Preempted):
    training.train(recipe, **cut, watch=stop)
  training.train(recipe, **cut)
  one, other = (
    jax.tree.leaves(inference.load_run(tmp_path / name).variables)
    for name in ("whole", "cut")
  )
  for a, b in zip(one, other, strict=True):
    assert np.array_equal(a, b)
  losses = [
    {e["step"]: e["train/loss"] for e in lines if "train/loss" in e}
    for lines in (
      metrics_log.read_metrics(tmp_path / name) for name in ("whole", "cut")
    )
  ]
  assert losses[0] == losses[1] and len(losses[0]) == 8


def test_other_labels_are_noticed(recipe, tmp_path):
  workdir = tmp_path / "run"
  training.train(recipe, workdir=workdir, overrides=_OVERRIDES)
  arrays = dict(np.load(tmp_path / "data.npz"))
  arrays["train_labels"] = arrays["train_labels"][::-1]
  np.savez(tmp_path / "data.npz", **arrays)
  with pytest.raises(ValueError, match="validation: "):
    inference.evaluate(inference.load_run(workdir), role="validation")


def test_patience_and_metrics_need_no_named_validation_split(recipe):
  overrides = {"data.validation": "", "train.patience": 2}
  with pytest.raises(ValueError, match=r"train\.patience 2"):
    config = configs.load(recipe, overrides)
    setup.prepare(config, setup.open_splits(config))
  config = configs.load(recipe, {**_OVERRIDES, **overrides})
  parts = setup.prepare(config, setup.open_splits(config))
  assert parts.best == ("validation/top1", 1)
  setup.checks.check_measured("validation/top1", config, parts.task)


def test_a_check_of_memory_takes_examples_of_the_other_folds(recipe):
  config = configs.load(recipe, _OVERRIDES)
  splits = setup.open_splits(config)
  _, few = sanity.overfit(config, splits, 16)
  (keys,) = data.identify({"train": few["train"]})[1].values()
  assert len(keys) == 16
  assert _ids(few["train"]) == _ids(splits["train"])[:16]
  assert (
    few["train"].labels().tolist() == splits["train"].labels()[:16].tolist()
  )


def test_a_plan_has_the_steps_of_the_other_folds(recipe):
  config = configs.load(recipe, {**_OVERRIDES, "train.duration": "16 epochs"})
  split = placeholder_data.open_split(config)
  assert not split.missing and split.dataset.num_examples == 30

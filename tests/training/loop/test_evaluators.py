"""The evaluations during a run, on eight virtual devices."""

import functools

import background_sets
import jax
import numpy as np
import pytest
import spawned

from jaxvision import config as configs
from jaxvision import training
from jaxvision.evaluation import network, probes, suites
from jaxvision.training import setup
from jaxvision.training.loop import evaluators
from jaxvision.training.setup import checks

_TINY = {
  "data.kind": "npz",
  "data.train": "train[:75%]",
  "data.validation": "train[75%:]",
  "data.test": "",
  "data.placement": "host",
  "data.device_transforms": (),
  "model.options": {"hidden": (8,)},
  "train.batch_size": 16,
  "train.duration": "4 steps",
  "train.steps_per_dispatch": 1,
  "evaluate.every": "2 steps",
  "checkpoint.every": "4 steps",
  "log.every": "1 steps",
  "log.tensorboard": False,
}
_WITHOUT_AVERAGE = {"ema__decay": 0.0, "checkpoint__best": "validation/top1"}
_PROBES = ("knn(k=3)", "pixels/lda(shrinkage=0.5)")


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
  """64 images (4, 4, 1) of 4 classes; each class has a different bright row."""
  images = np.random.default_rng(0).integers(0, 200, (64, 4, 4, 1))
  labels = np.arange(64) % 4
  images[np.arange(64), labels] += 55
  path = tmp_path_factory.mktemp("blobs") / "blobs.npz"
  names = list("abcd")
  np.savez(
    path, images=images.astype(np.uint8), labels=labels, class_names=names
  )
  return path


def _overrides(blobs, **more):
  dotted = {key.replace("__", "."): value for key, value in more.items()}
  return {**_TINY, "data.name": str(blobs), **dotted}


def _measures(blobs, **more):
  config = configs.load(
    spawned.recipe("digits.py:mlp"), _overrides(blobs, **more)
  )
  parts = setup.prepare(config, setup.open_splits(config))
  found = evaluators.make_evaluators(parts)
  return parts, evaluators.make_measures(parts, found)


@pytest.mark.slow
def test_probes_are_logged_at_each_evaluation(tmp_path, blobs):
  training.train(
    spawned.recipe("digits.py:mlp"),
    workdir=tmp_path,
    overrides=_overrides(blobs, evaluate__probes=_PROBES, **_WITHOUT_AVERAGE),
  )
  lines = spawned.measured(tmp_path)
  key = "validation/pixels/lda(shrinkage=0.5)/top1"
  lda = {line["step"]: line[key] for line in lines if key in line}
  assert list(lda) == [2, 4]
  # Pixels do not change, and they separate these classes.
  assert lda[2] == lda[4] > 0.5
  assert all(
    "validation/knn(k=3)/top1" in line for line in lines if key in line
  )
  page = (tmp_path / "report.html").read_text()
  assert "Feature probes" in page
  assert f"pixels/lda(shrinkage=0.5) {lda[4]:.2%}" in page


def test_probes_see_the_average_and_the_whole_training_split(blobs):
  parts, measures = _measures(
    blobs, evaluate__probes=_PROBES, ema__decay=0.5, model__options={}
  )
  state = parts.init()
  # The average differs from the parameters: probes must use the average.
  state = state.replace(ema=jax.tree.map(lambda a: -a, state.ema))
  measured = {name: measure(state) for name, measure in measures.items()}
  alone = probes.make_evaluator(
    _PROBES,
    parts.model,
    parts.fitted,
    parts.batches["validation"],
    num_classes=4,
    normalization=parts.normalization,
    mesh=parts.mesh,
  )(state.ema)
  assert measured.keys() == {"validation", "validation_ema"}
  for name in _PROBES:
    assert measured["validation_ema"][f"{name}/top1"] == alone[name]["top1"]
    assert f"{name}/top1" not in measured["validation"]
  assert measured["validation"]["loss"] != measured["validation_ema"]["loss"]


@pytest.mark.parametrize("placement", ["host", "device"])
def test_evaluators_compile_only_in_warm_up(blobs, placement, compiled):
  parts, _ = _measures(blobs, ema__decay=0.5, data__placement=placement)
  found = evaluators.make_evaluators(parts)
  state = parts.init()
  before = len(compiled)
  evaluators.warm_up(found, state)
  count = len(compiled)
  assert count > before
  measured = [evaluate(state) for evaluate in found.values()]
  assert len(compiled) == count
  assert [int(each.sums["count"]) for each in measured] == [16, 16]


def test_without_probes_it_is_classification_alone(blobs):
  _, measures = _measures(blobs, **_WITHOUT_AVERAGE)
  assert measures.keys() == {"validation"}


def test_an_unknown_probe_is_an_error_before_the_training(tmp_path, blobs):
  with pytest.raises(ValueError, match=r"unknown probe 'kmn'.*knn"):
    training.train(
      spawned.recipe("digits.py:mlp"),
      workdir=tmp_path / "run",
      overrides=_overrides(blobs, evaluate__probes=("kmn",)),
    )
  assert not (tmp_path / "run").exists()


def test_probes_need_a_validation_split(blobs):
  more = {"data.validation": "", "checkpoint.best": ""}
  with pytest.raises(ValueError, match=r"data\.validation is empty"):
    _measures(blobs, evaluate__probes=("knn",), **more)


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
  """The classes of the blobs in the layout of ImageNet-9."""
  root = tmp_path_factory.mktemp("variants")
  background_sets.write_release(root, list("abcd"), per_class=2)
  return root


def test_suites_see_the_average_beside_probes(blobs, variants):
  calls = (f"backgrounds({str(variants)!r}, batch_size=16)",)
  parts, measures = _measures(
    blobs,
    evaluate__suites=calls,
    evaluate__probes=("pixels/knn",),
    ema__decay=0.5,
    model__options={},
  )
  state = parts.init()
  state = state.replace(ema=jax.tree.map(lambda a: -a, state.ema))
  measured = {name: measure(state) for name, measure in measures.items()}
  of = network.Network(
    model=parts.model,
    class_names=tuple("abcd"),
    image_shape=(4, 4, 1),
    normalization=parts.normalization,
    mesh=parts.mesh,
  )
  alone = suites.flat(suites.make_evaluator(calls, of)(state.ema))
  assert len(alone) == 8 + 1 + 5
  for name, value in alone.items():
    assert measured["validation_ema"][name] == value
    assert name not in measured["validation"]
  assert "pixels/knn/top1" in measured["validation_ema"]


@pytest.mark.slow
def test_suites_are_logged_and_drawn(tmp_path, blobs, variants):
  calls = (
    f"backgrounds({str(variants)!r})",
    f"backgrounds_challenge({str(variants)!r})",
  )
  training.train(
    spawned.recipe("digits.py:mlp"),
    workdir=tmp_path,
    overrides=_overrides(blobs, evaluate__suites=calls, **_WITHOUT_AVERAGE),
  )
  lines = spawned.measured(tmp_path)
  for key in ("backgrounds/bg_gap", "backgrounds_challenge/accuracy"):
    key = f"validation/{key}"
    assert [line["step"] for line in lines if key in line] == [2, 4]
  page = (tmp_path / "report.html").read_text()
  assert "Suite: backgrounds" in page
  assert "Suite: backgrounds_challenge" in page


def test_suites_are_checked_before_the_training(tmp_path, blobs, variants):
  for calls, error, message in (
    (("background('a')",), ValueError, "unknown suite 'background'"),
    ((f"backgrounds({str(tmp_path)!r})",), FileNotFoundError, "original/val"),
  ):
    with pytest.raises(error, match=message):
      training.train(
        spawned.recipe("digits.py:mlp"),
        workdir=tmp_path / "run",
        overrides=_overrides(blobs, evaluate__suites=calls),
      )
  assert not (tmp_path / "run").exists()
  more = {"data.validation": "", "checkpoint.best": ""}
  with pytest.raises(ValueError, match=r"evaluate\.suites .*is empty"):
    _measures(
      blobs, evaluate__suites=(f"backgrounds({str(variants)!r})",), **more
    )


def test_a_metric_of_a_suite_can_decide_a_sweep(blobs):
  config = configs.load(
    spawned.recipe("digits.py:mlp"),
    _overrides(
      blobs, evaluate__suites=("backgrounds('a')",), **_WITHOUT_AVERAGE
    ),
  )
  parts = setup.prepare(config, setup.open_splits(config))
  check = functools.partial(
    checks.check_measured, config=config, task=parts.task
  )
  check("validation/backgrounds/bg_gap")
  with pytest.raises(ValueError, match=r"validation/backgrounds/\.\.\."):
    check("validation/background/bg_gap")

"""Runs with progressive resizing: durations, refusals, resuming, extension."""

import numpy as np
import pytest
import tiny_runs

from jaxvision import config as configs
from jaxvision import summary, training
from jaxvision.config import durations
from jaxvision.training.loop import results, train_loop

SIZES = (("0 %", 4), ("50 %", 6), ("75 %", 8))


def _overrides(sizes=SIZES, **overrides):
  return {
    "model.name": "resnet18",
    "model.options": {"blocks": (1,), "features": 4, "stem": "small"},
    "train.duration": "8 steps",
    "train.image_sizes": sizes,
    **{key.replace("__", "."): value for key, value in overrides.items()},
  }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp("data")
  tiny_runs.write_data(folder, shape=(8, 8, 1))
  return folder


def _config(folder, sizes=SIZES, **overrides):
  tiny_runs.load_config(folder)
  return configs.load(str(folder / "recipe.py"), _overrides(sizes, **overrides))


def test_starts_are_steps(folder):
  config = _config(folder, train__duration="80 steps")
  found = durations.convert(config, num_examples=40)
  assert found.image_sizes == ((0, 4), (40, 6), (60, 8))


@pytest.mark.parametrize(
  "sizes",
  [
    (("10 steps", 4), ("5 steps", 6)),
    (("10 steps", 4), ("10 steps", 6)),
    (("0 %", 4), ("100 %", 8)),
  ],
)
def test_starts_that_are_not_in_order_are_refused(folder, sizes):
  config = _config(folder, sizes, train__duration="80 steps")
  with pytest.raises(ValueError, match=r"of 80; each must begin after the one"):
    durations.convert(config, num_examples=40)


@pytest.mark.parametrize(
  ("overrides", "message"),
  [
    ({"sizes": (("0 %", 12),)}, r"12 pixels.*are 8x8: sizes are reduced, not"),
    (
      {"model__name": "mlp", "model__options": {"hidden": (8,)}},
      r"4 pixels, and Mlp accepts no images of 4x4.*global average pooling",
    ),
    ({"sizes": (("0 %", 0),)}, "train.image_sizes"),
    ({"sizes": (("now", 4),)}, "'now' is not a duration"),
  ],
)
def test_sizes_that_do_not_fit_are_refused(folder, overrides, message):
  with pytest.raises(ValueError, match=message):
    tiny_runs.prepare(folder, **_overrides(**overrides))


def test_the_flops_of_small_images_count_for_the_mfu(folder):
  parts = tiny_runs.prepare(folder, **_overrides())
  flops = [
    summary.flops_per_image(parts.model, image_shape=(side, side, 1))
    for side in (4, 6, 8)
  ]
  effort = results.effort(parts)
  assert effort(0, 4) == pytest.approx(flops[0] / flops[2])
  assert effort(7, 8) == 1
  each = [flops[0]] * 4 + [flops[1]] * 2 + [flops[2]] * 2
  assert effort(0, 8) == pytest.approx(np.mean(each) / flops[2])
  assert effort(3, 5) == pytest.approx(np.mean(each[3:5]) / flops[2])


def _train(folder, workdir, sizes=SIZES, **options):
  return training.train(
    str(folder / "recipe.py"),
    workdir=workdir,
    overrides=_overrides(sizes, **options.pop("overrides", {})),
    **options,
  )


@pytest.mark.slow
def test_a_run_that_is_stopped_in_a_size_ends_as_without_a_stop(
  folder, tmp_path
):
  tiny_runs.load_config(folder)
  often = {"overrides": {"evaluate__every": "5 steps"}}
  whole = _train(folder, tmp_path / "whole", **often)
  with pytest.raises(train_loop.Preempted):
    _train(folder, tmp_path / "run", watch=tiny_runs.stopped_at(5), **often)
  again = _train(folder, tmp_path / "run", **often)
  assert again["fingerprint"] == whole["fingerprint"]
  plain = _train(folder, tmp_path / "plain", (), **often)
  assert plain["fingerprint"] != whole["fingerprint"]


@pytest.mark.slow
def test_an_extended_run_keeps_the_starts(folder, tmp_path):
  tiny_runs.load_config(folder)
  constant = {"schedule__name": "constant"}
  sizes = (("0 %", 4), ("50 %", 8))
  short = {"train__duration": "4 steps", **constant}
  _train(folder, tmp_path / "run", sizes, overrides=short)
  longer = training.train(workdir=tmp_path / "run", extend="8 steps")
  sizes = (("0 steps", 4), ("2 steps", 8))
  whole = _train(folder, tmp_path / "whole", sizes, overrides=constant)
  assert longer["fingerprint"] == whole["fingerprint"]

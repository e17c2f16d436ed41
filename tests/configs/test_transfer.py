"""Tests of the rules of transfer in configs/, against the published numbers."""

import importlib
import pathlib

import numpy as np
import pytest

from jaxvision import config as configs
from jaxvision.config import durations
from jaxvision.configs import bit_transfer, vit_transfer
from jaxvision.training import setup

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch):
  monkeypatch.chdir(ROOT)


def _published(num_examples):
  """Steps at which something happens, and mixup, of the authors' code."""
  if num_examples < 20_000:
    return [100, 200, 300, 400, 500], 0.0
  if num_examples < 500_000:
    return [500, 3000, 6000, 9000, 10_000], 0.1
  return [500, 6000, 12_000, 18_000, 20_000], 0.1


def _published_rate(num_examples, step):
  supports, _ = _published(num_examples)
  if step < supports[0]:
    return 0.003 * step / supports[0]
  return 0.003 * 0.1 ** sum(support < step for support in supports[1:-1])


@pytest.mark.parametrize(
  "num_examples", [1, 19_999, 20_000, 499_999, 500_000, 14_000_000]
)
def test_the_hyper_rule_is_the_published_one(num_examples):
  rule = bit_transfer.hyper_rule(num_examples, 500 * 375)
  supports, mixup = _published(num_examples)
  assert [rule.warmup, *rule.milestones, rule.steps] == supports
  assert rule.mixup == mixup


@pytest.mark.parametrize(
  ("area", "resolution", "sides"),
  [
    (32 * 32, "code", (160, 128)),
    (96 * 96 - 1, "code", (160, 128)),
    (96 * 96, "code", (512, 480)),
    (32 * 32, "paper", (160, 128)),
    (96 * 96, "paper", (448, 384)),
  ],
)
def test_the_resolution_follows_the_area(area, resolution, sides):
  rule = bit_transfer.hyper_rule(50_000, area, resolution=resolution)
  assert (rule.resize, rule.crop) == sides
  config = configs.load(
    f"configs/bit_transfer.py:50000,{area}x1,{resolution}"
  ).data
  resize, crop = sides
  assert config.train_transforms[:2] == (
    f"resize({resize})",
    f"random_crop({crop})",
  )
  assert config.eval_transforms == (f"resize({crop})",)


@pytest.mark.parametrize("num_examples", [5000, 50_000, 1_281_167])
def test_the_rate_is_the_published_one_at_every_step(num_examples):
  recipe = f"configs/bit_transfer.py:{num_examples},64x64"
  config = configs.load(recipe)
  steps = durations.convert(config, num_examples=num_examples)
  schedule = setup.make_schedule(config, steps)
  every = np.arange(steps.total)
  expected = [_published_rate(num_examples, step) for step in every]
  np.testing.assert_allclose(schedule(every), expected, rtol=1e-5)


def test_bit_transfers_without_decay_and_flips_at_random():
  config = configs.load("configs/bit_transfer.py")
  assert config.optimizer.weight_decay == config.loss.l2 == 0
  assert config.optimizer.gradient_clip == 0
  assert config.train.batch_size == 512
  assert config.data.train_transforms[-1] == "random_flip"
  assert config.data.device_transforms == ()
  mixed = configs.load("configs/bit_transfer.py:20000,32x32")
  assert mixed.data.device_transforms == ("random_mixup(0.1)",)


@pytest.mark.parametrize(
  ("recipe", "message"),
  [
    ("bit_transfer.py:lots", "write it like 50000,32x32"),
    ("bit_transfer.py:100,32x32,blog", "'blog'; it is one of.*'paper'"),
    ("vit_transfer.py:cifar", "no data set 'cifar'; it has.*cifar100"),
    ("resnet50_i1k.py:trick", "'plain', 'tricks' or 'tricks_alone'"),
    ("distill_bit_r50.py:pets", "no data set 'pets'.*oxford_iiit_pet"),
    ("distill_bit_r50.py:food101,short", "no length 'short' for food101"),
    ("bit_pretrain_i1k.py:bv", "'code' or 'paper'"),
    ("bit_pretrain_i21k.py:bv", "'code' or 'paper'"),
  ],
)
def test_wrong_arguments_are_explained(recipe, message):
  with pytest.raises(ValueError, match=message):
    configs.load(f"configs/{recipe}")


@pytest.mark.parametrize("dataset", vit_transfer.LEARNING_RATES)
def test_a_vit_starts_from_one_of_the_rates_of_the_paper(dataset):
  config = configs.load(f"configs/vit_transfer.py:{dataset}")
  rates = vit_transfer.LEARNING_RATES[dataset]
  assert config.optimizer.learning_rate in rates
  assert config.optimizer.weight_decay == 0


@pytest.mark.parametrize(
  ("recipe", "published", "batch_size"),
  [
    ("bit_pretrain_i21k", 3e-5 / 256 * 4096, 4096),
    ("bit_pretrain_i1k", 1e-4 / 256 * 4096, 4096),
    ("vit_s16_i1k", 1e-4, 1024),
    ("mixer_b16_i1k", 1e-4, 4096),
  ],
)
def test_a_decay_that_only_the_schedule_scales_is_ported(
  recipe, published, batch_size
):
  """The authors use schedule * decay; here it is rate * schedule * decay."""
  config = importlib.import_module(f"jaxvision.configs.{recipe}").get_config()
  rate, decay = config.optimizer.learning_rate, config.optimizer.weight_decay
  assert rate * decay == pytest.approx(published)
  assert config.optimizer.name in ("adamw", "sgdw")
  assert config.train.batch_size == batch_size

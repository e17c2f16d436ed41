"""Tests of jaxvision.plan: plans, their cache and their text."""

import json

import jax
import pytest
import tiny_runs

from jaxvision import cli, models, plan
from jaxvision.plan import compilation

_OVERRIDES = {"model.options": {"hidden": (512,)}}


@pytest.fixture(autouse=True, scope="module")
def _started():
  """Plans start jax with the devices that they need; the tests have eight."""
  assert len(jax.devices()) == 8


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
  monkeypatch.setenv("JAXVISION_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def recipe(tmp_path):
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  return str(tmp_path / "recipe.py")


def _command(recipe, *more):
  return cli.main(["plan", "--config", recipe, "--topology", "cpu:8", *more])


def test_a_plan_is_cached(recipe, monkeypatch):
  arguments = {"topology": "cpu:8", "overrides": _OVERRIDES}
  first = plan.plan(recipe, **arguments)
  monkeypatch.setattr(compilation, "measure", _refuse)
  assert plan.plan(recipe, **arguments) == first
  other = {**arguments, "mesh": {"fsdp": 8}}
  with pytest.raises(AssertionError, match="compiled"):
    plan.plan(recipe, **other)


def _refuse(*_, **__):
  raise AssertionError("compiled")


def test_a_plan_that_fits_is_reported(recipe, capsys, tmp_path):
  path = tmp_path / "plan.json"
  assert _command(recipe, "--json", str(path)) == 0
  printed = capsys.readouterr().out
  assert "mlp on cpu:8: 8 x cpu, mesh replica 1 x data 8 x fsdp 1" in printed
  assert "the memory of the device is unknown: give --memory GIB" in printed
  assert "all-reduce" in printed
  written = json.loads(path.read_text("utf-8"))
  assert written["figures"]["batch_size"] == 16
  assert written["devices"] == 8


def test_advice_is_given_until_the_plan_fits(recipe, capsys):
  """Parameters and gradients take 160 KB each; a device has 210 KB."""
  wide = "--config.model.options={'hidden': (2048,)}"
  code = _command(recipe, wide, "--memory", "0.0002", "--tries", "2")
  printed = capsys.readouterr().out
  assert code == 4
  assert "DOES NOT FIT" in printed
  assert "--config.mesh.fsdp=8 --config.mesh.data=1" in printed
  assert "other batches of the same config" in printed


def test_the_mesh_may_be_given(recipe, capsys):
  assert _command(recipe, "--mesh", "fsdp=4,data=2") == 0
  assert "data 2 x fsdp 4" in capsys.readouterr().out


@pytest.mark.parametrize(
  ("words", "message"),
  [
    (["--topology", "v9:4x4"], "unknown kind of topology 'v9'"),
    (["--mesh", "fsdp=3,data=1"], "choose sizes whose product divides 8"),
    (["--mesh", "fdsp=8"], "did you mean 'fsdp'"),
    (["--config.train.batch_size=12"], "12 does not divide over 8 devices"),
    (["--config.data.name=no.npz"], "give its number of classes"),
  ],
)
def test_mistakes_are_one_clear_line(recipe, words, message, capsys):
  assert _command(recipe, *words) == 2
  error = capsys.readouterr().err
  assert message in error
  assert error.count("\n") == 1


@pytest.mark.parametrize(
  ("words", "message"),
  [
    (["--mesh", "fsdp"], "'fsdp' is not AXIS=SIZE"),
    (["--memory", "-1"], "'-1' is not a size in GiB"),
  ],
)
def test_wrong_arguments_show_the_usage(recipe, words, message, capsys):
  with pytest.raises(SystemExit):
    _command(recipe, *words)
  assert message in capsys.readouterr().err


def test_without_the_data_their_shape_is_assumed(recipe, capsys):
  words = ["--config.data.name=no.npz", "--config.data.num_classes=7"]
  assert _command(recipe, *words) == 0
  printed = capsys.readouterr().out
  side = models.spec("mlp").image_size
  assert f"planned for images of {side}x{side}x1 and 7 classes" in printed


def test_data_on_the_device_must_exist(recipe, capsys):
  words = ["--config.data.name=no.npz", "--config.data.num_classes=7"]
  assert _command(recipe, *words, "--config.data.placement=device") == 2
  assert "the plan needs the data set 'no.npz'" in capsys.readouterr().err


def test_a_batch_too_large_for_the_warm_up_is_left_out(recipe, capsys):
  """Four epochs of 40 examples are ten steps of 16, and two of 80."""
  words = [
    "--config.train.duration=4 epochs",
    "--config.schedule.warmup=8 steps",
    *("--memory", "1", "--tries", "2"),
  ]
  assert _command(recipe, *words) == 0
  printed = capsys.readouterr().out
  assert "fits" in printed
  assert "not compiled   --config.train.batch_size=" in printed
  assert "a warm-up of 8 steps does not fit" in printed
  assert "the largest of these that fits: 16" in printed


def test_the_largest_batch_is_of_those_that_fit(recipe):
  made = plan.plan(recipe, topology="cpu:8", memory=1.0, tries=1)
  assert made.figures.fits
  compiled = [made.figures, *(each.figures for each in made.batches)]
  assert len(compiled) == 2
  fits = [each.batch_size for each in compiled if each.fits]
  assert made.largest_batch == max(fits)

"""Tests of jaxvision.plan.compilation: figures, against shapes and theory."""

import json
import os
import subprocess
import sys

import jax
import pytest
import tiny_runs

from jaxvision import training, weights
from jaxvision.plan import compilation, placeholder_data, topology

_EVERY = (("(.*/)?bias", "replicate"), (".*", "fsdp(min_size=1)"))
_WIDE = {
  "model__options": {"hidden": (512, 512)},
  "train__batch_size": 16,
  "data__validation": "",
}
# An image of 16 numbers, two hidden layers, three classes.
_BIASES = 512 + 512 + 3
_KERNELS = 16 * 512 + 512 * 512 + 512 * 3


@pytest.fixture(autouse=True, scope="module")
def _started():
  """Plans start jax with the devices that they need; the tests have eight."""
  assert len(jax.devices()) == 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("data")
  tiny_runs.write_data(path)
  return path


def _measure(folder, devices=8, **overrides):
  config = tiny_runs.load_config(folder, **{**_WIDE, **overrides})
  split = placeholder_data.open_split(config)
  return compilation.measure(
    config, split, topology.devices(f"cpu:{devices}"), capacity=2**30
  )


def test_the_size_of_the_state_follows_from_the_shapes(folder):
  figures = _measure(
    folder,
    optimizer__name="adamw",
    precision__optimizer="bfloat16",
    ema__decay=0.9,
  )
  count = _KERNELS + _BIASES
  assert figures.state["parameters"] == 4 * count
  assert figures.state["average"] == 4 * count
  # Two moments, and one or two step counters.
  assert 0 <= figures.state["optimizer"] - 2 * 2 * count <= 16
  assert figures.state["batch"] == 16 // 8 * (16 + 4 + 4)


@pytest.mark.slow
@pytest.mark.parametrize("stored", [False, True])
def test_teachers_count_without_being_loaded(
  folder, tmp_path, monkeypatch, stored
):
  recipe = str(folder / "recipe.py")
  tiny_runs.load_config(folder)
  training.train(
    recipe, workdir=tmp_path / "teacher", overrides={"ema.decay": 0}
  )
  monkeypatch.setattr(weights, "load", None)
  figures = _measure(
    folder,
    task__name="distillation",
    task__teachers=(str(tmp_path / "teacher"),),
    task__teacher_logits=str(tmp_path / "logits") if stored else "",
  )
  size = 4 * (16 * 8 + 8 + 8 * 3 + 3)
  logits = 2 * 3 * 4 if stored else 0
  assert figures.state["constants"] == (0 if stored else size)
  assert figures.state["batch"] == 16 // 8 * (16 + 4 + 4) + logits
  assert not (tmp_path / "logits").exists()


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_split_state_falls_with_the_devices(folder, devices):
  figures = _measure(
    folder, devices, mesh__fsdp=devices, mesh__rules=_EVERY, ema__decay=0.9
  )
  expected = 4 * (_KERNELS // devices + _BIASES)
  assert figures.state["parameters"] == expected
  assert figures.state["average"] == expected
  assert figures.mesh == {"replica": 1, "data": 1, "fsdp": devices}


@pytest.mark.parametrize("devices", [2, 8])
def test_whole_state_sends_two_gradients(folder, devices):
  sent = _measure(folder, devices).sent
  theory = 2 * 4 * (_KERNELS + _BIASES) * (devices - 1) / devices
  assert sent.keys() == {"all-reduce"}
  assert theory <= sent["all-reduce"]["bytes"] < 1.001 * theory + 200


def test_split_state_gathers_parameters_and_nothing_else(folder):
  """For the forward pass and, except in the first layer, the backward pass.

  XLA:CPU has no reduce-scatter: it all-reduces gradients.
  """
  sent = _measure(folder, mesh__fsdp=8, mesh__rules=_EVERY).sent
  gathered = sent["all-gather"]["bytes"] / (4 * _KERNELS * 7 / 8)
  assert 0.9 < gathered < 2.1
  reduced = sent["all-reduce"]["bytes"] / (2 * 4 * _KERNELS * 7 / 8)
  assert 0.9 < reduced < 1.1
  assert sent.keys() <= {"all-gather", "all-reduce", "all-to-all"}


def test_products_are_those_of_three_passes(folder):
  """The first layer has no gradient of its inputs."""
  forward = 2 * _KERNELS * 16 / 8
  without = 2 * 16 * 512 * 16 / 8
  assert _measure(folder).flops == pytest.approx(3 * forward - without)


def test_data_on_the_device_count(folder):
  figures = _measure(
    folder, data__placement="device", train__steps_per_dispatch=3
  )
  assert figures.state["batch"] == 41 * (16 + 4 + 4)
  plain = _measure(folder)
  assert figures.flops == pytest.approx(plain.flops)


def test_together_is_the_sum_and_decides(folder):
  figures = _measure(folder)
  parts = sum(figures.state.values()) + figures.padding + figures.temporaries
  assert figures.total == parts + figures.program
  assert figures.fits
  assert figures.temporaries > 4 * _KERNELS  # At least the gradient.


@pytest.mark.parametrize(
  ("message", "gib"),
  [
    (
      "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required "
      "for HLO temporaries (20.50G) exceeds available HBM (15.75G).",
      20.5,
    ),
    (
      "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 512.0M "
      "of 15.75G hbm. Exceeded hbm capacity by 4.80G.",
      0.5,
    ),
    ("RESOURCE_EXHAUSTED: something else", 0),
  ],
)
def test_the_needed_memory_is_read_from_the_error(message, gib):
  assert compilation.needed(message) == gib * 2**30


def test_an_out_of_memory_error_becomes_figures(folder, monkeypatch):
  def refuse(self):
    raise jax.errors.JaxRuntimeError(
      "RESOURCE_EXHAUSTED: HLO temporaries (3.00G) exceeds available HBM (1G)"
    )

  monkeypatch.setattr(jax.stages.Lowered, "compile", refuse)
  figures = _measure(folder)
  assert not figures.fits
  assert figures.total == 3 * 2**30
  assert figures.sent == {}


@pytest.mark.slow
def test_a_vision_transformer_on_a_slice_of_tpus(folder):
  """Three parameters are sent, in bfloat16; in a new process.

  The barriers that the tests keep for XLA:CPU do not compile for TPUs.
  """
  pytest.importorskip("libtpu", reason="needs libtpu: the extra tpu-plan")
  tiny_runs.load_config(folder)
  path = folder / "plan.json"
  options = "{'scan_layers': True, 'patch_size': 4, 'pool': 'mean'}"
  subprocess.run(
    [
      *(sys.executable, "-m", "jaxvision", "plan", "--json", str(path)),
      *("--config", str(folder / "recipe.py"), "--topology", "v5e:4x4"),
      *("--mesh", "fsdp=16", "--tries", "0"),
      *("--config.model.name=vit_ti16", f"--config.model.options={options}"),
      "--config.precision.compute=bfloat16",
      *("--config.train.batch_size=64", "--config.data.validation="),
    ],
    check=True,
    env={k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    | {"XDG_CACHE_HOME": str(folder / "cache")},
  )
  figures = json.loads(path.read_text("utf-8"))["figures"]
  sent = sum(each["bytes"] for each in figures["sent"].values())
  # Parameters are kept in float32, a sixteenth on each chip.
  parameters = 2 * 16 * figures["state"]["parameters"] / 4
  assert 2.5 < sent / parameters < 3.5

"""Tests of forward: the switches of a run, alone and together.

Meshes, accumulation and rematerialisation do not change the numbers, up to a
tolerance: 1e-5 of the largest parameter of an array after 6 steps in float32,
0.02 for products in bfloat16.
"""

import functools
import itertools

import jax
import numpy as np
import pytest
import tiny_runs

from jaxvision import checkpoint, inference, training, trees
from jaxvision.training import setup
from jaxvision.training.loop import compilation
from jaxvision.training.setup import initial_state

SMALL = ((".*", "fsdp(min_size=1)"),)
MODELS = {
  "mlp": {"model__options": {"hidden": (32,)}},
  "vit": {
    "model__name": "vit_ti16",
    "model__options": {
      "patch_size": 4,
      "width": 16,
      "depth": 2,
      "mlp_dim": 32,
      "num_heads": 2,
    },
  },
}
SWITCHES = {
  "accumulate": {"train__accumulate": 4},
  "remat": {"train__remat": "products"},
  "fsdp": {"mesh__fsdp": 4, "mesh__rules": SMALL},
  "ema": {"ema__decay": 0.9},
}
COMBINATIONS = [
  on
  for count in range(1, len(SWITCHES) + 1)
  for on in itertools.combinations(SWITCHES, count)
]
# Each switch alone, and all together; the others are slow tests.
QUICK = [on for on in COMBINATIONS if len(on) in (1, len(SWITCHES))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("data")
  tiny_runs.write_data(path, sizes={"train": 70, "validation": 40})
  return path


def _config(folder, model, **overrides):
  return tiny_runs.load_config(
    folder,
    **MODELS[model],
    train__batch_size=32,
    optimizer__options={"momentum": 0.9},
    **overrides,
  )


def _prepare(folder, model, *, devices=None, **overrides):
  config = _config(folder, model, **overrides)
  splits = setup.open_splits(config)
  return setup.prepare(config, splits, devices=devices)


def _run(parts, state=None):
  """The state after the last step, on the host."""
  step, feed, _ = compilation.compile_step(parts)
  state = parts.init() if state is None else state
  for _, batch in feed(int(state.step)):
    state, _ = step(state, batch)
  return jax.device_get(state)


def _assert_close(found, expected, *, tolerance=1e-5):
  leaves = trees.flatten(found)
  for path, leaf in trees.flatten(expected).items():
    # The gradient of a key's bias is 0, but for rounding.
    scale = max(np.abs(leaf).max(), 1e-3)
    np.testing.assert_allclose(
      leaves[path], leaf, atol=tolerance * scale, err_msg=path
    )


@functools.cache
def _plain(folder, model, compute):
  return _run(
    _prepare(folder, model, precision__compute=compute, **SWITCHES["ema"])
  )


@pytest.mark.matrix(every=5)
@pytest.mark.parametrize(
  ("compute", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.02)]
)
@pytest.mark.parametrize(
  "on",
  [
    pytest.param(on, marks=[] if on in QUICK else [pytest.mark.slow])
    for on in COMBINATIONS
  ],
  ids="+".join,
)
def test_switches_change_nothing_alone_and_together(
  folder, on, compute, tolerance
):
  switches = {k: v for name in on for k, v in SWITCHES[name].items()}
  parts = _prepare(folder, "mlp", precision__compute=compute, **switches)
  found, expected = _run(parts), _plain(folder, "mlp", compute)
  _assert_close(found.params, expected.params, tolerance=tolerance)
  if "ema" in on:
    _assert_close(found.ema, expected.ema, tolerance=tolerance)
  else:
    assert found.ema == {}


@pytest.mark.slow
@pytest.mark.parametrize("on", [tuple(SWITCHES)], ids="+".join)
@pytest.mark.parametrize(
  "remat", ["blocks", pytest.param("products", marks=[pytest.mark.slow])]
)
def test_all_switches_of_a_transformer(folder, on, remat):
  switches = {k: v for name in on for k, v in SWITCHES[name].items()}
  parts = _prepare(folder, "vit", **switches | {"train__remat": remat})
  expected = _plain(folder, "vit", "float32")
  _assert_close(_run(parts).variables, expected.variables)


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize(
  ("devices", "sizes"),
  [
    (1, {}),
    (4, {"fsdp": 4}),
    (8, {"fsdp": 8}),
    (8, {"fsdp": 2}),
    (8, {"replica": 2, "fsdp": 2}),
  ],
  ids=str,
)
def test_any_mesh_makes_the_same_parameters(folder, devices, sizes):
  mesh = {f"mesh__{axis}": size for axis, size in sizes.items()}
  parts = _prepare(
    folder,
    "mlp",
    devices=jax.devices()[:devices],
    mesh__rules=SMALL,
    **mesh,
    **SWITCHES["ema"],
  )
  assert parts.mesh.size == devices
  _assert_close(_run(parts), _plain(folder, "mlp", "float32"))


def test_a_run_resumes_on_other_devices_and_another_mesh(folder, tmp_path):
  """On 4 of 8 devices, with a split state; the restored state is identical."""
  overrides = {"mesh__rules": SMALL, **SWITCHES["ema"]}
  first = _prepare(folder, "mlp", **overrides)
  step, feed, _ = compilation.compile_step(first)
  state = first.init()
  for number, batch in feed(0):
    state, _ = step(state, batch)
    if number == 3:
      break
  with checkpoint.open_manager(tmp_path) as manager:
    checkpoint.save(manager, 3, state, {"step": 3})
  later = _prepare(
    folder, "mlp", devices=jax.devices()[:4], mesh__fsdp=4, **overrides
  )
  with checkpoint.open_manager(tmp_path) as manager:
    restored, _ = checkpoint.restore(manager, later.template)
  jax.tree.map(np.testing.assert_array_equal, restored, state)
  kernel = restored.params["hidden_0"]["kernel"]
  assert len(kernel.sharding.device_set) == 4
  assert not kernel.sharding.is_fully_replicated
  _assert_close(_run(later, restored), _plain(folder, "mlp", "float32"))


@pytest.mark.slow
def test_a_split_run_is_trained_measured_and_read_back(folder, tmp_path):
  """By all users of variables: evaluations, probes, pictures, `predict`.

  Its metrics equal those of a run with a replicated state.
  """
  overrides = {
    "model.options": {"hidden": (32,)},
    "train.batch_size": 8,
    "evaluate.probes": ("knn(k=3)", "pixels/ridge"),
    "ema.decay": 0.9,
    "log.tensorboard": False,
  }
  tiny_runs.load_config(folder)  # writes the recipe
  results = {
    fsdp: training.train(
      str(folder / "recipe.py"),
      workdir=tmp_path / str(fsdp),
      overrides={**overrides, "mesh.fsdp": fsdp, "mesh.rules": SMALL},
    )
    for fsdp in (1, 8)
  }
  one, eight = (result["final"]["metrics"] for result in results.values())
  assert eight == pytest.approx(one, rel=1e-4)
  run = inference.load_run(tmp_path / "8")
  kernel = run.variables["params"]["hidden_0"]["kernel"]
  assert kernel.sharding.spec == jax.P(None, "fsdp")
  measured = inference.evaluate(run, role="validation").metrics
  assert measured == pytest.approx(eight, rel=1e-4)
  overrides = {
    "model__weights": str(tmp_path / "8"),
    "mesh__fsdp": 8,
    "mesh__rules": SMALL,
  }
  config = _config(folder, "mlp", **overrides)
  state = initial_state.make_state(
    config, setup.prepare(config, setup.open_splits(config))
  )
  assert (
    state.params["hidden_0"]["kernel"].sharding.spec == kernel.sharding.spec
  )
  np.testing.assert_array_equal(state.params["hidden_0"]["kernel"], kernel)

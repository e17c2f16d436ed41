"""Tests of precision: types of parameters, products and states."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_runs

from jaxvision import models, optimizers, training
from jaxvision.runs import metrics_log
from jaxvision.training.loop import compilation, train_loop
from jaxvision.training.setup import precision

SHORT = "bfloat16"


@pytest.fixture
def folder(tmp_path):
  tiny_runs.write_data(tmp_path)
  return tmp_path


def _types(tree):
  """The types of the floating-point arrays."""
  leaves = [leaf.dtype for leaf in jax.tree.leaves(tree) if leaf.ndim]
  return {str(each) for each in leaves if jnp.issubdtype(each, jnp.floating)}


def _run(folder, **overrides):
  """The state after 6 steps, and the last loss."""
  parts = tiny_runs.prepare(
    folder, optimizer__options={"momentum": 0.9}, ema__decay=0.9, **overrides
  )
  step, feed, _ = compilation.compile_step(parts)
  state = parts.init()
  for _, batch in feed(0):
    state, sums = step(state, batch)
  return parts, state, float(sums["loss"][0])


def test_by_default_everything_is_float32(folder):
  parts, state, _ = _run(folder)
  assert _types(state) == {"float32"}
  assert parts.model.dtype == "float32"
  assert precision.optimizer_state(tiny_runs.load_config(folder)) is None


@pytest.mark.matrix(every=4)
@pytest.mark.parametrize(
  ("keys", "params", "state", "model"),
  [
    (("compute",), "float32", "float32", SHORT),
    (("optimizer",), "float32", SHORT, "float32"),
    (("parameters",), SHORT, "float32", "float32"),
    (("parameters", "compute", "output", "optimizer"), SHORT, SHORT, SHORT),
  ],
)
def test_each_type_is_that_of_its_key(folder, keys, params, state, model):
  """The average is float32; the loss equals that of float32 to 8 bits."""
  overrides = {f"precision__{key}": SHORT for key in keys}
  parts, found, loss = _run(folder, **overrides)
  assert _types(found.params) == {params}
  assert _types(found.opt_state) == {state}
  assert _types(found.ema) == {"float32"}
  assert parts.model.dtype == model
  assert loss == pytest.approx(_run(folder)[2], rel=0.02)


def test_float16_is_for_products_and_scales_the_loss(folder):
  parts, found, loss = _run(folder, precision__compute="float16")
  assert parts.model.dtype == "float16"
  assert _types(found) == {"float32"}
  assert found.opt_state.scale == 2.0**16 and found.opt_state.good == 6
  assert loss == pytest.approx(_run(folder)[2], rel=0.005)
  for key in ("parameters", "output", "optimizer"):
    with pytest.raises(ValueError, match=rf"precision\.{key} 'float16'"):
      tiny_runs.prepare(folder, **{f"precision__{key}": "float16"})


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp", "resnet18", "vit_ti16"])
def test_a_run_in_float16_that_is_stopped_ends_as_without_a_stop(folder, model):
  tiny_runs.load_config(folder)
  options = {
    "mlp": {"hidden": (8,)},
    "resnet18": {"blocks": (1,), "features": 4, "stem": "small"},
    "vit_ti16": {"patch_size": 2, "width": 8, "depth": 1, "num_heads": 2},
  }
  run = functools.partial(
    training.train,
    str(folder / "recipe.py"),
    overrides={
      "model.name": model,
      "model.options": options[model],
      "precision.compute": "float16",
      "evaluate.every": "4 steps",
      "log.every": "1 steps",
    },
  )
  whole = run(workdir=folder / "whole")
  with pytest.raises(train_loop.Preempted):
    run(workdir=folder / "run", watch=tiny_runs.stopped_at(4))
  assert run(workdir=folder / "run")["fingerprint"] == whole["fingerprint"]
  lines = metrics_log.read_metrics(folder / "run")
  scales = [each["loss_scale"] for each in lines if "loss_scale" in each]
  assert scales == [2.0**16] * 6


@pytest.mark.parametrize("name", ["linear", "resnet18", "vit_ti16"])
def test_every_model_computes_in_the_type(folder, name):
  config = tiny_runs.load_config(
    folder,
    model__name=name,
    model__options={},
    precision__compute=SHORT,
  )
  assert precision.model_options(config) == {"dtype": SHORT}
  assert models.create(name, num_classes=3, dtype=SHORT).dtype == SHORT


def test_the_models_own_option_must_not_contradict(folder):
  options = {"model__options": {"dtype": "float32"}}
  config = tiny_runs.load_config(folder, precision__compute=SHORT, **options)
  with pytest.raises(ValueError, match="but model"):
    precision.model_options(config)
  config = tiny_runs.load_config(folder, **options)
  assert precision.model_options(config) == {"dtype": "float32"}


def test_logits_have_the_type_of_the_output(folder):
  logits = {}
  for name in ("float32", SHORT):
    parts = tiny_runs.prepare(folder, precision__output=name)
    batch = parts.batches["validation"].at(0)
    _, logits[name] = jax.jit(parts.task.evaluate)(
      parts.init().variables, batch
    )
  short = logits["float32"].astype(SHORT).astype(jnp.float32)
  np.testing.assert_allclose(logits[SHORT], short, rtol=0.01)
  assert not np.array_equal(logits["float32"], logits[SHORT])
  np.testing.assert_array_equal(
    logits[SHORT], logits[SHORT].astype(SHORT).astype(jnp.float32)
  )


@pytest.mark.parametrize(
  "key", ["parameters", "compute", "output", "optimizer"]
)
def test_an_unknown_type_is_an_error(folder, key):
  with pytest.raises(ValueError, match=rf"precision\.{key} 'bfloat61'; did"):
    tiny_runs.prepare(folder, **{f"precision__{key}": "bfloat61"})


def test_a_step_computes_in_float32_for_any_stored_type():
  """Small updates are lost only if parameters have few bits."""
  params = {"w": jnp.full(4, 256.0)}
  gradients = {"w": jnp.full(4, 0.125)}
  optimizer = optimizers.create(
    "sgd",
    learning_rate=lambda step: 1.0,
    params=params,
    state_dtype=SHORT,
    options={"momentum": 0.5},
  )
  state = optimizer.init(params)
  assert _types(state) == {SHORT}
  for total in (0.125, 0.1875):
    updates, state = optimizer.update(gradients, state, params)
    assert _types(updates) == {"float32"}
    np.testing.assert_array_equal(updates["w"], -total)
  moved = optax.apply_updates(params, updates)
  assert float(moved["w"][0]) == 256 - 0.1875
  short = jax.tree.map(lambda x: x.astype(SHORT), params)
  assert float(optax.apply_updates(short, updates)["w"][0]) == 256

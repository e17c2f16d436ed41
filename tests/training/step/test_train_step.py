"""Tests of train_step: hand-written steps as oracles, invariances.

The model has parts that make steps hard to reproduce: batch normalisation,
dropout and augmentation on the device.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvision import (
  data,
  losses,
  optimizers,
  parallel,
  tasks,
  trees,
)
from jaxvision.training.step import init_state, train_step
from jaxvision.variables import init_variables

MEAN, STD = (0.3,), (0.4,)
_CPU = jax.devices()[0]


class Tiny(nn.Module):
  """A convolution, optional batch normalisation and dropout, a classifier."""

  num_classes: int = 3
  norm: bool = False
  dropout: float = 0.0

  @nn.compact
  def __call__(self, images, *, train):
    # A bias before the norm would have no gradient but rounding errors.
    x = nn.Conv(4, (3, 3), use_bias=not self.norm, name="conv")(images)
    if self.norm:
      x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
    x = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(x))
    return nn.Dense(self.num_classes, name="fc")(x.mean((1, 2)))


def _batch(seed=0, size=16):
  rng = np.random.default_rng(seed)
  return {
    "image": rng.integers(0, 256, (size, 6, 6, 1)).astype(np.uint8),
    "label": rng.integers(0, 3, size).astype(np.int32),
    "mask": np.ones(size, np.float32),
  }


def _task_loss(model, transforms=()):
  return tasks.create(
    "classification",
    tasks.Components(
      model,
      loss=losses.softmax,
      penalty=functools.partial(losses.penalty, l1=0.0, l2=0.0, pattern=".*"),
      device_transform=data.make_device_transform(transforms),
      normalization=data.Normalization(MEAN, STD),
    ),
  ).loss


def _make(model, *, transforms=(), ema=0.0, name="sgd", **settings):
  """(fresh state, step that is not compiled)."""
  variables = jax.jit(lambda: init_variables(model, 0, (6, 6, 1)))()
  optimizer = optimizers.create(
    name,
    learning_rate=lambda step: 0.1 / (1.0 + step),
    params=variables["params"],
    **settings,
  )
  state = init_state(variables, optimizer, ema=ema > 0)
  step = train_step.make_train_step(
    _task_loss(model, transforms), optimizer, seed=0, ema_decay=ema
  )
  return state, step


def _run(state, step, batches):
  step = jax.jit(step)
  for batch in batches:
    state, sums = step(state, batch)
  return state, sums


def _assert_close(a, b, **tolerance):
  close = functools.partial(np.testing.assert_allclose, **tolerance)
  jax.tree.map(close, a, b)


def _assert_equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def test_init_is_of_the_seed_and_of_the_shape():
  model = Tiny(norm=True)
  first, same, other = (
    jax.jit(lambda s=s: init_variables(model, s, (6, 6, 1)))()
    for s in (0, 0, 1)
  )
  assert set(first) == {"params", "batch_stats"}
  _assert_equal(first, same)
  kernels = [each["params"]["conv"]["kernel"] for each in (first, other)]
  assert not np.array_equal(*kernels)


def test_a_fresh_state():
  state, _ = _make(Tiny(norm=True), ema=0.9)
  assert int(state.step) == 0
  assert set(state.variables) == {"params", "batch_stats"}
  _assert_equal(state.ema, state.variables)
  assert _make(Tiny())[0].ema == {}


def test_the_average_does_not_share_memory_with_the_parameters():
  """Otherwise both could not be donated."""
  state, step = _make(Tiny(), ema=0.9)
  state, _ = jax.jit(step, donate_argnums=0)(state, _batch())
  assert int(state.step) == 1


def test_steps_are_those_written_by_hand():
  model = Tiny()
  state, step = _make(model, options={"momentum": 0.9})
  batches = [_batch(seed) for seed in range(3)]

  def loss(params, batch):
    images = (batch["image"] / 255.0 - MEAN[0]) / STD[0]
    logits = model.apply({"params": params}, images, train=True)
    log_p = jax.nn.log_softmax(logits)
    return -jnp.mean(log_p[jnp.arange(16), batch["label"]])

  params, trace = state.params, jax.tree.map(jnp.zeros_like, state.params)
  for i, batch in enumerate(batches):
    value, gradients = jax.value_and_grad(loss)(params, batch)
    trace = jax.tree.map(lambda t, g: 0.9 * t + g, trace, gradients)
    params = jax.tree.map(
      lambda p, t, r=0.1 / (1 + i): p - r * t, params, trace
    )
  state, sums = _run(state, step, batches)
  _assert_close(state.params, params, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(sums["loss"] / 16, value, rtol=1e-5)
  norm = np.sqrt(sum(np.sum(g**2) for g in jax.tree.leaves(gradients)))
  np.testing.assert_allclose(sums["gradient_norm"], norm, rtol=1e-5)
  assert int(sums["count"]) == 16
  assert int(state.step) == 3


def test_the_average_forgets_by_its_formula():
  """The average of parameters and batch statistics; t counts from 0."""
  state, step = _make(Tiny(norm=True), ema=0.3)
  expected = jax.tree.map(np.array, state.variables)
  for t in range(4):
    state, _ = jax.jit(step)(state, _batch(t))
    keep = min(0.3, (1 + t) / (10 + t))
    expected = jax.tree.map(
      lambda old, new, keep=keep: keep * old + (1 - keep) * np.array(new),
      expected,
      state.variables,
    )
  _assert_close(state.ema, expected, rtol=1e-5, atol=1e-6)


def test_the_same_state_and_batch_give_the_same_step():
  state, step = _make(Tiny(dropout=0.5), transforms=["random_crop(padding=1)"])
  first, second = (_run(state, step, [_batch()])[0] for _ in range(2))
  _assert_equal(first, second)


@pytest.mark.parametrize(
  ("model", "transforms"),
  [
    (Tiny(dropout=0.5), ()),
    (Tiny(), ("random_crop(padding=2)",)),
  ],
)
def test_randomness_depends_on_the_step(model, transforms):
  """It does not depend on earlier calls: only the step number differs here."""
  state, step = _make(model, transforms=transforms)
  later = state.replace(step=state.step + 1)
  # The learning rate follows the optimizer's own count, which is the same.
  losses = [_run(s, step, [_batch()])[1]["loss"] for s in (state, later)]
  assert losses[0] != losses[1]


def test_without_randomness_the_number_of_the_step_changes_nothing():
  state, step = _make(Tiny())
  later = state.replace(step=state.step + 1)
  first, second = (_run(s, step, [_batch()])[0] for s in (state, later))
  _assert_equal(first.params, second.params)


def _hard():
  return _make(
    Tiny(norm=True, dropout=0.25),
    transforms=["random_crop(padding=1)", "random_flip"],
    ema=0.9,
    options={"momentum": 0.9},
    weight_decay=0.1,
  )


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_several_steps_in_one_call_are_the_single_ones(monkeypatch, backend):
  """Unrolled, and in a lax.scan; equal up to rounding."""
  state, step = _hard()
  examples = _batch(size=40)
  rng = np.random.default_rng(1)
  indices = np.stack([rng.permutation(40)[:16] for _ in range(3)])
  single, each = jax.jit(train_step.single_step(step)), []
  for rows in indices:
    batch = {name: array[rows] for name, array in examples.items()}
    each.append(single(each[-1][0] if each else state, batch))
  monkeypatch.setattr(jax, "default_backend", lambda: backend)
  found, sums = jax.jit(train_step.scan_steps(step))(state, indices, examples)
  _assert_close(found, each[-1][0], rtol=1e-5, atol=1e-6)
  stacked = jax.tree.map(
    lambda *x: np.concatenate(x), *[sums for _, sums in each]
  )
  _assert_close(sums, stacked, rtol=1e-5)
  assert sums["loss"].shape == (3,)


def test_a_call_of_several_steps_equals_itself_in_parts():
  """Bit for bit, because a resumed run may divide the steps differently."""
  state, step = _hard()
  examples = _batch(size=40)
  indices = np.arange(64).reshape(4, 16) % 40
  steps = jax.jit(train_step.scan_steps(step))
  whole, _ = steps(
    steps(state, indices[:2], examples)[0], indices[2:], examples
  )
  copied = jax.tree.map(np.array, steps(state, indices[:2], examples)[0])
  _assert_equal(whole, steps(copied, indices[2:], examples)[0])


def test_one_device_is_eight_devices():
  """Batch statistics are of the whole batch, dropout of the whole batch too."""
  state, step = _hard()
  found = []
  for devices in (1, 8):
    mesh = parallel.make_mesh(jax.devices()[:devices])
    whole = parallel.replicated(mesh)
    compiled = jax.jit(step, out_shardings=whole)
    each = jax.device_put(state, whole)
    for seed in range(3):
      each, sums = compiled(each, parallel.put_batch(_batch(seed), mesh))
    assert each.step.sharding.is_fully_replicated
    found.append(jax.device_get((each, sums)))
  (one, one_sums), (eight, eight_sums) = found
  _assert_close(eight.variables, one.variables, rtol=1e-4, atol=1e-5)
  _assert_close(eight.ema, one.ema, rtol=1e-4, atol=1e-5)
  _assert_close(eight_sums, one_sums, rtol=1e-5)


def test_sharpness_aware_steps_follow_the_gradient_further_up():
  """Foret et al. 2021, algorithm 1, with the same dropout in both passes."""
  model = Tiny(dropout=0.5)
  state, step = _make(model, sam_radius=0.5)
  task_loss, batch = _task_loss(model), _batch()
  key = jax.random.fold_in(jax.random.key(0), 0)

  @jax.jit
  def gradient(params):
    return jax.grad(lambda p: task_loss(p, {}, batch, key)[0])(params)

  first = gradient(state.params)
  scale = 0.5 / optax.tree.norm(first)
  above = jax.tree.map(lambda p, g: p + scale * g, state.params, first)
  expected = jax.tree.map(
    lambda p, g: p - 0.1 * g, state.params, gradient(above)
  )
  found, sums = _run(state, step, [batch])
  _assert_close(found.params, expected, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(
    sums["gradient_norm"], optax.tree.norm(first), rtol=1e-5
  )


def test_masked_examples_have_no_influence():
  """For any pixels and labels; they are not in any average."""
  batch = _batch()
  batch["mask"][10:] = 0
  garbage = {name: array.copy() for name, array in batch.items()}
  garbage["image"][10:] = 255
  garbage["label"][10:] = 2
  few = {name: array[:10] for name, array in batch.items()}
  state, step = _make(Tiny())
  (a, sums_a), (b, sums_b), (c, sums_c) = (
    _run(state, step, [each]) for each in (batch, garbage, few)
  )
  _assert_equal((a, sums_a), (b, sums_b))
  _assert_close((a, sums_a), (c, sums_c), rtol=1e-5, atol=1e-7)
  assert int(sums_a["count"]) == 10


def test_a_batch_without_examples_is_no_step_and_no_nan():
  state, step = _make(Tiny())
  found, sums = _run(state, step, [_batch() | {"mask": np.zeros(16, "f4")}])
  _assert_equal(found.params, state.params)
  assert float(sums["gradient_norm"]) == 0
  assert int(sums["count"]) == 0


def test_the_state_is_donated():
  state, step = _make(Tiny(norm=True), ema=0.9)
  jax.jit(step, donate_argnums=0)(state, _batch())
  kept = [
    path for path, leaf in trees.flatten(state).items() if not leaf.is_deleted()
  ]
  assert kept == []

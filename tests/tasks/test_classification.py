"""Tests of jaxvision.tasks.classification against plain numpy."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import data, losses, models, tasks

MEAN, STD = (0.2,), (0.5,)


class Norm(nn.Module):
  """Batch normalisation, dropout, a classifier."""

  num_classes: int = 3

  @nn.compact
  def __call__(self, images, *, train):
    x = nn.BatchNorm(use_running_average=not train)(images)
    x = nn.Dropout(0.5, deterministic=not train)(x)
    return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


def _batch(masked=0):
  rng = np.random.default_rng(0)
  mask = np.ones(8, np.float32)
  mask[8 - masked :] = 0
  return {
    "image": rng.integers(0, 256, (8, 2, 2, 1)).astype(np.uint8),
    "label": rng.integers(0, 3, 8).astype(np.int32),
    "mask": mask,
  }


def _init(model):
  images = jnp.zeros((1, 2, 2, 1))
  init = functools.partial(model.init, train=False)
  variables = dict(jax.jit(init)(jax.random.key(0), images))
  # A linear model starts at zero, where all predictions are the same.
  variables["params"] = jax.tree.map(
    lambda p: jax.random.normal(jax.random.key(p.size), p.shape),
    variables["params"],
  )
  return variables.pop("params"), variables


def _task_loss(
  model, *, penalty=None, transform=None, loss=losses.softmax, rules=None
):
  return _task(
    model,
    loss=loss,
    penalty=penalty or (lambda params: jnp.zeros(())),
    device_transform=transform or (lambda key, batch: batch),
    learning_rate_rules=rules or ((".*", 1.0),),
  ).loss


def _task(model, **components):
  normalization = data.Normalization(MEAN, STD)
  return tasks.create(
    "classification",
    tasks.Components(model, normalization=normalization, **components),
  )


def _evaluate(model, loss=losses.softmax):
  return jax.jit(_task(model, loss=loss).evaluate)


def _by_hand(params, batch):
  """Logits and losses (8,) of the linear model in float64."""
  pixels = batch["image"].reshape(8, -1) / 255.0
  pixels = (pixels - MEAN[0]) / STD[0]
  head = jax.tree.map(lambda p: np.asarray(p, np.float64), params["head"])
  logits = pixels @ head["kernel"] + head["bias"]
  log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  return logits, -log_p[np.arange(8), batch["label"]]


@pytest.mark.parametrize("masked", [0, 3])
def test_the_loss_is_the_mean_over_the_examples_that_count(masked):
  model = models.create("linear", num_classes=3)
  (params, state), batch = _init(model), _batch(masked)
  logits, by_hand = _by_hand(params, batch)
  scalar, (state, sums) = jax.jit(_task_loss(model))(
    params, state, batch, jax.random.key(0)
  )
  counted = batch["mask"] > 0
  correct = (logits.argmax(-1) == batch["label"])[counted].sum()
  np.testing.assert_allclose(scalar, by_hand[counted].mean(), rtol=1e-5)
  np.testing.assert_allclose(sums["loss"], by_hand[counted].sum(), rtol=1e-5)
  assert int(sums["count"]) == 8 - masked
  assert int(sums["top1"]) == correct
  assert state == {}


def test_the_penalty_is_minimised_but_not_reported():
  model = models.create("linear", num_classes=3)
  (params, state), batch = _init(model), _batch()
  key = jax.random.key(0)
  plain, (_, sums) = _task_loss(model)(params, state, batch, key)
  penalty = functools.partial(
    losses.penalty, l1=0.0, l2=2.0, pattern=".*kernel"
  )
  more, (_, more_sums) = _task_loss(model, penalty=penalty)(
    params, state, batch, key
  )
  kernel = np.asarray(params["head"]["kernel"])
  np.testing.assert_allclose(more - plain, np.sum(kernel**2), rtol=1e-5)
  assert more_sums["loss"] == sums["loss"]


class Twice(nn.Module):
  """A classifier, and an auxiliary classifier that exists only in training."""

  num_classes: int = 3

  @nn.compact
  def __call__(self, images, *, train):
    x = images.reshape(len(images), -1)
    auxiliary = nn.Dense(self.num_classes, name="auxiliary")(x)
    if train:
      self.sow("auxiliary", "logits", auxiliary)
    return nn.Dense(self.num_classes, name="head")(x)


@pytest.mark.parametrize("masked", [0, 3])
def test_auxiliary_logits_are_learned_but_not_reported(masked):
  model = Twice()
  (params, state), batch = _init(model), _batch(masked)
  task_loss = _task(model, loss=losses.softmax, auxiliary_weight=0.25).loss
  compute = jax.jit(jax.value_and_grad(task_loss, has_aux=True))
  (scalar, (state, sums)), gradient = compute(
    params, state, batch, jax.random.key(0)
  )
  counted = batch["mask"] > 0
  (_, main), (_, auxiliary) = (
    _by_hand({"head": params[name]}, batch) for name in ("head", "auxiliary")
  )
  both = main + 0.25 * auxiliary
  np.testing.assert_allclose(scalar, both[counted].mean(), rtol=1e-5)
  np.testing.assert_allclose(sums["loss"], main[counted].sum(), rtol=1e-5)
  assert state == {}
  assert np.abs(gradient["auxiliary"]["kernel"]).max() > 1e-3


def test_the_transform_gets_normalised_images_and_distributions():
  model = models.create("linear", num_classes=3)
  (params, state), batch = _init(model), _batch()
  seen = []

  def transform(key, batch):
    seen.append(batch)
    return {**batch, "image": jnp.zeros_like(batch["image"])}

  _, (_, sums) = _task_loss(model, transform=transform)(
    params, state, batch, jax.random.key(0)
  )
  images = (batch["image"] / 255.0 - MEAN[0]) / STD[0]
  np.testing.assert_allclose(seen[0]["image"], images, rtol=1e-5, atol=1e-6)
  np.testing.assert_array_equal(seen[0]["targets"], np.eye(3)[batch["label"]])
  # The model gets the result of the transform: now only the bias is left.
  bias = np.asarray(params["head"]["bias"])
  log_p = bias - np.log(np.exp(bias).sum())
  expected = -log_p[batch["label"]].sum()
  np.testing.assert_allclose(sums["loss"], expected, rtol=1e-5)


def test_a_transform_may_mix_the_targets():
  model = models.create("linear", num_classes=3)
  (params, state), batch = _init(model), _batch()

  def flatten(key, batch):
    return {**batch, "targets": jnp.full((8, 3), 1 / 3)}

  _, (_, sums) = _task_loss(model, transform=flatten)(
    params, state, batch, jax.random.key(0)
  )
  logits, _ = _by_hand(params, batch)
  log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  np.testing.assert_allclose(sums["loss"], -log_p.mean(-1).sum(), rtol=1e-5)


def test_accuracy_is_that_of_the_labels_and_not_of_mixed_targets():
  model = models.create("linear", num_classes=3)
  (params, state), batch = _init(model), _batch()

  def swap(key, batch):
    return {**batch, "targets": jnp.roll(batch["targets"], 1, axis=-1)}

  _, (_, sums) = _task_loss(model, transform=swap)(
    params, state, batch, jax.random.key(0)
  )
  logits, _ = _by_hand(params, batch)
  assert int(sums["top1"]) == (logits.argmax(-1) == batch["label"]).sum()


def test_training_updates_the_statistics_and_drops_units():
  model = Norm()
  (params, state), batch = _init(model), _batch()
  task_loss = jax.jit(_task_loss(model))
  found = [task_loss(params, state, batch, jax.random.key(i)) for i in (0, 1)]
  images = (batch["image"] / 255.0 - MEAN[0]) / STD[0]
  mean = found[0][1][0]["batch_stats"]["BatchNorm_0"]["mean"]
  np.testing.assert_allclose(mean, 0.01 * images.mean((0, 1, 2)), rtol=1e-4)
  assert found[0][0] != found[1][0]


def test_frozen_layers_get_no_gradient_and_keep_their_statistics():
  model = Norm()
  (params, state), batch = _init(model), _batch()
  state = jax.tree.map(lambda x: x + 1.0, state)
  task_loss = _task_loss(model, rules=(("BatchNorm.*", None), (".*", 1.0)))
  compute = jax.jit(jax.grad(task_loss, has_aux=True))
  gradient, (after, _) = compute(params, state, batch, jax.random.key(0))
  jax.tree.map(np.testing.assert_array_equal, after, state)
  assert not np.any(gradient["BatchNorm_0"]["scale"])
  assert np.any(gradient["Dense_0"]["kernel"])


def test_evaluation_neither_updates_nor_drops():
  model = Norm()
  (params, state), batch = _init(model), _batch()
  variables = {"params": params, **state}
  sums, logits = _evaluate(model)(variables, batch)
  images = (batch["image"] / 255.0 - MEAN[0]) / STD[0]
  expected = model.apply(variables, images.astype(np.float32), train=False)
  np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
  assert int(sums["count"]) == 8


@pytest.mark.parametrize("masked", [0, 3])
def test_evaluation_sums_unmasked_examples(masked):
  model = models.create("linear", num_classes=3)
  (params, _), batch = _init(model), _batch(masked)
  sums, logits = _evaluate(model)({"params": params}, batch)
  by_hand, losses_by_hand = _by_hand(params, batch)
  counted = batch["mask"] > 0
  np.testing.assert_allclose(logits, by_hand, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(
    sums["loss"], losses_by_hand[counted].sum(), rtol=1e-5
  )
  assert np.sum(sums["confusion"]) == 8 - masked


def test_a_masked_example_may_have_an_infinite_loss():
  model = models.create("linear", num_classes=3)
  (params, _), batch = _init(model), _batch(1)

  def infinite_at_the_end(logits, targets):
    return jnp.arange(8.0).at[7].set(jnp.inf)

  sums, _ = _evaluate(model, infinite_at_the_end)({"params": params}, batch)
  assert float(sums["loss"]) == 21

"""Tests of accumulation: parts have the gradient of the whole."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import parallel
from jaxvision.layers import norms
from jaxvision.training.step import accumulation

SIZE = 16
EVERY = np.ones(SIZE, np.float32)
# Parts of different counts, and with 4 parts one without examples.
SOME = np.asarray([1, 0, 1, 1, 1, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1], np.float32)


def _batch(mask=EVERY):
  rng = np.random.default_rng(0)
  return {
    "image": rng.normal(size=(SIZE, 5)).astype(np.float32),
    "label": rng.integers(0, 3, SIZE),
    "mask": mask,
  }


def _params(dtype="float32"):
  kernel = np.random.default_rng(1).normal(size=(5, 3))
  return {"kernel": jnp.asarray(kernel, dtype)}


def _task_loss(params, model_state, batch, key):
  """A masked mean, with a penalty that does not depend on the examples."""
  del key
  log_p = jax.nn.log_softmax(batch["image"] @ params["kernel"])
  losses = -jnp.take_along_axis(log_p, batch["label"][:, None], axis=1)[:, 0]
  total = jnp.sum(jnp.where(batch["mask"] > 0, losses, 0.0))
  count = batch["mask"].sum()
  penalty = 0.1 * jnp.sum(params["kernel"].astype(jnp.float32) ** 2)
  sums = {"loss": total, "count": count.astype(jnp.int32)}
  return total / jnp.maximum(count, 1) + penalty, (model_state, sums)


def _gradient(task_loss, parts, batch, *, params=None, state=None):
  gradient = accumulation.make_gradient(task_loss, parts=parts)
  params = _params() if params is None else params
  key = jax.random.key(3)
  return jax.jit(gradient)(params, {} if state is None else state, batch, key)


@pytest.mark.matrix(every=4)
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("mask", [EVERY, SOME, 0 * EVERY], ids=["1", "?", "0"])
@pytest.mark.parametrize("parts", [2, 4, 16])
def test_parts_make_the_gradient_of_the_batch(
  parts, mask, backend, monkeypatch
):
  """For any masks; unrolled and as a loop."""
  expected, (_, sums) = _gradient(_task_loss, 1, _batch(mask))
  monkeypatch.setattr(jax, "default_backend", lambda: backend)
  found, (_, added) = _gradient(_task_loss, parts, _batch(mask))
  np.testing.assert_allclose(
    found["kernel"], expected["kernel"], rtol=1e-5, atol=1e-7
  )
  assert int(added["count"]) == int(mask.sum())
  np.testing.assert_allclose(added["loss"], sums["loss"], rtol=1e-5)
  assert added["count"].dtype == sums["count"].dtype


def _seeing(observe):
  """A task loss that records its inputs of each part in the model's state."""

  def task_loss(params, model_state, batch, key):
    loss, (_, sums) = _task_loss(params, {}, batch, key)
    return loss, (observe(model_state, batch, key), sums)

  return task_loss


def test_part_i_of_n_has_every_nth_example_from_i_on():
  """The mean over the parts of a one-hot vector of the examples in place."""
  number = {"image": np.arange(SIZE, dtype=np.float32)[:, None] * np.ones(5)}
  batch = {**_batch(), **{k: v.astype("f4") for k, v in number.items()}}
  task_loss = _seeing(lambda state, part, key: {"seen": part["image"][:, 0]})
  _, (state, _) = _gradient(task_loss, 4, batch, state={"seen": jnp.zeros(4)})
  parts = np.arange(SIZE).reshape(4, 4).T
  np.testing.assert_allclose(state["seen"], parts.mean(axis=0))


def test_parts_begin_with_the_same_state_and_its_mean_is_kept():
  task_loss = _seeing(
    lambda state, part, key: {"mean": 0.9 * state["mean"] + part["image"].sum()}
  )
  batch = _batch()
  before = {"mean": jnp.asarray(2.0)}
  _, (state, _) = _gradient(task_loss, 4, batch, state=before)
  expected = 0.9 * 2 + batch["image"].sum() / 4
  np.testing.assert_allclose(state["mean"], expected, rtol=1e-5)


def test_every_part_has_a_different_key():
  task_loss = _seeing(lambda state, part, key: {"u": jax.random.uniform(key)})
  _, (state, _) = _gradient(task_loss, 4, _batch(), state={"u": jnp.zeros(())})
  keys = [jax.random.fold_in(jax.random.key(3), part) for part in range(4)]
  drawn = [jax.random.uniform(key) for key in keys]
  assert len({float(each) for each in drawn}) == 4
  np.testing.assert_allclose(state["u"], np.mean(drawn), rtol=1e-6)


def test_gradients_of_bfloat16_parameters_are_summed_in_float32():
  params = _params("bfloat16")
  whole, _ = _gradient(_task_loss, 1, _batch(), params=params)
  assert whole["kernel"].dtype == jnp.bfloat16
  found, _ = _gradient(_task_loss, 16, _batch(), params=params)
  assert found["kernel"].dtype == jnp.float32
  exact, _ = _gradient(
    _task_loss, 1, _batch(), params=jax.tree.map(jnp.float32, params)
  )
  np.testing.assert_allclose(found["kernel"], exact["kernel"], atol=0.01)


class Normed(nn.Module):
  """Batch normalisation and a classifier."""

  norm: str

  @nn.compact
  def __call__(self, images):
    create = norms.create(self.norm, train=True, dtype="float32")
    return nn.Dense(3)(create(name="bn")(images))


def test_batch_normalisation_becomes_that_of_ghosts():
  """Over each part; running averages are updated once, by the mean."""

  def of(norm):
    model = Normed(norm)

    def task_loss(params, model_state, batch, key):
      logits, model_state = model.apply(
        {"params": params, **model_state},
        batch["image"],
        mutable=["batch_stats"],
      )
      loss, (_, sums) = _task_loss(
        {"kernel": jnp.eye(3)}, {}, {**batch, "image": logits}, key
      )
      return loss, (dict(model_state), sums)

    return model, task_loss

  model, in_parts = of("batch_norm")
  _, of_ghosts = of("ghost_batch_norm(4)")
  batch = _batch()
  variables = model.init(jax.random.key(0), batch["image"])
  params, state = variables["params"], {"batch_stats": variables["batch_stats"]}
  found = _gradient(in_parts, 4, batch, params=params, state=state)
  # The examples of a ghost are neighbours, those of a part are not.
  order = np.arange(SIZE).reshape(4, 4).T.reshape(-1)
  ordered = {name: array[order] for name, array in batch.items()}
  expected = _gradient(of_ghosts, 1, ordered, params=params, state=state)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
    found,
    expected,
  )


def test_a_device_has_its_share_of_every_part():
  """Splitting the batch into parts moves no data between devices."""
  mesh = parallel.make_mesh()
  split = parallel.batch_sharding(mesh)
  parts = jax.jit(
    lambda x: accumulation.split(x, 4),
    out_shardings=parallel.batch_sharding(mesh, axis=1),
  )
  x = jax.device_put(np.arange(64.0).reshape(32, 2), split)
  text = parts.lower(x).compile().as_text()
  for kind in ("all-gather", "all-to-all", "collective-permute", "all-reduce"):
    assert kind not in text
  assert parts(x).shape == (4, 8, 2)

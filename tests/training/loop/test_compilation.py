"""Tests of compilation: the compiled step and its feed."""

import jax
import numpy as np
import pytest
import tiny_runs

from jaxvision.training.loop import compilation, feed
from jaxvision.training.step import step_key

PLACEMENTS = {
  "host": {},
  "device": {"data__placement": "device"},
  "device_in_blocks": {
    "data__placement": "device",
    "train__steps_per_dispatch": 3,
  },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("data")
  tiny_runs.write_data(path)
  return path


def _prepare(folder, placement, **overrides):
  return tiny_runs.prepare(
    folder,
    **PLACEMENTS[placement],
    data__device_transforms=("random_crop(padding=1)",),
    model__options={"hidden": (8,), "dropout": 0.5},
    **overrides,
  )


def _compile(folder, placement):
  parts = _prepare(folder, placement)
  return parts, *compilation.compile_step(parts)


def _train(parts, step, feed):
  state, losses = parts.init(), []
  for _, batch in feed(0):
    state, sums = step(state, batch)
    losses.extend(np.asarray(sums["loss"]))
  return state, losses


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize("placement", ["device", "device_in_blocks"])
def test_the_placement_of_the_data_does_not_matter(folder, placement):
  """Equal up to rounding, because the programs differ."""
  expected, losses = _train(*_compile(folder, "host")[:3])
  state, found = _train(*_compile(folder, placement)[:3])
  np.testing.assert_allclose(found, losses, rtol=1e-5)
  assert int(state.step) == 6
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
    state.params,
    expected.params,
  )


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_run_can_be_fed_from_any_call_on(folder, placement):
  parts, _, feed, _ = _compile(folder, placement)
  whole = list(feed(0))
  block = parts.steps_per_call
  assert [step for step, _ in whole] == list(range(block, 7, block))
  for done in range(0, 7, block):
    rest = list(feed(done))
    assert len(rest) == len(whole) - done // block
    for (a_step, a), (b_step, b) in zip(
      rest, whole[done // block :], strict=True
    ):
      assert a_step == b_step
      jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_state_is_donated_and_sums_have_an_axis_of_steps(folder, placement):
  parts, step, feed, memory = _compile(folder, placement)
  state = parts.init()
  _, sums = step(state, next(iter(feed(0)))[1])
  assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
  block = parts.steps_per_call
  assert {leaf.shape for leaf in jax.tree.leaves(sums)} == {(block,)}
  parameters = sum(leaf.size for leaf in jax.tree.leaves(parts.template.params))
  assert memory >= 4 * parameters


def test_batches_are_split_over_the_devices(folder):
  _, _, feed, _ = _compile(folder, "host")
  _, batch = next(iter(feed(0)))
  for array in batch.values():
    shapes = {shard.data.shape[0] for shard in array.addressable_shards}
    assert shapes == {2}


def test_the_line_up_names_the_examples_of_the_batches(folder):
  """The examples are the same as in batches of the host."""
  parts, _, feed, _ = _compile(folder, "device")
  resident = parts.batches["train"].resident()
  _, host_feed = _compile(folder, "host")[1:3]
  for (step, line_up), (_, batch) in zip(feed(0), host_feed(0), strict=True):
    for name, array in batch.items():
      np.testing.assert_array_equal(resident[name][line_up[step - 1]], array)


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize("placement", ["device", "device_in_blocks"])
def test_line_ups_follow_each_other(folder, monkeypatch, placement):
  """Short line-ups, of 4 or 3 steps, give the same training."""
  expected, losses = _train(*_compile(folder, placement)[:3])
  monkeypatch.setattr(feed, "_LINE_UP_STEPS", 4)
  found, found_losses = _train(*_compile(folder, placement)[:3])
  np.testing.assert_array_equal(found_losses, losses)
  jax.tree.map(np.testing.assert_array_equal, found.params, expected.params)


def test_a_line_up_is_sent_once(folder):
  _, _, feed, _ = _compile(folder, "device_in_blocks")
  line_ups = [line_up for _, line_up in feed(0)]
  assert len(line_ups) == 2
  assert line_ups[0] is line_ups[1]
  assert line_ups[0].shape == (6, 16)


def test_between_line_ups_nothing_is_sent(folder):
  parts, step, feed, _ = _compile(folder, "device")
  state, batches = parts.init(), feed(0)
  _, line_up = next(batches)
  with jax.transfer_guard("disallow"):
    for _, same in batches:
      state, _ = step(state, same)
  assert same is line_up
  assert int(state.step) == 5  # the first batch was not trained on


@pytest.mark.parametrize("placement", ["host", "device_in_blocks"])
def test_seeds_share_a_program(folder, placement):
  """The same text, so the compilation cache serves all seeds of a recipe."""
  programs = []
  for seed in (3, 4):
    parts = _prepare(folder, placement, seed=seed)
    assert parts.seed == seed
    resident = parts.placement == "device"
    examples = (feed.resident_template(parts),) if resident else ()
    traced = compilation.trace_step(parts, *examples)
    programs.append(traced.lower().as_text())
  assert programs[0] == programs[1]


@pytest.mark.parametrize("seed", [0, 7, 2**31, 2**32 - 1])
def test_the_key_of_a_step_is_of_the_seed(folder, seed):
  """Also of seeds that are no int32."""
  parts = _prepare(folder, "host", seed=seed)
  np.testing.assert_array_equal(
    jax.random.key_data(jax.jit(step_key)(parts.seed, 5)),
    jax.random.key_data(jax.random.fold_in(jax.random.key(seed), 5)),
  )

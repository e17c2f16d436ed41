"""The variables of a checkpoint, restored without a template of its state.

The oracle is the saved state of trainings with each optimizer.
"""

import dataclasses
import gc
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import (
  checkpoint,
  models,
  optimizers,
  parallel,
  trees,
  variables,
)
from jaxvision.checkpoint import fingerprint
from jaxvision.parallel import sharding
from jaxvision.training.step import init_state

# After the first file that it cannot read, orbax leaves the other reads to
# fail unseen; Python tells of them when it collects them.
pytestmark = pytest.mark.filterwarnings(
  "ignore:Exception ignored in. <coroutine object (_read_array|Store.):"
  "pytest.PytestUnraisableExceptionWarning"
)
_RESNET = ("resnet18", {"blocks": (1,), "features": 4, "stem": "small"})
_MLP = ("mlp", {"hidden": (8,)})
_RULES = (("hidden_0/.*", None), (".*bias", 2.0), (".*", 1.0))
# model, optimizer, its arguments, and arguments of the state
_TRAININGS = {
  "sgd": (_RESNET, "sgd", {"options": {"momentum": 0.9}}, {"ema": False}),
  "adamw": (_RESNET, "adamw", {}, {"ema": True}),
  "muon": (_MLP, "muon", {}, {"ema": True}),
  "lamb": (_MLP, "lamb", {"gradient_clip": 1.0}, {"ema": False}),
  "sharpness_aware": (_MLP, "sgd", {"sam_radius": 0.05}, {"ema": False}),
  "groups": (_MLP, "adamw", {"learning_rate_rules": _RULES}, {"ema": True}),
  "bfloat16": (
    _RESNET,
    "adamw",
    {"state_dtype": "bfloat16"},
    {"ema": True, "dtype": "bfloat16"},
  ),
}


def _template(training):
  """The shapes of a state that is split over eight devices."""
  (name, options), optimizer, arguments, of_state = _TRAININGS[training]
  model = models.create(name, num_classes=3, **options)
  shapes = variables.variable_shapes(model, image_shape=(8, 8, 1))
  chain = optimizers.create(
    optimizer,
    learning_rate=lambda step: 0.1,
    params=shapes["params"],
    weight_decay=0.1,
    **arguments,
  )
  state = jax.eval_shape(
    lambda drawn: init_state(drawn, chain, **of_state), shapes
  )
  mesh = parallel.make_mesh(fsdp=4)
  rules = ((".*", "fsdp(min_size=1)"),)
  shardings = sharding.of_state(state, state.params, mesh, rules=rules)
  return jax.tree.map(
    lambda a, where: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where),
    state,
    shardings,
  )


def _drawn(template):
  """A state like the template; all leaves differ."""
  rng = np.random.default_rng(0)

  def draw(leaf):
    values = jnp.asarray(rng.uniform(1, 100, leaf.shape), leaf.dtype)
    return jax.device_put(values, leaf.sharding)

  return jax.tree.map(draw, template)


def _save(folder, state, *, step=3):
  with checkpoint.open_manager(folder) as manager:
    checkpoint.save(manager, step, state, {"step": step})


def _restore(folder, *, step=3):
  with checkpoint.open_saved(folder) as manager:
    return checkpoint.restore_variables(manager, step)


@pytest.mark.matrix("adamw", "groups")
@pytest.mark.parametrize("training", _TRAININGS)
def test_restored_variables_equal_those_of_the_state(tmp_path, training):
  state = _drawn(_template(training))
  _save(tmp_path, state)
  expected = state.ema or state.variables
  assert bool(state.ema) == _TRAININGS[training][-1]["ema"]
  found = _restore(tmp_path)
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  for path, leaf in trees.flatten(found).items():
    saved = np.asarray(trees.flatten(expected)[path])
    assert type(leaf) is np.ndarray
    assert leaf.dtype == saved.dtype
    assert leaf.tobytes() == saved.tobytes()


@pytest.fixture
def saved(tmp_path):
  """A workdir with one checkpoint, and its variables."""
  state = _drawn(_template("groups"))
  _save(tmp_path, state)
  yield tmp_path, state
  gc.collect()


@pytest.mark.parametrize("part", ["ema", "params", "opt_state"])
def test_a_flipped_bit_of_any_part_is_refused(saved, part):
  """Also in parts that are not returned, as in `restore_step`."""
  folder, state = saved
  leaves, structure = jax.tree.flatten(getattr(state, part))
  bits = np.asarray(leaves[-1]).copy()
  bits.view(np.uint32).flat[-1] ^= 1
  damaged = jax.device_put(bits, leaves[-1].sharding)
  other = jax.tree.unflatten(structure, [*leaves[:-1], damaged])
  _save(folder, dataclasses.replace(state, **{part: other}), step=4)
  checkpoints = folder / "checkpoints"
  (checkpoints / "4" / "state").rename(checkpoints / "other")
  (checkpoints / "3" / "state").rename(checkpoints / "4" / "state")
  (checkpoints / "other").rename(checkpoints / "3" / "state")
  with pytest.raises(checkpoint.CheckpointError, match="3 is damaged: its arr"):
    _restore(folder)


def test_a_flipped_bit_of_a_file_is_refused_or_changes_nothing(saved):
  folder, state = saved
  expected = jax.tree.map(np.asarray, state.ema)
  refused = count = 0
  for path in sorted((folder / "checkpoints" / "3").rglob("*")):
    content = path.read_bytes() if path.is_file() else b""
    for place in range(len(path.name) % 8, 8 * len(content), 8009):
      damaged = bytearray(content)
      damaged[place // 8] ^= 1 << place % 8
      path.write_bytes(bytes(damaged))
      count += 1
      try:
        jax.tree.map(np.testing.assert_array_equal, _restore(folder), expected)
      except (checkpoint.CheckpointError, FileNotFoundError):
        refused += 1
      path.write_bytes(content)
  assert count > 20
  assert refused > 0.1 * count


def test_the_order_of_the_arrays_is_verified(saved):
  """Exchanging the names of two arrays of equal shape is detected."""
  folder, _ = saved
  path = folder / "checkpoints" / "3" / "state" / "_METADATA"
  content = json.loads(path.read_text())
  names = list(content["tree_metadata"])
  first = next(each for each in names if "'mu', 'head', 'kernel'" in each)
  second = first.replace("'mu'", "'nu'")
  other = {first: second, second: first}
  content["tree_metadata"] = {
    name: content["tree_metadata"][name]
    for name in [other.get(each, each) for each in names]
  }
  path.write_text(json.dumps(content))
  with pytest.raises(checkpoint.CheckpointError, match="3 is damaged"):
    _restore(folder)


def test_a_state_that_is_not_finite_is_refused(saved):
  folder, state = saved
  broken = jax.tree.map(lambda leaf: leaf * jnp.nan, state.params)
  _save(folder, dataclasses.replace(state, params=broken), step=4)
  with pytest.raises(
    trees.NotFinite, match=r"checkpoint .*/4 has NaN .*params/"
  ):
    _restore(folder, step=4)


@pytest.mark.parametrize("at_once", [1, 100, 1 << 20])
def test_the_fingerprint_covers_all_arrays(at_once):
  tree = [np.arange(n, dtype=np.float32) for n in (3, 40, 1, 0, 25)]
  assert fingerprint.of(tree, at_once=at_once) == fingerprint.of(tree)

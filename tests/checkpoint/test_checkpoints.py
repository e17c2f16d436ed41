"""Tests of checkpoints: they are exact and verified, and one is always kept.

The tests start no processes; they write the files of killed processes.
"""

import contextlib
import errno
import functools
import gc
import json
import os
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvision import checkpoint, parallel, trees
from jaxvision.checkpoint import fingerprint
from jaxvision.parallel import sharding

# After the first file that it cannot read, orbax leaves the other reads to
# fail unseen; Python tells of them when it collects them.
pytestmark = pytest.mark.filterwarnings(
  "ignore:Exception ignored in. <coroutine object _read_array:"
  "pytest.PytestUnraisableExceptionWarning"
)
_MESH = parallel.make_mesh()
_RECORD = {"step": 1, "seconds": 2.5, "window": {"loss": 0.1}, "best": None}


@pytest.fixture
def collect():
  """Collects garbage here, so warnings do not appear in another test."""
  yield
  gc.collect()


def _state(seed=0):
  """A state with every type in use; text or rounding would change values."""
  rng = np.random.default_rng(seed)
  params = {
    "kernel": jnp.asarray(rng.normal(size=(64, 256)), jnp.float32),
    "scale": jnp.asarray(rng.normal(size=16), jnp.bfloat16),
  }
  label = {"kernel": "decayed", "scale": "frozen"}
  optimizer = optax.partition(
    {"decayed": optax.adamw(0.1), "frozen": optax.set_to_zero()}, label
  )
  special = [0.1, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38]
  return {
    "params": params,
    "opt_state": optimizer.init(params),
    "step": jnp.asarray(seed, jnp.int32),
    "counter": jnp.asarray([2**32 - 1, seed], jnp.uint32),
    "flags": jnp.asarray([True, False, True]),
    "special": jnp.asarray(special, jnp.float32),
    "nothing": {},
  }


def _on(mesh, state):
  return jax.device_put(state, parallel.replicated(mesh))


def _template(state, mesh=_MESH):
  sharding = parallel.replicated(mesh)
  return jax.tree.map(
    lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), state
  )


def _assert_bitwise(found, expected):
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  for a, b in zip(
    jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
  ):
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def _saved(folder, steps=(1, 2, 3)):
  """Saves checkpoints whose state has the seed `step`."""
  with checkpoint.open_manager(folder, keep=5) as manager:
    for step in steps:
      record = _RECORD | {"step": step}
      checkpoint.save(manager, step, _on(_MESH, _state(step)), record)


def _restore(folder):
  with checkpoint.open_manager(folder, keep=5) as manager:
    return checkpoint.restore(manager, _template(_state()))


def test_the_restored_state_equals_the_saved_state(tmp_path):
  _saved(tmp_path, steps=[3])
  state, record = _restore(tmp_path)
  _assert_bitwise(state, _state(3))
  expected = fingerprint.of(_state(3))
  assert record == _RECORD | {"step": 3, "fingerprint": expected}


def test_nothing_to_restore(tmp_path):
  assert _restore(tmp_path) is None


@pytest.mark.parametrize(("devices", "later"), [(1, 8), (8, 1), (8, 4)])
def test_a_state_moves_to_another_mesh(tmp_path, devices, later):
  before, after = (
    parallel.make_mesh(jax.devices()[:n]) for n in (devices, later)
  )
  with checkpoint.open_manager(tmp_path) as manager:
    checkpoint.save(manager, 1, _on(before, _state(7)), _RECORD)
  with checkpoint.open_manager(tmp_path) as manager:
    state, _ = checkpoint.restore(manager, _template(_state(), after))
  _assert_bitwise(state, _state(7))
  assert len(state["step"].sharding.device_set) == later


@pytest.mark.parametrize("devices", [4, 1])
@pytest.mark.parametrize("split", ["before", "after", "both"])
def test_a_state_moves_to_another_layout(tmp_path, split, devices):
  """On 8 devices, split along "fsdp" or replicated."""
  state, saved = _state(7), jax.tree.map(np.asarray, _state(7))
  rules = ((".*", "fsdp(min_size=1)"),)

  def layout(count, is_split):
    fsdp = count if is_split else 1
    mesh = parallel.make_mesh(jax.devices()[:count], fsdp=fsdp)
    return sharding.of_state(state, state["params"], mesh, rules=rules)

  before = layout(8, split in ("before", "both"))
  after = layout(devices, split in ("after", "both"))
  with checkpoint.open_manager(tmp_path) as manager:
    checkpoint.save(manager, 1, jax.device_put(state, before), _RECORD)
  template = jax.tree.map(
    lambda a, where: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where),
    state,
    after,
  )
  with checkpoint.open_manager(tmp_path) as manager:
    found, _ = checkpoint.restore(manager, template)
  _assert_bitwise(found, saved)
  jax.tree.map(lambda a, where: _assert_lies(a, where), found, after)


def _assert_lies(array, where):
  assert array.sharding.is_equivalent_to(where, array.ndim)


def test_a_state_may_be_donated_while_it_is_being_saved(tmp_path):
  """The state is large, so the write takes longer than the next steps."""
  wipe = jax.jit(lambda x: x * 0 - 1, donate_argnums=0)
  state = _on(_MESH, {"x": jnp.arange(2.0**21), "n": jnp.arange(5)})
  expected = jax.tree.map(np.array, state)
  template = _template(state)
  with checkpoint.open_manager(tmp_path) as manager:
    checkpoint.save(manager, 1, state, _RECORD)
    for _ in range(3):
      donated, state = state, jax.tree.map(wipe, state)
    jax.block_until_ready(state)
    assert donated["x"].is_deleted()
  with checkpoint.open_manager(tmp_path) as manager:
    found, _ = checkpoint.restore(manager, template)
  _assert_bitwise(found, expected)


def test_the_record_may_change_while_it_is_being_saved(tmp_path, monkeypatch):
  """The writing thread gets a deep copy of the record."""
  record, given = {"window": {"loss": 1.0}}, []
  with checkpoint.open_manager(tmp_path) as manager:
    monkeypatch.setattr(
      type(manager), "save", lambda _, step, args, metrics: given.append(args)
    )
    checkpoint.save(manager, 1, _on(_MESH, _state(1)), record)
  record["window"].clear()
  assert given[0]["record"].item["window"] == {"loss": 1.0}


@pytest.mark.parametrize(
  ("scores", "kept"),
  [
    ([0.1, None, None, None], [1, 3, 4]),
    ([0.1, None, 0.3, None, None], [3, 4, 5]),
    ([0.1, 0.2, None, None, None, None], [2, 5, 6]),
    ([0.5, 0.5, None, None, None], [2, 4, 5]),
    ([None, None, None, None], [3, 4]),
  ],
)
def test_the_newest_and_the_best_are_kept(tmp_path, scores, kept):
  """If scores are equal, the newest checkpoint is the best, as in the loop."""
  with checkpoint.open_manager(tmp_path, keep=2) as manager:
    for step, score in enumerate(scores, 1):
      state = _on(_MESH, {"x": jnp.ones(2)})
      checkpoint.save(manager, step, state, _RECORD, score=score)
  folders = (tmp_path / "checkpoints").iterdir()
  assert sorted(int(each.name) for each in folders) == kept


def test_the_best_survives_a_restart(tmp_path):
  state = _on(_MESH, {"x": jnp.ones(2)})
  for step, score in enumerate([0.3, 0.2, None, None], 1):
    with checkpoint.open_manager(tmp_path, keep=1) as manager:
      checkpoint.save(manager, step, state, _RECORD, score=score)
  with checkpoint.open_saved(tmp_path) as manager:
    assert sorted(manager.all_steps()) == [1, 4]
    assert manager.best_step() == 1


@pytest.mark.parametrize("restarts", [False, True])
def test_a_later_score_is_used(tmp_path, restarts):
  """The score of step 2 is added after the save, also by another process."""
  state, scores = _on(_MESH, _state()), [0.3, None, 0.2, None, None]
  with contextlib.ExitStack() as stack:
    manager = stack.enter_context(checkpoint.open_manager(tmp_path, keep=1))
    for step, score in enumerate(scores, 1):
      checkpoint.save(manager, step, state, _RECORD, score=score)
      if step == 2:
        if restarts:
          stack.close()
          opened = checkpoint.open_manager(tmp_path, keep=1)
          manager = stack.enter_context(opened)
        checkpoint.add_score(manager, step, 0.9)
    checkpoint.wait(manager)
    assert sorted(manager.all_steps()) == [2, 5]
    assert manager.best_step() == 2
    found, _ = checkpoint.restore_step(manager, 2, _template(_state()))
  _assert_bitwise(found, _state())


def test_an_existing_step_is_not_changed(tmp_path):
  with checkpoint.open_manager(tmp_path) as manager:
    checkpoint.save(manager, 1, _on(_MESH, _state(1)), _RECORD)
    checkpoint.save(manager, 1, _on(_MESH, _state(2)), _RECORD)
  _assert_bitwise(_restore(tmp_path)[0], _state(1))


def test_unfinished_checkpoints_of_a_killed_process_are_removed(tmp_path):
  _saved(tmp_path, steps=[1])
  left = tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp"
  shutil.copytree(tmp_path / "checkpoints" / "1", left)
  _assert_bitwise(_restore(tmp_path)[0], _state(1))
  assert not left.exists()


def _largest(folder):
  files = [path for path in folder.rglob("*") if path.is_file()]
  return max(files, key=lambda path: path.stat().st_size)


def _flip(folder, *, place):
  """Inverts one bit of the largest file; `place` is a fraction of its size."""
  path = _largest(folder / "state")
  content = bytearray(path.read_bytes())
  content[int(place * len(content))] ^= 1
  path.write_bytes(content)


def _truncate(folder):
  path = _largest(folder / "state")
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty_files(folder):
  """As after a power failure: the files exist, but are empty."""
  for path in folder.rglob("*"):
    if path.is_file():
      path.write_bytes(b"")


def _remove_tree(folder, *, name):
  shutil.rmtree(folder / name)


def _remove_metadata(folder):
  for path in folder.rglob("*METADATA*"):
    path.unlink()


def _write_record(folder, *, text):
  (folder / "record" / "metadata").write_text(text, "utf-8")


def _other_state(folder):
  """The record of one checkpoint with the state of another."""
  shutil.rmtree(folder / "state")
  shutil.copytree(folder.parent / "2" / "state", folder / "state")


DAMAGES = {
  "flip_first": functools.partial(_flip, place=0.2),
  "flip_middle": functools.partial(_flip, place=0.5),
  "flip_last": functools.partial(_flip, place=0.8),
  "truncated": _truncate,
  "empty_files": _empty_files,
  "no_state": functools.partial(_remove_tree, name="state"),
  "no_record": functools.partial(_remove_tree, name="record"),
  "no_metadata": _remove_metadata,
  "torn_record": functools.partial(_write_record, text='{"step": 3, "sec'),
  "empty_record": functools.partial(_write_record, text="{}"),
  "list_record": functools.partial(_write_record, text="[1]"),
  "other_state": _other_state,
}


@pytest.mark.matrix(every=3)
@pytest.mark.usefixtures("collect")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_is_set_aside(tmp_path, caplog, damage):
  _saved(tmp_path)
  newest = tmp_path / "checkpoints" / "3"
  DAMAGES[damage](newest)
  state, record = _restore(tmp_path)
  _assert_bitwise(state, _state(2))
  assert record["step"] == 2
  assert str(newest) in caplog.text
  assert "resuming from step 2 instead" in caplog.text
  assert not newest.exists()
  assert (tmp_path / "damaged" / "3").is_dir()


@pytest.mark.usefixtures("collect")
def test_a_step_that_was_set_aside_can_be_saved_again(tmp_path):
  _saved(tmp_path)
  _truncate(tmp_path / "checkpoints" / "3")
  with checkpoint.open_manager(tmp_path, keep=5) as manager:
    checkpoint.restore(manager, _template(_state()))
    checkpoint.save(manager, 3, _on(_MESH, _state(30)), _RECORD)
  _assert_bitwise(_restore(tmp_path)[0], _state(30))


@pytest.mark.usefixtures("collect")
def test_two_damaged_ones_are_both_set_aside(tmp_path):
  _saved(tmp_path)
  for step in ("2", "3"):
    _truncate(tmp_path / "checkpoints" / step)
  _assert_bitwise(_restore(tmp_path)[0], _state(1))
  damaged = (tmp_path / "damaged").iterdir()
  assert sorted(path.name for path in damaged) == ["2", "3"]


def _contents(folder):
  return {
    path.relative_to(folder): path.read_bytes()
    for path in pathlib.Path(folder).rglob("*")
    if path.is_file()
  }


@pytest.mark.usefixtures("collect")
def test_an_error_explains_why_a_damaged_checkpoint_cannot_be_moved(tmp_path):
  _saved(tmp_path)
  _flip(tmp_path / "checkpoints" / "3", place=0.5)
  (tmp_path / "damaged").write_text("in the way")
  with pytest.raises(checkpoint.CheckpointError) as caught:
    _restore(tmp_path)
  text = str(caught.value)
  assert f"{tmp_path}/checkpoints/3 cannot be moved to {tmp_path}/dama" in text
  assert "must be a writable folder" in text


def test_nothing_is_touched_when_all_are_damaged(tmp_path):
  _saved(tmp_path)
  for step in ("1", "2", "3"):
    _truncate(tmp_path / "checkpoints" / step)
  before = _contents(tmp_path)
  with pytest.raises(checkpoint.CheckpointError) as caught:
    _restore(tmp_path)
  assert _contents(tmp_path) == before
  for step in ("1", "2", "3"):
    assert f"checkpoint {tmp_path}/checkpoints/{step} is" in str(caught.value)
  assert "Train in another workdir" in str(caught.value)


def test_a_state_rejected_by_the_check_is_set_aside(tmp_path, caplog):
  def refuse(state):
    if int(state["step"]) > 1:
      raise trees.NotFinite("it has NaN in a")

  _saved(tmp_path)
  with checkpoint.open_manager(tmp_path, keep=5) as manager:
    found, _ = checkpoint.restore(manager, _template(_state()), check=refuse)
  _assert_bitwise(found, _state(1))
  assert (
    f"{tmp_path}/checkpoints/3 is not usable: it has NaN in a" in caplog.text
  )
  assert sorted(each.name for each in (tmp_path / "damaged").iterdir()) == [
    *("2", "3"),
  ]


@pytest.mark.matrix(every=4)
@pytest.mark.parametrize(
  "name", ["[a]", "a*", "a?b", "a\\b", "gs:", os.fsdecode(b"\xff"), "% #\n"]
)
def test_any_path_holds_checkpoints(tmp_path, name):
  folder = tmp_path / name
  # A pattern would also match these.
  for other in ("a", "ab", "axb"):
    _saved(tmp_path / other, steps=[1, 2])
  before = sorted(path.name for path in tmp_path.iterdir())
  _saved(folder, steps=[1, 2])
  state, record = _restore(folder)
  _assert_bitwise(state, _state(2))
  assert record["step"] == 2
  shutil.rmtree(folder / "checkpoints" / "1" / "state")
  with (
    checkpoint.open_saved(folder) as manager,
    pytest.raises(checkpoint.CheckpointError) as caught,
  ):
    checkpoint.restore_step(manager, 1, _template(_state()))
  assert str(folder / "checkpoints" / "1") in str(caught.value)
  assert "/proc/" not in str(caught.value)
  assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*before, name])


def test_a_missing_folder_is_no_checkpoint(tmp_path):
  _saved(tmp_path)
  shutil.rmtree(tmp_path / "checkpoints" / "3")
  _assert_bitwise(_restore(tmp_path)[0], _state(2))


def test_a_save_that_fails_names_the_last_good_one(tmp_path, monkeypatch):
  def fail(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")

  _saved(tmp_path, steps=[1])
  with (
    pytest.raises(checkpoint.CheckpointError) as caught,
    checkpoint.open_manager(tmp_path, keep=5) as manager,
  ):
    monkeypatch.setattr(type(manager), "save", fail)
    checkpoint.save(manager, 2, _on(_MESH, _state(2)), _RECORD)
  message = str(caught.value)
  assert message.startswith(f"could not save a checkpoint in {tmp_path}")
  assert "No space left on device; the last good one is 1. Free" in message


def test_reading_needs_checkpoints(tmp_path):
  with (
    pytest.raises(FileNotFoundError, match="no checkpoints in"),
    checkpoint.open_saved(tmp_path),
  ):
    pass


def test_the_record_is_json(tmp_path):
  _saved(tmp_path, steps=[1])
  text = (tmp_path / "checkpoints" / "1" / "record" / "metadata").read_text()
  assert json.loads(text)["fingerprint"] == fingerprint.of(_state(1))

"""A checkpoint with any flipped bit is refused or read correctly.

The oracle is the saved state. Files that are not read may have any content.
"""

import contextlib
import gc
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import checkpoint, parallel
from jaxvision.checkpoint import fingerprint
from jaxvision.training.loop import train_loop

pytestmark = pytest.mark.filterwarnings(
  "ignore:Exception ignored in. <coroutine object (_read_array|Store.):"
  "pytest.PytestUnraisableExceptionWarning"
)
_RECORD = train_loop.empty_record() | {
  "step": 2,
  "window": {"loss": 0.3, "count": 8},
  "best": {"step": 2, "metric": "validation/top1", "value": 0.75},
}
del _RECORD["waited"]  # It is newer than the seals.
_REFUSALS = (checkpoint.CheckpointError, FileNotFoundError)


def _state(step):
  return {"w": jnp.arange(3.0) + step, "step": jnp.asarray(step, jnp.int32)}


_TEMPLATE = jax.tree.map(
  lambda a: jax.ShapeDtypeStruct(
    a.shape,
    a.dtype,
    sharding=parallel.replicated(parallel.make_mesh(jax.devices()[:1])),
  ),
  _state(0),
)


def _save(folder, *steps):
  with checkpoint.open_manager(folder, keep=9) as manager:
    for step in steps:
      state = jax.device_put(_state(step), jax.devices()[0])
      record = _RECORD | {"step": step}
      checkpoint.save(manager, step, state, record, score=step / 4)


def _read(folder, step=2):
  """(state, record, whether it is the best); None if refused."""
  try:
    with checkpoint.open_saved(folder) as manager:
      state, record = checkpoint.restore_step(manager, step, _TEMPLATE)
      best = checkpoint.best_step(manager)
  except _REFUSALS:
    return None
  return [np.asarray(each).tobytes() for each in state.values()], record, best


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  """A workdir with one checkpoint, and its content."""
  folder = tmp_path_factory.mktemp("saved")
  _save(folder, 2)
  yield folder, _read(folder)
  gc.collect()


def _flips(folder, every):
  """Yields (file, its content with one flipped bit) for all files in turn."""
  for path in sorted(folder.rglob("*")):
    if path.is_file():
      content = path.read_bytes()
      for bit in range(len(path.name) % 8, 8 * len(content), every(path)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        yield path, content, bytes(damaged)


def _is_json(path):
  return path.parent.name in ("record", "metrics")


@pytest.mark.parametrize(
  "every",
  [
    lambda path: 41 if _is_json(path) else 1009,
    pytest.param(
      lambda path: 1 if _is_json(path) else 17, marks=pytest.mark.slow
    ),
  ],
  ids=["some", "all of what is JSON"],
)
def test_a_flipped_bit_is_refused_or_changes_nothing(saved, every):
  folder, (state, record, best) = saved
  assert (best, record["fingerprint"]) == (
    2,
    fingerprint.of(_state(2)),
  )
  refused = count = 0
  for path, content, damaged in _flips(folder / "checkpoints", every):
    path.write_bytes(damaged)
    try:
      found = _read(folder)
    finally:
      path.write_bytes(content)
    count += 1
    refused += found is None or found[2] is None
    # A refused score does not affect the state.
    assert found in (None, (state, record, best), (state, record, None)), path
  assert refused > 0.1 * count


def test_a_damaged_score_loses_only_the_score(tmp_path, caplog):
  _save(tmp_path, 1, 2)
  path = tmp_path / "checkpoints" / "2" / "metrics" / "metrics"
  score = json.loads(path.read_text())["score"]
  assert score == 0.5
  path.write_text(path.read_text().replace("0.5", "0.9"))
  with checkpoint.open_saved(tmp_path) as manager:
    assert checkpoint.best_step(manager) == 1
    assert sorted(manager.all_steps()) == [1, 2]
  assert "the score of step 2 was changed after it was written" in caplog.text
  assert path.exists()
  with checkpoint.open_manager(tmp_path) as manager:
    state, _ = checkpoint.restore(manager, _TEMPLATE)
    assert manager.best_step() == 1
  assert int(state["step"]) == 2


@pytest.mark.parametrize("text", ["", "[]", "null", '{"score": "a"}', '{"x'])
def test_a_score_that_is_no_json_does_not_block_the_run(tmp_path, text):
  _save(tmp_path, 1, 2)
  path = tmp_path / "checkpoints" / "1" / "metrics" / "metrics"
  path.write_text(text)
  assert _read(tmp_path)[2] == 2
  with checkpoint.open_manager(tmp_path) as manager:
    assert checkpoint.restore(manager, _TEMPLATE)[1]["step"] == 2


# Damage that orbax refuses; it ignores the metadata file in other cases.
_NOTES = (
  '{"init_timestamp_nsecs": "x"}',
  '{"custom_metadata": {"a": 1}, "unknown": 1}',
)


@pytest.mark.parametrize("text", [*_NOTES, "{", "[]", ""])
def test_damaged_metadata_of_orbax_are_replaced(tmp_path, text):
  _save(tmp_path, 1, 2)
  (tmp_path / "checkpoints" / "1" / "_CHECKPOINT_METADATA").write_text(text)
  with (
    contextlib.suppress(checkpoint.CheckpointError),
    checkpoint.open_saved(tmp_path) as manager,
  ):
    assert sorted(manager.all_steps()) == [1, 2]
  with checkpoint.open_manager(tmp_path) as manager:
    assert sorted(manager.all_steps()) == [1, 2]
    assert checkpoint.restore_step(manager, 1, _TEMPLATE)[1]["step"] == 1


@pytest.mark.parametrize("text", _NOTES)
def test_damaged_metadata_are_an_error_for_readers(tmp_path, text):
  _save(tmp_path, 1, 2)
  (tmp_path / "checkpoints" / "2" / "_CHECKPOINT_METADATA").write_text(text)
  with (
    pytest.raises(
      checkpoint.CheckpointError, match="2/_CHECKPOINT_METADATA is"
    ),
    checkpoint.open_saved(tmp_path),
  ):
    pass


def test_a_renamed_folder_is_refused_and_the_previous_step_is_used(
  tmp_path, caplog
):
  _save(tmp_path, 1, 2)
  checkpoints = tmp_path / "checkpoints"
  (checkpoints / "2").rename(checkpoints / "48")
  with checkpoint.open_saved(tmp_path) as manager:
    assert checkpoint.best_step(manager) == 1
    with pytest.raises(
      checkpoint.CheckpointError,
      match=r"48 is damaged: its record belongs to step 2; .* back to 2",
    ):
      checkpoint.restore_step(manager, 48, _TEMPLATE)
  with checkpoint.open_manager(tmp_path) as manager:
    assert checkpoint.restore(manager, _TEMPLATE)[1]["step"] == 1


def test_a_damaged_step_in_a_record_is_not_taken_for_a_renamed_folder(tmp_path):
  _save(tmp_path, 1, 2)
  path = tmp_path / "checkpoints" / "2" / "record" / "metadata"
  record = json.loads(path.read_text())
  path.write_text(json.dumps(record | {"step": 34}))
  with (
    checkpoint.open_saved(tmp_path) as manager,
    pytest.raises(checkpoint.CheckpointError) as caught,
  ):
    checkpoint.restore_step(manager, 2, _TEMPLATE)
  assert "the record of step 34 was changed after it was written" in str(
    caught.value
  )
  assert "renamed" not in str(caught.value)


def _unseal(path):
  content = json.loads(path.read_text())
  del content["seal"]
  path.write_text(json.dumps(content))


def test_checkpoints_of_older_versions_are_read(tmp_path):
  """They have no seals, but their steps are compared."""
  _save(tmp_path, 1, 2)
  expected = _read(tmp_path)
  for path in (tmp_path / "checkpoints").rglob("*"):
    if path.is_file() and _is_json(path) and path.name.startswith("met"):
      _unseal(path)
  assert _read(tmp_path) == expected
  with checkpoint.open_saved(tmp_path) as manager:
    assert manager.best_step() == checkpoint.best_step(manager) == 2
  shutil.move(tmp_path / "checkpoints" / "2", tmp_path / "checkpoints" / "3")
  assert _read(tmp_path, 3) is None

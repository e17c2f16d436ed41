"""Stored logits of teachers give the same training as teachers in the step."""

import json
import pickle
import re
import shutil

import jax
import numpy as np
import pytest
import tiny_runs

from jaxvision import training
from jaxvision.training import setup
from jaxvision.training.loop import compilation
from jaxvision.training.setup import stored_logits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Data, a recipe and the run of a teacher."""
  path = tmp_path_factory.mktemp("stored")
  tiny_runs.write_data(path)
  tiny_runs.load_config(path)
  training.train(
    str(path / "recipe.py"),
    workdir=path / "teacher",
    overrides={"data.mean": (0.3,), "log.tensorboard": False},
  )
  return path


@pytest.fixture(scope="module")
def other(folder):
  """The run of another teacher."""
  training.train(
    str(folder / "recipe.py"),
    workdir=folder / "other",
    overrides={"seed": 1, "log.tensorboard": False},
  )
  return folder / "other"


def _prepare(folder, logits, **more):
  taught = {
    "task__name": "distillation",
    "task__teachers": (str(folder / "teacher"),),
    "task__teacher_logits": str(logits) if logits else "",
  }
  config = tiny_runs.load_config(folder, **{**taught, **more})
  return setup.prepare(config, setup.open_splits(config))


def _final(parts):
  step, feed, _ = compilation.compile_step(parts)
  state = parts.init()
  for _, batch in feed(0):
    state, _ = step(state, batch)
  return jax.device_get(state.params)


@pytest.mark.parametrize("placement", ["host", "device"])
def test_the_training_is_that_with_the_teacher_in_the_step(
  folder, tmp_path, placement
):
  settings = {"data__placement": placement, "model__options": {"hidden": (4,)}}
  stored = _prepare(folder, tmp_path / "logits", **settings)
  assert stored.task.constants == ()
  for own, theirs in zip(
    jax.tree.leaves(_final(stored)),
    jax.tree.leaves(_final(_prepare(folder, "", **settings))),
    strict=True,
  ):
    np.testing.assert_allclose(own, theirs, rtol=1e-5, atol=1e-7)


def test_the_logits_are_computed_once_and_do_not_need_the_teacher(
  folder, tmp_path
):
  path = tmp_path / "runs"
  shutil.copytree(folder, path, ignore=shutil.ignore_patterns("recipe.py"))
  first = _prepare(path, path / "logits")
  shutil.rmtree(path / "teacher")
  again = _prepare(path, path / "logits")
  assert first.taught.digests == again.taught.digests != {}
  own, theirs = (each.batches["validation"].at(1) for each in (first, again))
  np.testing.assert_array_equal(own["teacher_logits"], theirs["teacher_logits"])
  assert own["teacher_logits"].shape == (16, 1, 3)
  assert not own["teacher_logits"][own["mask"] == 0].any()


def test_the_digest_of_a_teacher_decides_not_its_place(folder, other, tmp_path):
  logits = tmp_path / "logits"
  _prepare(folder, logits)
  shutil.copytree(folder / "teacher", tmp_path / "moved")
  _prepare(folder, logits, task__teachers=(str(tmp_path / "moved"),))
  with pytest.raises(ValueError, match="stored logits of another teacher"):
    _prepare(folder, logits, task__teachers=(str(other),))


def test_a_teacher_that_was_trained_again_is_refused(folder, other, tmp_path):
  teacher, logits = tmp_path / "teacher", tmp_path / "logits"
  shutil.copytree(folder / "teacher", teacher)
  _prepare(folder, logits, task__teachers=(str(teacher),))
  shutil.rmtree(teacher)
  shutil.copytree(other, teacher)
  with pytest.raises(ValueError, match="stored logits of another teacher"):
    _prepare(folder, logits, task__teachers=(str(teacher),))


def test_logits_belong_to_their_examples(folder, tmp_path):
  parts = _prepare(folder, tmp_path / "logits")
  rows = np.load(tmp_path / "logits" / "train.npy")
  batches = parts.batches["train"]
  for step in (0, 5):
    expected = rows[batches.indices(step)]
    np.testing.assert_array_equal(batches.at(step)["teacher_logits"], expected)


def test_worker_processes_can_read_them(folder, tmp_path):
  parts = _prepare(folder, tmp_path / "logits")
  split = parts.splits["train"]
  again = pickle.loads(pickle.dumps(split))
  (one,), (other,) = (
    each.fields()[stored_logits.FIELD].read([7]) for each in (split, again)
  )
  np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
  "changes",
  [
    {"data__train_transforms": ("resize(4)", "random_flip")},
    {"data__device_transforms": ("random_mixup(0.2)",)},
  ],
)
def test_random_views_are_refused(folder, tmp_path, changes):
  """The message lists the random transforms alone."""
  (random,) = changes.values()
  message = rf"one view of each image.* are random: {re.escape(random[-1])};"
  with pytest.raises(ValueError, match=message):
    _prepare(folder, tmp_path / "logits", **changes)
  assert not (tmp_path / "logits").exists()


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"data__train": "train[:30]"}, "another split train"),
    ({"data__eval_transforms": ("resize(4)",)}, "another split validation"),
    ({"task__teacher_image_size": 4}, "another image size of the teachers"),
    ({"precision__compute": "bfloat16"}, "another precision.compute"),
    ({"data__channels": 3}, "another number of channels"),
  ],
)
def test_logits_of_other_examples_or_views_are_refused(
  folder, tmp_path_factory, changes, message
):
  logits = folder / "known"
  _prepare(folder, logits)
  with pytest.raises(ValueError, match=message):
    _prepare(folder, logits, **changes)


def test_an_unfinished_folder_is_written_again(folder, tmp_path):
  _prepare(folder, tmp_path / "logits")
  whole = (tmp_path / "logits" / "train.npy").read_bytes()
  (tmp_path / "logits" / "record.json").unlink()
  (tmp_path / "logits" / "train.npy").write_bytes(whole[:100])
  _prepare(folder, tmp_path / "logits")
  assert (tmp_path / "logits" / "train.npy").read_bytes() == whole
  record = json.loads((tmp_path / "logits" / "record.json").read_text())
  assert record["stored"]["names"] == [str(folder / "teacher")]


@pytest.mark.slow
def test_a_run_with_stored_logits_has_its_report(folder, tmp_path):
  result = training.train(
    str(folder / "recipe.py"),
    workdir=tmp_path / "run",
    overrides={
      "task.name": "distillation",
      "task.teachers": (str(folder / "teacher"),),
      "task.teacher_logits": str(tmp_path / "logits"),
    },
  )
  assert "agreement" in result["final"]["metrics"]
  page = (tmp_path / "run" / "report.html").read_text()
  assert "Agreement with the teacher" in page


def test_each_fold_has_its_own_logits(folder, tmp_path):
  for fold in (0, 1):
    parts = _prepare(
      folder, tmp_path / "logits", data__folds=4, data__fold=fold
    )
    split = parts.splits["validation"]
    read = split.fields()[stored_logits.FIELD].read(range(split.num_examples))
    path = tmp_path / "logits" / f"fold-{fold}-of-4" / "validation.npy"
    np.testing.assert_array_equal(np.load(path), np.stack(read))

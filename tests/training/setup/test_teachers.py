"""Runs learn from teachers, record them, and refuse others."""

import dataclasses
import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
import tiny_runs

from jaxvision import inference, tasks, training, trees, weights
from jaxvision.inference import export, pretrained
from jaxvision.training import setup
from jaxvision.training.loop import compilation, train_loop
from jaxvision.training.setup import teachers, teachers_record

QUIET = {"log.tensorboard": False, "evaluate.every": "6 steps"}


def _train(folder, name, **overrides):
  dotted = {key.replace("__", "."): each for key, each in overrides.items()}
  return training.train(
    str(folder / "recipe.py"),
    workdir=folder / name,
    overrides={**QUIET, **dotted},
  )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Data, a recipe and the run of a teacher, which no test changes."""
  path = tmp_path_factory.mktemp("distillation")
  tiny_runs.write_data(path)
  tiny_runs.load_config(path)
  _train(path, "teacher", model__options__hidden=(1024,), data__mean=(0.3,))
  return path


def _taught(folder, **more):
  return {
    "task__name": "distillation",
    "task__teachers": (str(folder / "teacher"),),
    **more,
  }


def _prepare(folder, *, devices=None, taught=None, **more):
  config = tiny_runs.load_config(folder, **_taught(folder, **more))
  splits = setup.open_splits(config)
  return setup.prepare(config, splits, devices=devices, taught=taught)


@pytest.fixture(scope="module")
def student(folder):
  """The folder of a trained student whose teacher has been removed."""
  path = folder / "alone"
  shutil.copytree(folder / "teacher", path / "teacher")
  shutil.copy(folder / "data.npz", path)
  tiny_runs.load_config(path)
  _train(path, "student", **_taught(path))
  shutil.rmtree(path / "teacher")
  return path / "student"


def test_a_teacher_is_the_network_that_its_run_evaluates(folder):
  (teacher,) = _prepare(folder).taught.teachers
  run = inference.load_run(folder / "teacher")
  for own, theirs in zip(
    jax.tree.leaves(teacher.variables),
    jax.tree.leaves(run.variables),
    strict=True,
  ):
    np.testing.assert_array_equal(own, theirs)
  assert teacher.normalization == run.normalization
  assert teacher.image_size == (4, 4)
  assert teacher.class_names == run.class_names


def test_the_state_of_a_student_does_not_contain_its_teacher(folder):
  own = tiny_runs.prepare(folder).template
  taught = _prepare(folder).template
  assert jax.tree.structure(own) == jax.tree.structure(taught)
  assert trees.count(own) == trees.count(taught)


def test_the_step_takes_its_teachers_as_arguments(folder):
  parts = _prepare(folder)
  (constants,) = parts.task.constants
  plain = tiny_runs.prepare(folder)
  sizes = [
    compilation.trace_step(each).lower().compile().memory_analysis()
    for each in (plain, parts)
  ]
  more = sizes[1].argument_size_in_bytes - sizes[0].argument_size_in_bytes
  assert more == sum(leaf.nbytes for leaf in jax.tree.leaves(constants))
  for leaf in jax.tree.leaves(constants):
    assert leaf.sharding.is_fully_replicated


@pytest.mark.slow
def test_teachers_are_split_like_parameters(folder):
  parts = _prepare(folder, mesh__fsdp=8)
  (teacher,) = parts.taught.teachers
  kernels = trees.flatten(teacher.variables)
  specs = {
    path: tuple(leaf.sharding.spec)
    for path, leaf in kernels.items()
    if leaf.size >= 2**14
  }
  assert list(specs.values()) == [(None, "fsdp")]
  step, feed, _ = compilation.compile_step(parts)
  _, batch = next(feed(0))
  _, sums = step(parts.init(), batch)
  whole = _prepare(folder)
  _, expected = compilation.compile_step(whole)[0](whole.init(), batch)
  assert float(sums["loss"][0]) == pytest.approx(
    float(expected["loss"][0]), rel=1e-5
  )


@pytest.mark.matrix("2")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_on_eight_devices_is_that_on_one(folder, accumulate):
  settings = {"train__accumulate": accumulate, "ema__decay": 0.9}
  eight = _prepare(folder, **settings)
  device = jax.devices()[:1]
  moved = [
    dataclasses.replace(
      each, variables=jax.device_put(jax.device_get(each.variables), device[0])
    )
    for each in eight.taught.teachers
  ]
  one = _prepare(
    folder,
    devices=device,
    taught=tasks.Taught(tuple(moved)),
    **settings,
  )
  results = []
  for parts in (eight, one):
    step, feed, _ = compilation.compile_step(parts)
    state = parts.init()
    for _, batch in feed(0):
      state, sums = step(state, batch)
    results.append(jax.device_get((state.params, state.ema, sums)))
  for a, b in zip(*map(jax.tree.leaves, results), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


@pytest.mark.slow
def test_a_teacher_keeps_the_type_of_its_logits(folder):
  """precision.output is the type of the student's logits alone."""
  same = {"model__options": {"hidden": (16,)}}
  values = []
  for kind in ("float32", "bfloat16"):
    parts = _prepare(folder, precision__output=kind, **same)
    batch = jax.tree.map(lambda x: x[:16], parts.batches["train"].at(0))
    _, outputs = jax.jit(parts.task.evaluate)(
      parts.init().variables, batch, *parts.task.constants
    )
    values.append(np.asarray(outputs[:, 1]))
  np.testing.assert_array_equal(*values)


@pytest.mark.slow
def test_the_run_records_its_teachers(student):
  record = json.loads((student / "teachers.json").read_text())
  ((digest,),) = [[each["digest"] for each in record["teachers"]]]
  assert len(digest) == 32
  assert "Agreement with the teacher" in (student / "report.html").read_text()


@pytest.mark.slow
def test_a_student_is_used_without_its_teacher(student, tmp_path):
  run = inference.load_run(student)
  measured = inference.evaluate(run, role="validation").metrics
  final = json.loads((student / "result.json").read_text())["final"]["metrics"]
  shared = measured.keys() & final.keys()
  assert {"top1", "label_loss", "f1_macro"} < shared
  for name in shared:
    assert measured[name] == pytest.approx(final[name], rel=1e-5), name
  export.save(
    tmp_path / "model.jax",
    run.model,
    run.variables,
    image_shape=run.input_shape,
    normalization=run.normalization,
  )
  loaded, _ = weights.load(student, "mlp")
  assert loaded.num_classes == 3


def test_a_changed_teacher_is_refused_and_the_same_elsewhere_is_not(
  folder, tmp_path
):
  shutil.copytree(folder / "teacher", tmp_path / "teacher")
  parts = _prepare(folder)
  mesh = parts.mesh
  teachers_record.check(tmp_path, parts.taught.digests)
  moved = tiny_runs.load_config(folder, **_taught(tmp_path))
  (same,) = teachers.load(moved, mesh)
  teachers_record.check(tmp_path, {same.name: same.digest})
  sized = tiny_runs.load_config(
    folder, **_taught(folder), precision__compute="bfloat16"
  )
  (other,) = teachers.load(sized, mesh)
  with pytest.raises(ValueError, match="learns from other teachers"):
    teachers_record.check(tmp_path, {other.name: other.digest})


def test_a_run_without_its_record_says_so(tmp_path, caplog):
  teachers_record.check(tmp_path, {"teacher": "0" * 32})
  assert not caplog.messages
  (tmp_path / "teachers.json").unlink()
  (tmp_path / "checkpoints" / "6").mkdir(parents=True)
  teachers_record.check(tmp_path, {"teacher": "1" * 32})
  (message,) = caplog.messages
  assert "teachers.json is missing: the teachers are not compared" in message


@pytest.mark.slow
def test_a_run_is_not_resumed_with_another_teacher(folder, tmp_path):
  path = tmp_path / "runs"
  shutil.copytree(folder / "teacher", path / "teacher")
  shutil.copy(folder / "data.npz", path)
  tiny_runs.load_config(path)
  with pytest.raises(train_loop.Ended):
    training.train(
      str(path / "recipe.py"),
      workdir=path / "student",
      overrides={
        "task.name": "distillation",
        "task.teachers": (str(path / "teacher"),),
        "evaluate.every": "2 steps",
      },
      watch=lambda step, *_: "enough" if step == 4 else "",
    )
  shutil.rmtree(path / "teacher")
  with pytest.raises(FileNotFoundError, match=r"the teacher .* not a run"):
    training.train(workdir=path / "student")
  _train(path, "teacher", model__options__hidden=(16,), seed=7)
  with pytest.raises(ValueError, match="learns from other teachers"):
    training.train(workdir=path / "student")


@pytest.mark.slow
def test_a_diverging_student_stops(folder):
  with pytest.raises(train_loop.Diverged):
    _train(folder, "diverged", **_taught(folder), optimizer__learning_rate=1e30)


@pytest.mark.parametrize(
  ("text", "error", "message"),
  [
    ("nowhere", FileNotFoundError, "nowhere: it is not a run folder"),
    ("mlpp@{folder}/data.npz", ValueError, "the teacher mlpp@"),
    ("resnet18@{folder}/none.pth", FileNotFoundError, "there is no file"),
    ("resnet18@{folder}/data.npz", ValueError, "the teacher resnet18@"),
    ("{folder}", FileNotFoundError, "the teacher "),
  ],
)
def test_what_is_not_a_teacher_is_refused(folder, text, error, message):
  text = text.format(folder=folder)
  with pytest.raises(error, match=message):
    _prepare(folder, task__teachers=(text,))


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"task__teachers": ()}, "'distillation', and task.teachers is empty"),
    ({"task__name": "classification"}, "which has no teachers"),
    ({"task__name": "multilabel"}, "which has no teachers"),
  ],
)
def test_keys_that_do_not_fit_are_refused(folder, changes, message):
  with pytest.raises(ValueError, match=message):
    _prepare(folder, **changes)


def test_a_teacher_of_other_classes_is_refused(folder, tmp_path):
  tiny_runs.write_data(tmp_path, num_classes=4)
  config = tiny_runs.load_config(tmp_path, **_taught(folder))
  with pytest.raises(ValueError, match="has 3 classes, and the data have 4"):
    setup.prepare(config, setup.open_splits(config))


def test_classes_are_compared_by_name(folder):
  (teacher,) = _prepare(folder).taught.teachers
  named = dataclasses.replace(teacher, class_names=("cat", "dog", "owl"))
  teachers.check_classes([named], ("cat", "dog", "owl"))
  teachers.check_classes([named], ("0", "1", "2"))
  with pytest.raises(ValueError, match="class 1 is 'dog', and 'owl' in the"):
    teachers.check_classes([named], ("cat", "owl", "dog"))


@pytest.mark.slow
def test_images_without_labels_are_learned(folder, tmp_path):
  with np.load(folder / "data.npz") as arrays:
    images = {k: v for k, v in arrays.items() if k.endswith("images")}
  np.savez(tmp_path / "data.npz", **images)
  tiny_runs.load_config(tmp_path)
  result = _train(tmp_path, "run", **_taught(folder), data__labels="none")
  assert result["class_names"] == ["0", "1", "2"]
  assert result["final"]["metrics"].keys() == {"agreement", "loss"}
  page = (tmp_path / "run" / "report.html").read_text()
  assert "Disagreements" in page
  run = inference.load_run(tmp_path / "run")
  with pytest.raises(ValueError, match="trained on images without labels"):
    inference.evaluate(run, role="validation")
  labelled = pretrained.evaluate(
    run, "npz", str(folder / "data.npz"), "validation"
  )
  assert "top1" in labelled.metrics


def test_other_tasks_refuse_images_without_labels(folder):
  config = tiny_runs.load_config(folder, data__labels="none")
  with pytest.raises(ValueError, match="which needs labels"):
    setup.prepare(config, setup.open_splits(config))


def test_paths_are_those_of_the_user(folder, monkeypatch):
  monkeypatch.setenv("HOME", str(folder))
  parts = _prepare(folder, task__teachers=("~/teacher",))
  assert pathlib.Path(parts.taught.teachers[0].name).name == "teacher"

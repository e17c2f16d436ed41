"""Teachers are classifiers of the classes of the data; errors are explained."""

import json
import pathlib
from urllib.error import HTTPError

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_runs
from weight_files import random_variables

from jaxvision import models, trees, weights
from jaxvision.downloads import fetch
from jaxvision.runs import workdir as workdirs
from jaxvision.training import setup

ADDRESS = "https://user:pw@host/net.safetensors?token=secret"
MIXER = {"width": 16, "depth": 1, "tokens_dim": 8, "channels_dim": 24}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Data and a recipe."""
  path = tmp_path_factory.mktemp("teachers")
  tiny_runs.write_data(path)
  return path


@pytest.fixture(scope="module")
def file(folder):
  """A file of weights with 5 classes."""
  path = folder / "net.safetensors"
  model = models.create("mixer_s16", num_classes=5, **MIXER)
  variables = random_variables(model, 16)
  weights.save(path, "mixer_s16", variables, model=model, image_size=16)
  return path


def _prepare(folder, teacher, *, devices=None, **more):
  taught = {
    "task__name": "distillation",
    "task__teachers": (str(teacher),),
    "task__teacher_image_size": 16,
  }
  config = tiny_runs.load_config(folder, **{**taught, **more})
  return setup.prepare(config, setup.open_splits(config), devices=devices)


def _write_run(folder: pathlib.Path, path: pathlib.Path, task: str):
  """A run of a task, without a checkpoint."""
  config = tiny_runs.load_config(folder, task__name=task)
  workdirs.claim(path, config=config.to_dict(), recipe="", overrides={})
  known = {"class_names": ["0", "1", "2"], "image_shape": [4, 4, 1]}
  workdirs.write_result(path, known)
  return path


@pytest.mark.parametrize(
  "name", ["multilabel", "regression", "adversarial", "captioning"]
)
def test_a_run_of_another_task_is_no_teacher(folder, tmp_path, name):
  path = _write_run(folder, tmp_path / "run", name)
  with pytest.raises(ValueError, match=f"run of the task '{name}', which"):
    _prepare(folder, path)


class Scores(nn.Module):
  """A network with one score for each image, as a critic has."""

  num_classes: int

  @nn.compact
  def __call__(self, images, *, train):
    return nn.Dense(1)(images.mean((1, 2)))


def test_a_network_without_logits_is_no_teacher(folder, tmp_path, monkeypatch):
  path = _write_run(folder, tmp_path / "run", "classification")
  monkeypatch.setattr(weights, "implied_options", lambda *_, **__: {})
  monkeypatch.setattr(
    models, "create", lambda *_, num_classes: Scores(num_classes)
  )
  with pytest.raises(ValueError, match=r"it returns \(2, 1\) for 2 images"):
    _prepare(folder, path)


def test_the_number_of_classes_is_compared_before_logits_are_computed(
  folder, file, tmp_path
):
  logits = tmp_path / "logits"
  with pytest.raises(ValueError, match="has 5 classes, and the data have 3"):
    _prepare(folder, f"mixer_s16@{file}", task__teacher_logits=str(logits))
  assert not logits.exists()


@pytest.mark.parametrize("stored", [False, True])
def test_a_plan_of_images_without_labels_has_the_classes_of_the_file(
  folder, file, tmp_path, stored
):
  parts = _prepare(
    folder,
    f"mixer_s16@{file}",
    devices=jax.devices(),
    task__teacher_logits=str(tmp_path / "logits") if stored else "",
    data__labels="none",
  )
  assert parts.class_names == tuple("01234")
  assert parts.model.num_classes == 5
  if not stored:
    (teacher,) = parts.taught.teachers
    assert teacher.variables["params"]["head"]["kernel"].shape == (16, 5)


@pytest.mark.parametrize(
  ("raised", "kind"),
  [
    (json.JSONDecodeError("broken", "{", 1), ValueError),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "broken"), ValueError),
    (HTTPError("url", 500, "broken", None, None), OSError),
    (PermissionError(13, "broken"), OSError),
    (ConnectionResetError("broken"), ConnectionError),
  ],
)
def test_errors_of_libraries_name_the_teacher(
  folder, file, monkeypatch, raised, kind
):
  def preprocessing(*_):
    raise raised

  monkeypatch.setattr(weights, "preprocessing", preprocessing)
  with pytest.raises(kind, match=r"the teacher mixer.*: .*broken"):
    _prepare(folder, f"mixer_s16@{file}")


def _assert_redacted(text):
  assert "mixer_s16@https://host/net.safetensors" in text
  assert "pw" not in text and "secret" not in text


def test_messages_have_no_passwords(folder, file, monkeypatch):
  secret = f"mixer_s16@{ADDRESS}"
  monkeypatch.setattr(fetch, "local_path", lambda *_, **__: file)
  with pytest.raises(ValueError, match="has no teachers") as raised:
    _prepare(folder, secret, task__name="classification")
  _assert_redacted(str(raised.value))
  with monkeypatch.context() as offline:

    def refuse(*_, **__):
      raise ConnectionError(f"cannot reach {ADDRESS}")

    offline.setattr(fetch, "local_path", refuse)
    with pytest.raises(ConnectionError, match="cannot reach") as raised:
      _prepare(folder, secret)
    _assert_redacted(str(raised.value))
  model = models.create("mixer_s16", num_classes=5, **MIXER)
  broken = {"params": {"head": {"bias": jnp.full(5, np.nan)}}}
  monkeypatch.setattr(weights, "load", lambda *_, **__: (model, broken))
  with pytest.raises(trees.NotFinite, match="NaN") as raised:
    _prepare(folder, secret)
  _assert_redacted(str(raised.value))


def test_the_record_of_stored_logits_has_no_passwords(
  folder, file, tmp_path, monkeypatch
):
  monkeypatch.setattr(fetch, "local_path", lambda *_, **__: file)
  _prepare(
    folder,
    f"mixer_s16@{ADDRESS}",
    data__labels="none",
    task__teacher_logits=str(tmp_path),
  )
  _assert_redacted((tmp_path / "record.json").read_text())

"""The data of a run are compared with the data at its start."""

import dataclasses
import json
import logging
import os
import pathlib
import shutil

import numpy as np
import pytest
import tiny_runs
import written_sources
from written_sources import config

from jaxvision import data, training
from jaxvision.data.inspection import identity
from jaxvision.training import run as run_module
from jaxvision.training.setup import data_record


def opened(cut):
  return {role: data.open_dataset(cut, role) for role in ("train", "test")}


def folder(path, *, train=12, test=6, classes=("ant", "bee")):
  for split, count in (("train", train), ("test", test)):
    for name in classes:
      for number in range(count):
        file = path / split / name / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(written_sources.png(number))
  return config("folder", path)


@pytest.mark.parametrize("kind", [*written_sources.WRITERS, "mixture"])
def test_the_same_data_are_the_same(tmp_path, kind):
  workdir = tmp_path / "run"
  workdir.mkdir()
  source = tmp_path / "data"
  source.mkdir()
  write = written_sources.WRITERS.get(kind, written_sources.mixture)
  cut = write(source)
  data_record.check(workdir, opened(cut))
  written = (workdir / "data.json").read_bytes()
  data_record.check(workdir, opened(cut))
  data_record.check_role(workdir, "test", opened(cut)["test"])
  assert (workdir / "data.json").read_bytes() == written
  record = json.loads(written)
  assert record["class_names"] == list(written_sources.CLASSES)
  counts = {
    role: each["num_examples"] for role, each in record["splits"].items()
  }
  assert counts["test"] == 8


def replace_with_half(source):
  arrays = dict(np.load(source / "zoo.npz"))
  for name in ("train_images", "train_labels"):
    arrays[name] = arrays[name][:12]
  np.savez(source / "zoo.npz", **arrays)


def permute_labels(source):
  arrays = dict(np.load(source / "zoo.npz"))
  arrays["train_labels"] = (arrays["train_labels"] + 1) % 3
  np.savez(source / "zoo.npz", **arrays)


def change_a_pixel(source):
  arrays = dict(np.load(source / "zoo.npz"))
  arrays["train_images"][5, 0, 0, 0] ^= 1
  np.savez(source / "zoo.npz", **arrays)


def change_a_label_in_a_tar(source):
  path = source / "zoo-train-0000.tar"
  content = path.read_bytes()
  first = content.index(b"train/000.cls") + 512
  path.write_bytes(content[:first] + b"2" + content[first + 1 :])


def rename_a_file(source):
  (source / "train" / "ant" / "00.png").rename(source / "train/ant/99.png")


def move_between_classes(source):
  (source / "train" / "ant" / "00.png").rename(source / "train/bee/00.png")


def add_a_file(source):
  shutil.copy(source / "train/ant/00.png", source / "train/ant/new.png")


def remove_a_shard(source):
  (source / "zoo-train-0002.tar").unlink()


def other_records(source):
  """The same number of other records, with equal sizes and names."""
  (shard,) = source.glob("zoo/1.0.0/zoo-train*-00000-of-*")
  images = [written_sources.png(150 + n) for n in range(8)]
  content = [
    written_sources.tf_example({"image": [i], "label": [0], "size": [0.5, 2.0]})
    for i in images
  ]
  shard.unlink()
  written_sources.write_array_record(shard, content)


def swap_contents(source):
  """Swaps the contents of two files; their names stay."""
  for split in ("train",):
    names = sorted((source / split).iterdir())
    first, last = names[0].read_bytes(), names[-1].read_bytes()
    names[0].write_bytes(last)
    names[-1].write_bytes(first)


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize(
  ("kind", "change", "message"),
  [
    ("npz", replace_with_half, "train: 23 examples then, 12 now"),
    (
      "npz",
      permute_labels,
      "same 23 examples by name, but with different labels",
    ),
    ("npz", change_a_pixel, "same 23 examples by name"),
    (
      "webdataset",
      change_a_label_in_a_tar,
      "but different ones, or in another",
    ),
    ("webdataset", remove_a_shard, "train: 23 examples then, 16 now"),
    ("folder", rename_a_file, "but different ones, or in another order"),
    ("folder", move_between_classes, "but different ones, or in another order"),
    ("folder", add_a_file, "train: 23 examples then, 24 now"),
    ("array_record", other_records, "same 23 examples by name"),
    ("own", swap_contents, "same 23 examples by name"),
    (
      "mixture",
      lambda s: add_a_file(s / "images"),
      r"as many examples \(35\), but different ones",
    ),
  ],
)
def test_other_data_are_refused_with_the_difference(
  tmp_path, kind, change, message, caplog
):
  source, workdir = tmp_path / "data", tmp_path / "run"
  source.mkdir()
  workdir.mkdir()
  write = written_sources.WRITERS.get(kind, written_sources.mixture)
  cut = write(source)
  data_record.check(workdir, opened(cut))
  change(source)
  if kind == "npz":
    os.utime(cut.name, ns=(1, 1))
  with pytest.raises(ValueError, match=message) as caught:
    data_record.check(workdir, opened(cut))
  assert "--data-changed=accept" in str(caught.value)
  before = json.loads((workdir / "data.json").read_text("utf-8"))
  data_record.check(workdir, opened(cut), changed="accept")
  assert "The changed data are accepted" in caplog.text
  after = json.loads((workdir / "data.json").read_text("utf-8"))
  assert after["before"] == [before]
  data_record.check(workdir, opened(cut))


def test_changed_class_indices_cannot_be_accepted(tmp_path):
  cut = folder(tmp_path / "data")
  data_record.check(tmp_path, opened(cut))
  for split in ("train", "test"):
    (tmp_path / "data" / split / "ant").rename(
      tmp_path / "data" / split / "zoo"
    )
  for changed in data_record.CHOICES:
    with pytest.raises(ValueError, match="'ant' no longer there") as caught:
      data_record.check(tmp_path, opened(cut), changed=changed)
    text = str(caught.value)
    assert "'bee' was 1 and is 0" in text and "learned" in text
    assert "--data-changed" not in text


def test_a_class_may_be_renamed(tmp_path):
  cut = folder(tmp_path / "data")
  data_record.check(tmp_path, opened(cut))
  for split in ("train", "test"):
    (tmp_path / "data" / split / "bee").rename(
      tmp_path / "data" / split / "wasp"
    )
  with pytest.raises(ValueError, match=r"'bee' no longer there\n.*'wasp' new"):
    data_record.check(tmp_path, opened(cut))
  data_record.check(tmp_path, opened(cut), changed="accept")


def test_training_images_in_an_evaluated_split_give_a_warning(tmp_path, caplog):
  """Ten more images move the slices of a folder."""
  source = tmp_path / "data"
  for name in ("ant", "bee"):
    for number in range(20):
      path = source / name / f"{number}.png"
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(written_sources.png(number))
  cut = config("folder", source)
  trained = data.open_dataset(cut, "train[:50%]")
  ids = set(trained.ids(range(trained.num_examples)))
  tested = data.open_dataset(cut, "train[50%:]")
  data_record.check(tmp_path, {"train": trained, "test": tested})
  data_record.check_role(tmp_path, "test", tested)
  assert not caplog.text
  for number in range(20, 25):
    for name in ("ant", "bee"):
      (source / name / f"{number}.png").write_bytes(b"")
  tested = data.open_dataset(cut, "train[50%:]")
  shared = len(ids & set(tested.ids(range(tested.num_examples))))
  assert shared > 0
  with pytest.raises(ValueError, match="test: 20 examples then, 25 now"):
    data_record.check_role(tmp_path, "test", tested)
  text = f"{shared} of the 25 examples of 'train[50%:]' were trained on"
  assert text in caplog.text
  data_record.check_role(tmp_path, "test", tested, changed="accept")
  assert "The changed data are accepted" in caplog.text
  caplog.clear()
  trained = data.open_dataset(cut, "train[:50%]")
  splits = {"train": trained, "test": tested}
  data_record.check(tmp_path, splits, changed="accept")
  assert text in caplog.text


@pytest.mark.parametrize("kind", [*written_sources.WRITERS, "mixture"])
def test_overlapping_slices_give_a_warning(tmp_path, kind, caplog):
  write = written_sources.WRITERS.get(kind, written_sources.mixture)
  for name in ("run", "data"):
    (tmp_path / name).mkdir()
  cut = write(tmp_path / "data")
  train = data.open_dataset(cut, "train[:80%]")
  test = data.open_dataset(cut, "train[50%:]")
  shared = set(train.ids(range(train.num_examples))) & set(
    test.ids(range(test.num_examples))
  )
  validation = data.open_dataset(cut, "test")
  splits = {"train": train, "validation": validation, "test": test}
  data_record.check(tmp_path / "run", splits)
  (warning,) = (each for each in caplog.messages if "are also in train" in each)
  assert warning.startswith(
    f"{len(shared)} of the {test.num_examples} examples of test "
    "('train[50%:]') are also in train ('train[:80%]')"
  )


def test_a_run_without_a_record_gets_one(tmp_path):
  cut = folder(tmp_path / "data")
  data_record.check_role(tmp_path, "test", opened(cut)["test"])
  assert not (tmp_path / "data.json").exists()
  data_record.check(tmp_path, opened(cut))
  assert (tmp_path / "data.json").exists()


@pytest.mark.parametrize(
  "content", [b"", b"[]", b"{}", b'{"splits": 3}', b"\xff"]
)
def test_a_damaged_record_is_named_and_made_again(tmp_path, content, caplog):
  cut = folder(tmp_path / "data")
  (tmp_path / "data.json").write_bytes(content)
  (tmp_path / "train_ids.npy").write_bytes(content)
  data_record.check_role(tmp_path, "test", opened(cut)["test"])
  assert "data.json" in caplog.text and "train_ids.npy" in caplog.text
  data_record.check(tmp_path, opened(cut))
  caplog.clear()
  data_record.check(tmp_path, opened(cut))
  assert not caplog.records


def test_reading_that_is_not_repeatable_is_not_compared(tmp_path):
  rng = np.random.default_rng(0)
  plain = opened(folder(tmp_path / "data"))
  noisy = {
    role: dataclasses.replace(
      each,
      content=None,
      read=lambda indices: [
        (rng.integers(0, 9, (4, 4, 3), np.uint8), 0) for _ in indices
      ],
    )
    for role, each in plain.items()
  }
  data_record.check(tmp_path, noisy)
  data_record.check(tmp_path, noisy)


def test_a_sample_of_many_ids_is_compared(tmp_path, monkeypatch):
  cut = folder(tmp_path / "data", train=200)
  ((whole, _, _),) = data.open_dataset(cut, "train").ranges
  asked = []
  counting = dataclasses.replace(
    whole, ids=lambda indices: asked.extend(indices) or whole.ids(indices)
  )
  monkeypatch.setattr(identity, "_MOST_IDS", 50)
  first, keys = identity.identify({"train": counting})
  assert len(asked) == 50
  assert len(keys["train"]) == 50
  assert identity.identify({"train": counting})[0] == first


def test_a_run_resumes_only_with_its_data(tmp_path, monkeypatch, caplog):
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  monkeypatch.setattr(run_module, "fit", lambda *_, **__: {"final": {}})
  run = {"recipe": str(tmp_path / "recipe.py"), "workdir": tmp_path / "run"}
  training.train(**run)
  tiny_runs.write_data(tmp_path, sizes={"train": 20, "validation": 21})
  with pytest.raises(ValueError, match="train: 40 examples then, 20 now"):
    training.train(**run)
  with caplog.at_level(logging.WARNING):
    training.train(**run, data_changed="accept")
  assert "The changed data are accepted" in caplog.text
  training.train(**run)
  (tmp_path / "run" / "data.json").unlink()  # as in older runs
  training.train(**run)
  assert pathlib.Path(tmp_path, "run", "data.json").exists()

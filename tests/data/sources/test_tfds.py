import os

import numpy as np
import pytest
import tensorflow_datasets
import written_sources

from jaxvision import data
from jaxvision.data.sources import tfds


def config(kind, name, **changes):
  return data.Source(kind=kind, name=str(name), **changes)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  directory = tmp_path_factory.mktemp("prepared")
  data.prepare("digits", data_dir=directory)
  return directory


def test_slices_of_a_prepared_data_set_are_its_examples(data_dir):
  cut = config("tfds", "digits:1.0.0", data_dir=data_dir)
  whole = data.open_dataset(cut, "train")
  head = data.open_dataset(cut, "train[:80%]")
  tail = data.open_dataset(cut, "train[80%:]+test[:2]")
  assert (head.num_examples, tail.num_examples) == (1006, 253)
  assert head.read([1005, 3]) == whole.read([1005, 3])
  assert tail.read([0]) == whole.read([1006])
  assert tail.ids([0, 250, 252]) == ["train/1006", "train/1256", "test/1"]
  together = np.concatenate([head.labels(), tail.labels()[:251]])
  np.testing.assert_array_equal(together, whole.labels())


def test_reads_keep_the_order_of_the_indices(data_dir):
  cut = config("tfds", "digits", data_dir=data_dir)
  dataset = data.open_dataset(cut, "test+train")
  indices = np.random.default_rng(0).permutation(1617)[:50]
  alone = [dataset.read([index])[0] for index in indices]
  assert dataset.read(indices) == alone


def test_image_and_label_are_found_among_the_features():
  features = tensorflow_datasets.features
  known = {
    "picture": features.Image(),
    "label": features.ClassLabel(num_classes=100),
    "coarse_label": features.ClassLabel(num_classes=20),
  }
  assert tfds._only(known, features.Image, "image") == "picture"
  assert tfds._only(known, features.ClassLabel, "label") == "label"
  known["fine"] = known.pop("label")
  with pytest.raises(ValueError, match=r"\['coarse_label', 'fine'\] among"):
    tfds._only(known, features.ClassLabel, "label")
  with pytest.raises(ValueError, match=r"has none among \['name'\]"):
    tfds._only({"name": features.Text()}, features.Image, "image")


@pytest.mark.parametrize("shards", [1, 4])
def test_both_formats_are_read_alike(tmp_path, shards):
  opened = []
  for file_format in ("array_record", "tfrecord"):
    (tmp_path / file_format).mkdir()
    cut = written_sources.tfds(tmp_path / file_format, file_format, shards)
    opened.append(data.open_dataset(cut, "train[3:]+test"))
  every = range(opened[0].num_examples)
  assert opened[0].read(every) == opened[1].read(every)
  contents = written_sources.CONTENTS
  assert opened[1].read(every) == contents["train"][3:] + contents["test"]
  assert opened[0].ids(every) == opened[1].ids(every)
  assert opened[0].class_names == opened[1].class_names


def test_labels_are_read_once(tmp_path):
  cut = written_sources.tfrecords(tmp_path)
  directory = tmp_path / "zoo" / "1.0.0"
  for path in directory.iterdir():
    os.utime(path, ns=(10**18, 10**18))
  first = data.open_dataset(cut, "train").labels()
  again = data.open_dataset(cut, "train")
  for path in directory.glob("*.tfrecord*"):
    path.write_bytes(bytes(path.stat().st_size))
    os.utime(path, ns=(10**18, 10**18))
  np.testing.assert_array_equal(again.labels(), first)
  assert first.tolist() == [y for _, y in written_sources.CONTENTS["train"]]


def test_a_shard_that_is_cut_says_so(tmp_path):
  cut = written_sources.tfrecords(tmp_path)
  shard = next((tmp_path / "zoo" / "1.0.0").glob("*-train*-00001-of-*"))
  os.truncate(shard, shard.stat().st_size - 5)
  with pytest.raises(
    ValueError, match=f"{shard.name} is truncated: it ends at byte"
  ):
    data.open_dataset(cut, "train")
  shard.unlink()
  with pytest.raises(FileNotFoundError, match=shard.name):
    data.open_dataset(cut, "train")


@pytest.mark.parametrize(
  ("features", "message"),
  [
    (
      {"label": [1]},
      r"train/0 in .*train.*: the feature 'image' must be one value of type",
    ),
    ({"image": [b"", b""], "label": [1]}, "'image' .* has 2 values"),
    (
      {"image": [b""], "label": [b"1"]},
      "'label' must be one value of type int",
    ),
  ],
)
def test_records_of_other_features_say_so(tmp_path, features, message):
  cut = written_sources.tfds(tmp_path, "tfrecord", 1)
  shard = next((tmp_path / "zoo" / "1.0.0").glob("*-train*"))
  record = written_sources.tf_example(features)
  count = written_sources.NUM_TRAIN
  shard.write_bytes(written_sources.tfrecord([record] * count))
  with pytest.raises(OSError, match=message):
    data.open_dataset(cut, "train").read([0])


def damage(path, number, start=0, content=b"\xff" * 8):
  """Overwrites a part of a record of a TFRecord file; lengths stay correct."""
  whole, position = bytearray(path.read_bytes()), 0
  for _ in range(number):
    position += 16 + int.from_bytes(whole[position : position + 8], "little")
  first = position + 12 + start
  whole[first : first + len(content)] = content
  path.write_bytes(whole)


@pytest.mark.parametrize("content", [b"\xff" * 8, b"\xff" * 60, b"\0" * 8])
def test_a_malformed_record_counts_as_an_unreadable_image(
  tmp_path, content, caplog
):
  cut = written_sources.tfrecords(tmp_path)
  shard = sorted(tmp_path.rglob("zoo-train.tfrecord*"))[1]
  damage(shard, 3, content=content)
  dataset = data.open_dataset(cut, "train")
  with pytest.raises(
    OSError,
    match=r"record train/11 in .*00001-of-.*: a record of .* not a tf.train",
  ):
    dataset.read([11])
  labels = dataset.labels()
  assert labels[11] == -1 and (np.delete(labels, 11) >= 0).all()
  batches = data.make_batches(
    dataset, batch_size=23, threads=0, max_unreadable=0.1
  )
  batch = batches.at(0)
  assert batch["mask"].tolist() == [float(i != 11) for i in range(23)]
  np.testing.assert_array_equal(
    np.delete(batch["label"], 11), [i % 3 for i in range(23) if i != 11]
  )
  assert "unreadable image train/11" in caplog.text
  with pytest.raises(data.UnreadableImage, match=r"train/11: .*not a tf.train"):
    data.make_batches(dataset, batch_size=23, threads=0).at(0)


def test_a_damaged_array_record_counts_as_unreadable(tmp_path):
  cut = written_sources.array_record(tmp_path)
  shard = sorted(tmp_path.rglob("zoo-train.array_record*"))[0]
  content = bytearray(shard.read_bytes())
  content[200:400:9] = bytes(23)
  shard.write_bytes(content)
  dataset = data.open_dataset(cut, "train")
  failed = 0
  for index in range(23):
    try:
      dataset.read([index])
    except OSError as error:
      assert f"record train/{index} in {shard}: " in str(error)
      failed += 1
  assert failed >= 1


def test_a_file_of_names_that_is_cut_is_named(tmp_path):
  cut = written_sources.array_record(tmp_path)
  (names,) = tmp_path.rglob("label.labels.txt")
  names.write_text("ant\nbee\n")
  with pytest.raises(
    ValueError, match=r"labels\.txt has 2 names, .* 3 classes"
  ):
    data.open_dataset(cut, "train")

"""Images without labels, with or without captions, of every kind of data."""

import json

import captioned_files
import numpy as np
import pytest
from captioned_files import CAPTIONS, png
from written_sources import (
  config,
  tf_example,
  write_array_record,
  write_tar,
)

from jaxvision import data
from jaxvision.data.sources import pairs

COUNT = len(CAPTIONS)


def write_folder(folder):
  return config("folder", captioned_files.beside(folder), labels="none")


def write_table(folder):
  captioned_files.beside(folder / "deep")
  lines = ["file_name,text"]
  for i, captions in enumerate(CAPTIONS):
    (folder / "deep" / f"{i}.txt").unlink()
    lines += [f'deep/{i}.png,"{each}"' for each in captions]
  (folder / "metadata.csv").write_text("\n".join(lines))
  return config("folder", folder, labels="none")


def write_npz(folder):
  images = np.arange(COUNT, dtype=np.uint8)[:, None, None, None]
  captions = ["\n".join(each) for each in CAPTIONS]
  path = folder / "a.npz"
  np.savez(path, images=np.tile(images, (1, 4, 5, 1)), captions=captions)
  return config("npz", path, labels="none")


OWN = """
import captioned_files
import numpy as np
from jaxvision.data.sources import pairs


def load(name):
  captions = ["\\n".join(each) for each in captioned_files.CAPTIONS]
  values = np.arange(len(captions), dtype=np.uint8)[:, None, None, None]
  images = np.tile(values, (1, 4, 5, 1))
  return pairs.from_arrays(images, None, label_kind="none", captions=captions)
"""


def write_function(folder):
  path = folder / "own.py"
  path.write_text(OWN)
  return config(f"{path}:load", labels="none")


def write_tars(folder):
  members = []
  for i, captions in enumerate(CAPTIONS):
    members += [
      (f"{i}.png", png(i)),
      (f"{i}.txt", "\n".join(captions).encode()),
    ]
  write_tar(folder / "a.tar", members)
  return config("webdataset", folder, labels="none")


def write_tfds(folder, sequence=True):
  """In the form of coco_captions, or with a list of texts."""
  from tensorflow_datasets import features

  directory = folder / "zoo" / "1.1.0"
  directory.mkdir(parents=True)
  each = {"id": np.int64, "text": features.Text()}
  features.FeaturesDict(
    {
      "captions": features.Sequence(each if sequence else features.Text()),
      "image": features.Image(shape=(None, None, 3), encoding_format="png"),
      "image/id": np.int64,
    }
  ).save_config(directory)
  records = [
    tf_example(
      {
        "captions/text" if sequence else "captions": [
          each.encode() for each in captions
        ],
        "image": [png(i)],
        "image/id": [i],
      }
    )
    for i, captions in enumerate(CAPTIONS)
  ]
  write_array_record(
    directory / "zoo-train.array_record-00000-of-00001", records
  )
  split = {"name": "train", "shardLengths": [str(COUNT)], "numBytes": "1"}
  split["filepathTemplate"] = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
  info = {"name": "zoo", "version": "1.1.0", "fileFormat": "array_record"}
  (directory / "dataset_info.json").write_text(
    json.dumps({**info, "splits": [split]})
  )
  return config("tfds", "zoo", data_dir=folder, labels="none")


def write_tfds_texts(folder):
  return write_tfds(folder, sequence=False)


WRITERS = (
  *(write_folder, write_table, write_npz, write_tars, write_function),
  *(write_tfds, write_tfds_texts),
)


def _number(image):
  if isinstance(image, bytes):
    image = data.decode(image, channels=1)
  return int(image[0, 0, 0])


@pytest.mark.parametrize("write", WRITERS)
def test_images_have_no_labels_and_all_their_captions(write, tmp_path):
  opened = data.open_dataset(write(tmp_path), "train")
  indices = range(COUNT)
  texts = opened.fields()["caption"].read(indices)
  found = {
    _number(image): text
    for (image, _), text in zip(opened.read(indices), texts, strict=True)
  }
  assert found == {i: "\n".join(each) for i, each in enumerate(CAPTIONS)}
  assert opened.label_kind == "none"
  assert opened.class_names == ("image",)
  assert opened.labels().tolist() == [-1] * COUNT
  assert {label for _, label in opened.read(indices)} == {-1}


@pytest.mark.parametrize("write", [write_folder, write_tfds])
def test_batches_have_the_captions_of_their_images(write, tmp_path):
  """The label of each row is -1."""
  opened = data.open_dataset(write(tmp_path), "train")
  batches = data.make_batches(
    opened, batch_size=COUNT, channels=1, seed=3
  ).with_fields(
    {"image": ((4, 5, 1), "uint8"), "caption": ((), "int32")},
    {"caption": lambda text: np.int32(len(text))},
  )
  batch = batches.at(0)
  lengths = [len("\n".join(each)) for each in CAPTIONS]
  numbers = batch["image"][:, 0, 0, 0].tolist()
  assert sorted(numbers) == list(range(COUNT))
  assert batch["caption"].tolist() == [lengths[i] for i in numbers]
  assert batch["label"].tolist() == [-1] * COUNT


@pytest.mark.parametrize("write", WRITERS)
def test_inspection_and_doctor(write, tmp_path):
  of = write(tmp_path)
  (summary,) = data.inspect(of, splits=["train"], channels=1)
  assert summary.counts == {} and summary.num_examples == COUNT
  assert summary.fields["caption"] == "text"
  findings = data.diagnose(of, channels=1)
  assert {each.severity for each in findings} <= {"note"}
  opened = data.open_dataset(of, "train")
  images, titles = data.sample(opened, per_class=8, channels=1)
  assert len(images) == COUNT
  assert " / ".join(CAPTIONS[0]) in titles


def test_a_function_may_return_images_alone(tmp_path):
  path = tmp_path / "my_data.py"
  path.write_text(
    "import numpy as np\n"
    "def load(name):\n"
    "  images = np.arange(6, dtype=np.uint8)[:, None, None, None]\n"
    "  return {'train': images, 'test': (images[:2], [5, 6])}\n"
  )
  of = config(f"{path}:load", labels="none")
  for split, count in {"train": 6, "test": 2}.items():
    opened = data.open_dataset(of, split)
    assert opened.labels().tolist() == [-1] * count
    found = {_number(image) for image, _ in opened.read(range(count))}
    assert found == set(range(count))


def test_splits_of_a_folder(tmp_path):
  for split in ("train", "val2017"):
    captioned_files.beside(tmp_path / split / "deep")
  of = config("folder", tmp_path, labels="none")
  assert data.split_sizes(of) == {"train": 5, "validation": 5}
  assert (
    data.open_dataset(of, "validation")
    .ids([0])[0]
    .startswith(f"{tmp_path}/val2017/deep/")
  )


@pytest.mark.parametrize("extra", ["annotations", "labels/deep", ".cache"])
def test_folders_without_images_are_no_matter(extra, tmp_path):
  for split in ("train2017", "val2017"):
    captioned_files.beside(tmp_path / split)
  (tmp_path / extra).mkdir(parents=True)
  (tmp_path / extra / "a.json").touch()
  of = config("folder", tmp_path, labels="none")
  assert data.split_sizes(of) == {"train": 5, "validation": 5}


def test_the_folder_may_be_the_current_one(tmp_path, monkeypatch):
  for split in ("train", "val"):
    captioned_files.beside(tmp_path / split)
  monkeypatch.chdir(tmp_path)
  of = config("folder", ".", labels="none")
  assert data.split_sizes(of) == {"train": 5, "validation": 5}


@pytest.mark.parametrize(
  ("extra", "named"),
  [("unlabeled/deep/1.png", "in unlabeled;"), ("1.png", r"in \./;")],
)
def test_images_outside_the_splits_are_an_error(extra, named, tmp_path):
  for split in ("train", "val"):
    captioned_files.write_image(tmp_path / split / "1.png", 1)
  captioned_files.write_image(tmp_path / extra, 2)
  of = config("folder", tmp_path, labels="none")
  with pytest.raises(
    ValueError, match=rf"splits \(train, val\) and outside them, {named}"
  ):
    data.open_dataset(of, "train")


def test_a_folder_of_classes_is_one_split_of_all_images(tmp_path):
  for name in ("ant", "bee", "cat"):
    captioned_files.write_image(tmp_path / name / "1.png", 1)
  captioned_files.write_image(tmp_path / "ant" / "1.mask.png", 1)
  of = config("folder", tmp_path, labels="none")
  opened = data.open_dataset(of, "train")
  assert opened.num_examples == 3 and "caption" not in opened.fields()


def test_classes_may_have_captions_beside_their_images(tmp_path, caplog):
  for name in ("ant", "bee"):
    captioned_files.beside(tmp_path / name)
  opened = data.open_dataset(config("folder", tmp_path), "train")
  assert set(opened.fields()["caption"].read(range(10))) == {
    "\n".join(each) for each in CAPTIONS
  }
  assert "skipped" not in caplog.text


@pytest.mark.parametrize("change", ["remove", "empty"])
def test_images_without_captions_are_counted(change, tmp_path, caplog):
  of = write_folder(tmp_path)
  for name in ("1.txt", "3.txt"):
    (tmp_path / name).unlink()
    if change == "empty":
      (tmp_path / name).touch()
  assert "caption" not in data.open_dataset(of, "train").fields()
  assert "2 of 5 images have no captions, such as" in caplog.text


def test_captions_that_are_no_text_are_unreadable(tmp_path):
  of = write_folder(tmp_path)
  (tmp_path / "2.txt").write_bytes(b"\xff\xfe")
  field = data.open_dataset(of, "train").fields()["caption"]
  with pytest.raises(OSError, match="not UTF-8 text"):
    field.read(range(COUNT))


@pytest.mark.parametrize("labels", [None, [1, 2]])
def test_given_labels_are_not_read(labels):
  opened = pairs.from_arrays(
    np.zeros((2, 3, 3), np.uint8), labels, label_kind="none"
  )
  assert opened.labels().tolist() == [-1, -1]


def test_missing_folders_and_repeated_splits(tmp_path):
  with pytest.raises(FileNotFoundError, match="no directory"):
    data.split_sizes(config("folder", tmp_path / "no", labels="none"))
  for name in ("val", "dev"):
    captioned_files.write_image(tmp_path / name / "1.png", 1)
  with pytest.raises(
    ValueError, match="two folders of one split among dev, val"
  ):
    data.split_sizes(config("folder", tmp_path, labels="none"))


def test_prepared_data_without_labels_name_the_key(tmp_path):
  of = write_tfds(tmp_path)
  of = config("tfds", "zoo", data_dir=tmp_path)
  with pytest.raises(ValueError, match=r'without labels, data\.labels="none"'):
    data.split_sizes(of)


def test_balanced_sampling_needs_classes(tmp_path):
  opened = data.open_dataset(write_folder(tmp_path), "train")
  with pytest.raises(ValueError, match=r"data\.labels is 'none', so there are"):
    data.make_batches(opened, batch_size=5, seed=0, sampling="balanced")

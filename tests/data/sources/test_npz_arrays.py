import os

import numpy as np
import pytest

from jaxvision import data


def config(kind, name, **changes):
  return data.Source(kind=kind, name=str(name), **changes)


def all_ids(dataset):
  return dataset.ids(range(dataset.num_examples))


IMAGES = np.arange(20 * 3 * 4 * 3).reshape(20, 3, 4, 3).astype(np.uint8)
LABELS = np.arange(20) % 4


def write_npz(path, **arrays):
  np.savez(path / "arrays.npz", **arrays)
  return path / "arrays.npz"


@pytest.mark.parametrize("plural", ["", "s"])
def test_npz_pairs_images_with_labels(tmp_path, plural):
  arrays = {f"image{plural}": IMAGES, f"label{plural}": LABELS}
  path = write_npz(tmp_path, **arrays)
  dataset = data.open_dataset(config("npz", path), "train")
  assert dataset.class_names == ("0", "1", "2", "3")
  rows = [int(name.split("/")[1]) for name in all_ids(dataset)]
  assert sorted(rows) == list(range(20)) != rows
  for row, (image, label) in zip(rows, dataset.read(range(20)), strict=True):
    np.testing.assert_array_equal(image, IMAGES[row])
    assert label == LABELS[row]
  np.testing.assert_array_equal(dataset.labels(), LABELS[rows])


def test_npz_with_splits_and_names(tmp_path):
  path = write_npz(
    tmp_path,
    train_images=IMAGES[:, :, :, 0],
    train_labels=LABELS,
    extra_images=IMAGES[:5, :, :, 0].astype(np.int64),
    extra_labels=LABELS[:5],
    class_names=np.asarray(["a", "b", "猫", "d"]),
  )
  dataset = data.open_dataset(config("npz", path), "extra+train[:50%]")
  assert dataset.class_names == ("a", "b", "猫", "d")
  assert dataset.num_examples == 15
  assert dataset.read([0])[0][0].shape == (3, 4, 1)
  assert np.bincount(dataset.labels()[5:]).tolist() in (
    [3, 3, 2, 2],
    [3, 2, 3, 2],
    [3, 2, 2, 3],
    [2, 3, 3, 2],
    [2, 3, 2, 3],
    [2, 2, 3, 3],
  )


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"labels": LABELS - 1}, "example 0: the label is -1; labels must"),
    ({"labels": LABELS[:5]}, r"labels .* \(5,\).*one per image"),
    ({"labels": LABELS * 1.0}, "labels are float64"),
    ({"images": IMAGES / 255.0}, "images are float64.*astype"),
    ({"images": IMAGES.astype(int) + 1000}, "expected 0..255"),
    ({"images": IMAGES[0, 0]}, r"shape \(4, 3\); expected"),
    ({"class_names": ["a", "b"]}, "label 2 .*outside the 2 classes"),
    ({"pictures": IMAGES}, "an array 'pictures'; expected images, labels"),
    ({"test_images": IMAGES}, "split 'test' has no array of labels"),
    ({"image": IMAGES}, "not the only array of images of the split 'train'"),
    ({"train_labels": LABELS}, "not the only array of labels"),
    (
      {"Train_images": IMAGES, "Train_labels": LABELS},
      "some of which differ only in capitals",
    ),
    ({"test_images": IMAGES, "test_labels": LABELS.astype(str)}, "others text"),
    (
      {"labels": np.where(LABELS == 3, 10**9, LABELS)},
      "example 3: the label 10",
    ),
    ({"labels": np.asarray(["a", "true"] * 10)}, "example 1: the label is 'tr"),
    ({"labels": np.asarray(["a", ""] * 10)}, "example 1: the label is empty"),
    (
      {"class_names": np.asarray(["crane", "b", "c", "crane"])},
      "classes 0 and 3 have the same name 'crane'",
    ),
    ({"class_names": np.asarray([["a"], ["b"]])}, "expected text of shape"),
    ({"class_names": np.asarray([{}])}, "not an .npz file of plain arrays"),
  ],
)
def test_broken_arrays_are_explained(tmp_path, changes, message):
  arrays = {"images": IMAGES.astype(int), "labels": LABELS, **changes}
  path = write_npz(tmp_path, **arrays)
  with pytest.raises(ValueError, match=message):
    data.open_dataset(config("npz", path), "train")


def test_a_file_that_is_no_npz(tmp_path):
  path = tmp_path / "arrays.npz"
  with pytest.raises(FileNotFoundError, match=r"no file .*arrays\.npz"):
    data.open_dataset(config("npz", path), "train")
  np.save(tmp_path / "array.npy", IMAGES)
  whole = (tmp_path / "array.npy").read_bytes()
  for content in (b"PK\x03\x04 half of a file", b"text", b"", whole):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"not an \.npz file of plain arrays"):
      data.open_dataset(config("npz", path), "train")


def test_a_rewritten_file_is_read_again(tmp_path):
  path = write_npz(tmp_path, images=IMAGES, labels=LABELS)
  assert data.split_sizes(config("npz", path)) == {"train": 20}
  write_npz(tmp_path, images=IMAGES[:7], labels=LABELS[:7])
  os.utime(path, ns=(1, 1))  # clocks of file systems can be coarse
  assert data.split_sizes(config("npz", path)) == {"train": 7}


def test_labels_of_one_byte_are_numbers(tmp_path):
  path = write_npz(tmp_path, images=IMAGES, labels=LABELS.astype(np.uint8))
  dataset = data.open_dataset(config("npz", path), "train")
  assert dataset.class_names == ("0", "1", "2", "3")
  assert np.bincount(dataset.labels()).tolist() == [5, 5, 5, 5]

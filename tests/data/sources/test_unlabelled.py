"""Images without labels, from every kind of data."""

import cv2
import numpy as np
import pytest

from jaxvision import data
from jaxvision.data import sources


def _images(count=6):
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (count, 5, 4, 3)).astype(np.uint8)


def _open(kind, name, split="train", **more):
  source = data.Source(kind=kind, name=str(name), labels="none", **more)
  return data.open_dataset(source, split)


def _write(folder, images):
  folder.mkdir(parents=True, exist_ok=True)
  for number, image in enumerate(images):
    cv2.imwrite(str(folder / f"{number}.png"), image[..., ::-1])


def _seen(dataset):
  """The images of a split in any order, as batches give them."""
  batches = data.make_batches(dataset, batch_size=4, threads=0)
  rows = [batches.at(i) for i in range(batches.num_batches)]
  for batch in rows:
    assert batch["label"].dtype == np.int32
    np.testing.assert_array_equal(batch["label"][batch["mask"] > 0], -1)
  images = np.concatenate([b["image"][b["mask"] > 0] for b in rows])
  return sorted(each.tobytes() for each in images)


def _check(dataset, images):
  assert dataset.label_kind == "none" and dataset.class_names == ()
  assert dataset.labels().tolist() == [-1] * len(images)
  assert _seen(dataset) == sorted(each.tobytes() for each in images)


def test_a_folder_of_images_at_any_depth(tmp_path):
  images = _images()
  _write(tmp_path / "a" / "b", images[:4])
  _write(tmp_path / "c", images[4:])
  _check(_open("folder", tmp_path), images)
  ids = _open("folder", tmp_path).ids(range(6))
  assert len(set(ids)) == 6 and str(tmp_path) in ids[0]


def test_a_folder_with_splits(tmp_path):
  images = _images()
  _write(tmp_path / "train", images[:4])
  _write(tmp_path / "val" / "deep", images[4:])
  _check(_open("folder", tmp_path), images[:4])
  _check(_open("folder", tmp_path, "validation"), images[4:])


def test_an_npz_file_without_labels(tmp_path):
  images = _images()
  np.savez(tmp_path / "a.npz", images=images)
  _check(_open("npz", tmp_path / "a.npz"), images)
  np.savez(tmp_path / "b.npz", images=images, labels=np.arange(6))
  _check(_open("npz", tmp_path / "b.npz"), images)
  with pytest.raises(ValueError, match="no array of labels"):
    data.open_dataset(data.Source("npz", str(tmp_path / "a.npz")), "train")


def test_a_function_may_return_images_alone(tmp_path):
  np.save(tmp_path / "images.npy", _images())
  path = tmp_path / "my_data.py"
  path.write_text(
    "import numpy as np\n"
    "def load(name):\n"
    "  images = np.load(name)\n"
    "  return {'train': images, 'test': (images[:2], [5, 6])}\n"
  )
  name = tmp_path / "images.npy"
  _check(_open(f"{path}:load", name), _images())
  _check(_open(f"{path}:load", name, "test"), _images()[:2])


def test_the_labels_of_other_kinds_are_dropped(tmp_path):
  images = _images()
  np.savez(tmp_path / "a.npz", images=images, labels=np.arange(6) % 2)
  labelled = data.open_dataset(
    data.Source("npz", str(tmp_path / "a.npz")), "train"
  )
  _check(sources.unlabelled.without_labels(labelled), images)


def test_an_unlabelled_split_can_be_inspected(tmp_path):
  _write(tmp_path / "photos", _images())
  split = _open("folder", tmp_path)
  source = data.Source("folder", str(tmp_path), labels="none")
  (summary,) = data.inspect(source, splits=["train"], channels=3)
  assert summary.counts == {} and summary.num_examples == 6
  images, titles = data.sample(split, per_class=1, channels=3)
  assert len(images) == len(titles) > 0 and set(titles) == {""}
  findings = data.diagnose(source, channels=3)
  assert not [each for each in findings if each.severity == "error"]


def test_an_empty_folder_says_so(tmp_path):
  with pytest.raises(FileNotFoundError, match="no image in"):
    _open("folder", tmp_path)
  with pytest.raises(FileNotFoundError, match="no directory"):
    _open("folder", tmp_path / "none")

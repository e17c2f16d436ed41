import pathlib

import numpy as np
import pytest

from jaxvision.data.sources import pairs

IMAGES = np.arange(12 * 3 * 4 * 3).reshape(12, 3, 4, 3).astype(np.uint8)
NUMBERS = np.arange(12) % 3
TEXTS = ["猫", "dog", "ant"] * 4


def test_arrays_with_numbers():
  dataset = pairs.from_arrays(IMAGES, NUMBERS)
  assert dataset.class_names == ("0", "1", "2")
  rows = [int(each.split("/")[1]) for each in dataset.ids(range(12))]
  assert sorted(rows) == list(range(12)) != rows
  for row, (image, label) in zip(rows, dataset.read(range(12)), strict=True):
    np.testing.assert_array_equal(image, IMAGES[row])
    assert label == NUMBERS[row]
  np.testing.assert_array_equal(dataset.labels(), NUMBERS[rows])


def test_arrays_with_texts():
  dataset = pairs.from_arrays(IMAGES[..., 0].astype(int), TEXTS)
  assert dataset.class_names == ("ant", "dog", "猫")
  image, label = dataset.read([5])[0]
  row = int(dataset.ids([5])[0].split("/")[1])
  assert image.shape == (3, 4, 1) and image.dtype == np.uint8
  assert dataset.class_names[label] == TEXTS[row]


def test_names_of_classes_decide_their_order():
  names = ("猫", "dog", "ant", "elk")
  by_text = pairs.from_arrays(IMAGES, TEXTS, class_names=names)
  by_number = pairs.from_arrays(IMAGES, NUMBERS, class_names=names)
  assert by_text.class_names == by_number.class_names == names
  np.testing.assert_array_equal(by_text.labels(), by_number.labels())


def test_files_are_opened_when_they_are_read(tmp_path):
  paths = [tmp_path / f"é{number}.png" for number in range(12)]
  dataset = pairs.from_files(paths, TEXTS)
  with pytest.raises(FileNotFoundError):
    dataset.read([0])
  for path in paths:
    path.write_text(path.name)
  for index, name in enumerate(dataset.ids(range(12))):
    content, label = dataset.read([index])[0]
    assert content.decode() == pathlib.Path(name).name
    text = TEXTS[paths.index(pathlib.Path(name))]
    assert dataset.class_names[label] == text
  assert dataset.labels().tolist() == [y for _, y in dataset.read(range(12))]


def test_slices_are_stratified():
  labels = np.repeat([0, 1], [40, 8])
  dataset = pairs.from_files([str(i) for i in range(48)], labels)
  assert np.bincount(dataset.labels()[:24]).tolist() == [20, 4]


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"labels": NUMBERS - 1}, "example 0: the label is -1; labels must"),
    ({"labels": NUMBERS[:5]}, r"labels .* \(5,\); .* \(12,\), one per image"),
    ({"labels": NUMBERS * 1.0}, "labels are float64; expected integers, or te"),
    (
      {"labels": TEXTS, "class_names": ["dog"]},
      r"\['ant', '猫'\] are not among",
    ),
    ({"class_names": ["a", "b"]}, r"label 2 .*0\.\.1 \(4 such labels\)"),
    ({"images": IMAGES / 255.0}, "images are float64.*astype"),
    ({"images": IMAGES.astype(int) - 1}, r"pixels lie in -1\.\.254; expected"),
    ({"images": IMAGES[0, 0]}, r"shape \(4, 3\); expected"),
  ],
)
def test_invalid_pairs_are_explained(changes, message):
  arguments = {"images": IMAGES, "labels": NUMBERS, **changes}
  with pytest.raises(ValueError, match=f"mine, split 'extra'.*{message}"):
    pairs.from_arrays(**arguments, name="mine", split="extra")

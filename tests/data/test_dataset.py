import numpy as np
import pytest

from jaxvision.data import dataset


def numbered(first, labels, class_names=("a", "b", "c")):
  """Example i has the image i + first, an array of one pixel."""
  labels = np.asarray(labels, np.int64)
  return dataset.Dataset(
    name="numbers",
    split="train",
    class_names=class_names,
    num_examples=len(labels),
    ids=lambda indices: [f"{first + index}" for index in indices],
    labels=lambda: labels,
    read=lambda indices: [
      (np.full((1, 1, 1), first + index, np.uint8), int(labels[index]))
      for index in indices
    ],
  )


PARTS = (
  (numbered(0, [0, 1, 2, 0]), 1, 4),
  (numbered(10, [2, 2]), 0, 0),
  (numbered(20, [1, 1, 0]), 0, 2),
)


def test_joined_ranges_come_one_after_the_other():
  joined = dataset.join(PARTS, split="some")
  assert (joined.num_examples, joined.split) == (5, "some")
  assert joined.ids(range(5)) == ["1", "2", "3", "20", "21"]
  assert joined.labels().tolist() == [1, 2, 0, 1, 1]
  read = joined.read([4, 0, 3])
  assert [int(image[0, 0, 0]) for image, _ in read] == [21, 1, 20]
  assert [label for _, label in read] == [1, 1, 1]


def test_each_source_is_asked_once():
  asked = []
  whole = PARTS[0][0]

  def read(indices):
    asked.append(indices)
    return whole.read(indices)

  counted = dataset.dataclasses.replace(whole, read=read)
  joined = dataset.join([(counted, 1, 4), PARTS[2]], split="some")
  joined.read([2, 3, 0, 1])
  assert asked == [[3, 1, 2]]


def test_labels_count_in_a_longer_list_of_classes():
  original = numbered(0, [0, 1, 2, 0])
  found = dataset.relabel(original, class_names=("c", "x", "a", "b"))
  assert found.class_names == ("c", "x", "a", "b")
  assert found.labels().tolist() == [2, 3, 0, 2]
  assert [label for _, label in found.read([3, 2, 1])] == [2, 0, 3]
  assert found.ids([3]) == ["3"]
  same = dataset.relabel(original, class_names=original.class_names)
  assert same is original


def test_labels_outside_the_classes_stay_outside():
  found = dataset.relabel(
    numbered(0, [-1, 3, 1]), class_names=("b", "a", "c", "d")
  )
  assert found.labels().tolist() == [-1, -1, 0]
  assert [label for _, label in found.read(range(3))] == [-1, -1, 0]


def test_all_classes_must_be_in_the_list():
  with pytest.raises(KeyError, match="c"):
    dataset.relabel(numbered(0, [0]), class_names=("a", "b"))

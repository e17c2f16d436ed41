import numpy as np
import pytest

from jaxvision.data.sources import labels


def place(split, row):
  return f"{split} {row}"


def by_split(*arrays):
  return dict(zip(("train", "validation", "test"), arrays, strict=False))


def test_classes_of_several_splits_are_named_together():
  numbers = by_split([0, 1], [4], [])
  numbers = {split: np.asarray(each, int) for split, each in numbers.items()}
  named = labels.name_classes(numbers, locate=place)
  assert named == ("0", "1", "2", "3", "4")
  assert len(labels.name_classes(numbers, locate=place, num_classes=7)) == 7
  texts = by_split(np.asarray(["b", "a"]), np.asarray(["c", "a"]))
  assert labels.name_classes(texts, locate=place) == ("a", "b", "c")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.int8, np.int64])
def test_numbers_of_any_integer_type(dtype):
  unified = labels.unify({"train": np.asarray([0, 2], dtype)}, where="x")
  assert unified["train"].dtype == np.int64
  assert labels.name_classes(unified, locate=place) == ("0", "1", "2")


@pytest.mark.parametrize(
  ("arrays", "message"),
  [
    (
      [np.asarray([0, 1]), np.asarray(["1"])],
      "train: numbers, valid.*: text",
    ),
    ([np.asarray([0.0])], "labels are float64; expected integers, or text"),
    ([np.asarray([True])], "labels are bool"),
    ([np.asarray([None])], "labels are object"),
    ([np.asarray([2**64 - 1], np.uint64)], "would need as many classes"),
  ],
)
def test_labels_of_other_types_are_refused(arrays, message):
  with pytest.raises(ValueError, match=message):
    labels.unify(by_split(*arrays), where="x")


@pytest.mark.parametrize("text", ["", "3.0", "true", "[1]", "nan", "a\nb"])
def test_the_error_of_an_invalid_text_names_its_position(text):
  given = by_split(np.asarray(["a"]), np.asarray(["b", text]))
  unified = labels.unify(given, where="x")
  with pytest.raises(ValueError, match=r"validation 1: the label .*; expected"):
    labels.name_classes(unified, locate=place)


@pytest.mark.parametrize("largest", [30_000, 10**9, 2**62])
def test_the_error_of_a_far_too_large_number_names_its_position(largest):
  numbers = by_split(np.arange(10), np.asarray([3, largest]))
  with pytest.raises(ValueError, match=rf"validation 1: the label {largest}"):
    labels.name_classes(numbers, locate=place)


def test_many_classes_in_use_are_many_classes():
  numbers = by_split(np.arange(50_000))
  assert len(labels.name_classes(numbers, locate=place)) == 50_000
  with pytest.raises(ValueError, match="is 1,000,000,000; expected at most"):
    labels.name_classes(numbers, locate=place, num_classes=10**9)


@pytest.mark.parametrize(
  ("names", "message"),
  [
    (["crane", "bee", "crane"], "classes 0 and 2 have the same name 'crane'"),
    (["\u00e9", "e\u0301"], "have the same name"),
    (["a", " a"], "have the same name"),
    (["a", ""], "the name of class 1 is ''"),
    (["a\udcff"], "expected text in UTF-8"),
  ],
)
def test_names_must_tell_classes_apart(names, message):
  with pytest.raises(ValueError, match=f"here: .*{message}"):
    labels.check_names(names, where="here")


def test_names_in_arrays():
  assert labels.names_of(np.asarray([b"a", b"b"]), where="x") == ("a", "b")
  for wrong in ([["a"], ["b"]], [1.5]):
    with pytest.raises(ValueError, match=r"expected text of shape \("):
      labels.names_of(np.asarray(wrong), where="x")

import numpy as np
import pytest

from jaxvision.data.sources import splits

SIZES = {"train": 100, "test": 20}


@pytest.mark.parametrize(
  ("expression", "ranges"),
  [
    ("train", [("train", 0, 100)]),
    ("train[:80%]", [("train", 0, 80)]),
    ("train[80%:]", [("train", 80, 100)]),
    ("train[-10:]", [("train", 90, 100)]),
    ("train[10:20]+test", [("train", 10, 20), ("test", 0, 20)]),
    ("all", [("train", 0, 100), ("test", 0, 20)]),
    ("train[:0]+test", [("test", 0, 20)]),
  ],
)
def test_resolve_reads_the_slicing_syntax(expression, ranges):
  assert splits.resolve(expression, sizes=SIZES) == ranges


@pytest.mark.parametrize(
  ("expression", "message"),
  [
    ("tset", "unknown split 'tset'; did you mean 'test'.*known: test, train"),
    ("train+vaildation", "vaildation.*known: test, train"),
    ("train[:80", "is not a split expression"),
    ("train[:200]", "incompatible with 100"),
    ("train[:0]", "selects no example"),
    ("", "is not a split expression.*train \\(100\\), test \\(20\\)"),
  ],
)
def test_resolve_lists_existing_names(expression, message):
  with pytest.raises(ValueError, match=message):
    splits.resolve(expression, sizes=SIZES)


def test_every_prefix_of_the_order_is_stratified():
  labels = np.repeat([0, 1, 2, 3], [400, 100, 37, 3])
  order = splits.stratified_order(labels)
  assert sorted(order) == list(range(540))
  for share in (0.1, 0.5, 0.8):
    prefix = labels[order[: round(share * 540)]]
    counts = np.bincount(prefix, minlength=4)
    np.testing.assert_allclose(counts, share * np.bincount(labels), atol=1.01)


def test_the_order_does_not_run_through_equal_classes_in_turn():
  labels = splits.stratified_order(np.repeat(range(10), 20)) // 20
  rounds = labels.reshape(20, 10)
  assert (np.sort(rounds, axis=1) == np.arange(10)).all()
  assert len({tuple(each) for each in rounds.tolist()}) > 15


@pytest.mark.parametrize(
  ("name", "split"),
  [
    ("train", "train"),
    ("Training", "train"),
    ("trn", "train"),
    ("train2017", "train"),
    ("trainset", "train"),
    ("VAL", "validation"),
    ("dev", "validation"),
    ("eval", "validation"),
    ("validation_set", "validation"),
    ("Test images", "test"),
    ("testing", "test"),
    ("crash test dummy", ""),
    ("contest", ""),
    ("value", ""),
    ("device", ""),
    ("train_test", ""),
  ],
)
def test_folders_that_are_splits(name, split):
  assert splits.of_folder(name) == split

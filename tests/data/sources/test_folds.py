"""Folds of any data: disjoint, complete, stratified, the same for ever."""

import dataclasses
import itertools
import pickle

import numpy as np
import pytest
import written_sources
from sklearn import model_selection

from jaxvision import data
from jaxvision.data import dataset
from jaxvision.data.sources import folds

FOLDS = 3


def arrays(labels, *, kind="classes", classes=4, **changes):
  """A split whose example i has the image of one pixel i."""
  labels = np.asarray(labels)
  read = lambda rows: [  # noqa: E731
    (np.full((1, 1, 1), row, np.uint8), dataset.each_label(labels)[row])
    for row in rows
  ]
  facts = {
    "name": "numbers",
    "split": "train",
    "class_names": tuple(map(str, range(classes))),
    "num_examples": len(labels),
    "ids": lambda rows: [f"n{row}" for row in rows],
    "labels": lambda: labels,
    "read": read,
    "label_kind": kind,
  }
  return dataset.Dataset(**{**facts, **changes})


def _ids(split):
  return split.ids(range(split.num_examples))


@pytest.mark.matrix("npz", "webdataset", "mixture")
@pytest.mark.parametrize("kind", [*written_sources.WRITERS, "mixture"])
def test_each_example_of_any_source_is_held_out_once(tmp_path, kind):
  write = written_sources.WRITERS.get(kind, written_sources.mixture)
  whole = data.open_dataset(write(tmp_path), "train")
  known = dict(
    zip(_ids(whole), whole.read(range(whole.num_examples)), strict=True)
  )
  assert len(known) == whole.num_examples
  held = []
  for fold in range(FOLDS):
    train, inside = data.hold_out(whole, fold=fold, folds=FOLDS)
    held += _ids(inside)
    assert sorted(_ids(train) + _ids(inside)) == sorted(known)
    for split in (train, inside):
      # Processes that read the data get a copy.
      split = pickle.loads(pickle.dumps(split)) if kind != "own" else split
      for name, (image, label), noted in zip(
        _ids(split),
        split.read(range(split.num_examples)),
        split.labels(),
        strict=True,
      ):
        assert label == known[name][1] == noted
        assert np.array_equal(image, known[name][0])
  assert sorted(held) == sorted(known)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_counts_are_those_of_scikit_learn(count):
  rng = np.random.default_rng(count)
  labels = rng.choice(4, size=93, p=(0.5, 0.3, 0.15, 0.05))
  ours, theirs = [], []
  for fold in range(count):
    train, held = data.hold_out(arrays(labels), fold=fold, folds=count)
    ours.append(np.bincount(held.labels(), minlength=4))
    all_counts = ours[-1] + np.bincount(train.labels(), minlength=4)
    assert all_counts.tolist() == np.bincount(labels, minlength=4).tolist()
  oracle = model_selection.StratifiedKFold(count, shuffle=True, random_state=0)
  for _, rows in oracle.split(labels, labels):
    theirs.append(np.bincount(labels[rows], minlength=4))
  # Which folds have one more is free: the numbers for each class are the same.
  assert np.array_equal(np.sort(ours, 0), np.sort(theirs, 0))
  sizes = [sorted(map(sum, each)) for each in (ours, theirs)]
  assert sizes[0] == sizes[1]


def test_sets_are_stratified_by_the_rarest_class():
  rng = np.random.default_rng(0)
  labels = (rng.random((60, 3)) < (0.7, 0.4, 0.1)).astype(np.uint8)
  whole = arrays(labels, kind="sets", classes=3)
  counts = labels.sum(0)
  rarest = [
    min(np.flatnonzero(row), key=counts.__getitem__, default=3)
    for row in labels
  ]
  found = []
  for fold in range(4):
    _, held = data.hold_out(whole, fold=fold, folds=4)
    rows = [int(name[1:]) for name in _ids(held)]
    assert np.array_equal(held.labels(), labels[rows])
    found.append(np.bincount([rarest[row] for row in rows], minlength=4))
  assert np.ptp(found, 0).max() <= 1 and np.ptp(np.sum(found, 1)) <= 1


@pytest.mark.parametrize("kind", ["numbers", "none"])
def test_data_without_classes_have_random_folds_of_equal_size(kind):
  labels = np.linspace(0, 1, 22, dtype=np.float32)[:, None]
  if kind == "none":
    labels = np.full(22, -1)

  def refuse():
    raise AssertionError("these labels are not needed")

  whole = arrays(labels, kind=kind, classes=1)
  quiet = dataclasses.replace(whole, labels=refuse)
  held = [data.hold_out(quiet, fold=f, folds=4)[1] for f in range(4)]
  assert sorted(each.num_examples for each in held) == [5, 5, 6, 6]
  rows = [[int(name[1:]) for name in _ids(each)] for each in held]
  assert sorted(itertools.chain(*rows)) == list(range(22))
  # A fold is no range of the split.
  assert all(np.ptp(each) > 8 for each in rows)
  assert data.hold_out(whole, fold=1, folds=4)[0].label_kind == kind


def test_the_folds_never_change():
  """A run that is resumed with a later version has the same fold."""
  found = folds.assign(np.arange(12) % 2, folds=3)
  assert found.tolist() == [0, 0, 2, 0, 1, 1, 2, 1, 0, 2, 1, 2]


def test_the_sources_of_a_mixture_are_divided_and_keep_their_weights():
  first, second = [0, 1] * 10, [0] * 9
  joined = arrays(first + second, mixture=((20, 3.0), (9, 1.0)))
  for fold in range(3):
    train, held = data.hold_out(joined, fold=fold, folds=3)
    rows = np.array([int(name[1:]) for name in _ids(train)])
    sizes = (rows < 20).sum(), (rows >= 20).sum()
    assert train.mixture == ((sizes[0], 3.0), (sizes[1], 1.0))
    assert sizes[1] == 6 and sizes[0] in (13, 14)
    assert sum(size for size, _ in held.mixture) == held.num_examples
    batches = data.make_batches(train, batch_size=8, channels=1, seed=0)
    drawn = np.concatenate([batches.at(step)["image"] for step in range(40)])
    drawn = drawn.ravel()
    assert set(drawn.tolist()) == set(rows.tolist())
    assert np.mean(drawn < 20) == pytest.approx(0.75, abs=0.02)


def test_a_source_that_is_only_in_one_fold_is_refused():
  joined = arrays([0, 1] * 10 + [0], mixture=((20, 1.0), (1, 1.0)))
  found = []
  for fold in range(2):
    try:
      data.hold_out(joined, fold=fold, folds=2)
    except ValueError as error:
      found.append(str(error))
  assert len(found) == 1
  assert "a source of numbers has all of its examples in fold" in found[0]


def test_fields_belong_to_their_examples():
  field = data.Field("text", lambda rows: [f"text {row}" for row in rows])
  whole = arrays([0, 1] * 8, fields=lambda: {"caption": field})
  for split in data.hold_out(whole, fold=1, folds=4):
    texts = split.fields()["caption"].read(range(split.num_examples))
    assert texts == [f"text {name[1:]}" for name in _ids(split)]
    assert list(data.read_texts(split, "caption")) == texts


def test_a_class_with_fewer_examples_than_folds_is_named(caplog):
  data.hold_out(arrays([0] * 9 + [2] * 4), fold=0, folds=5)
  assert "1 classes of 'train' have fewer examples than" in caplog.text
  assert caplog.text.rstrip().endswith(": 2")
  caplog.clear()
  data.hold_out(arrays([0] * 9 + [2] * 4), fold=0, folds=4)
  assert not caplog.records


@pytest.mark.parametrize(
  ("fold", "count", "message"),
  [
    (5, 5, "fold 5 of 5: expected at least 2 folds, and the number of"),
    (-1, 5, "fold -1 of 5"),
    (0, 1, "fold 0 of 1"),
    (0, 7, "6 examples, too few for 7 folds; use at most 6 folds"),
  ],
)
def test_folds_that_do_not_exist_are_refused(fold, count, message):
  with pytest.raises(ValueError, match=message):
    data.hold_out(arrays([0, 1] * 3), fold=fold, folds=count)


def test_labels_that_belong_to_other_examples_are_refused():
  wrong = arrays([0, 1] * 3, num_examples=5)
  with pytest.raises(ValueError, match="5 examples, but 6 labels"):
    data.hold_out(wrong, fold=0, folds=2)


def _folds_of(whole):
  return dict(
    zip(
      ("train", "validation"),
      data.hold_out(whole, fold=1, folds=4),
      strict=True,
    )
  )


def test_the_identity_of_a_fold_is_that_of_its_examples():
  whole = arrays([0, 1] * 20)
  joined = dataset.join([(whole, 3, 20), (whole, 20, 39)], split="most")
  record, keys = data.identify({"whole": whole, **_folds_of(joined)})
  assert np.isin(keys["train"], keys["whole"]).all()
  assert len(keys["train"]) + len(keys["validation"]) == 36
  assert not np.isin(keys["train"], keys["validation"]).any()
  assert data.differences(record, record) == []
  # An example that is replaced in the source changes the fold that has it.
  ids = lambda rows: ["other" if r == 7 else f"n{r}" for r in rows]  # noqa: E731
  other = dataset.join(
    [(dataclasses.replace(whole, ids=ids), 3, 20), (whole, 20, 39)],
    split="most",
  )
  changed, _ = data.identify({"whole": whole, **_folds_of(other)})
  assert len(data.differences(record, changed)) == 1


def test_a_fold_that_is_also_tested_on_is_noticed():
  whole = arrays([0, 1] * 20)
  splits = {
    **_folds_of(whole),
    "test": dataset.join([(whole, 0, 8)], split="t"),
  }
  found = data.overlaps(splits, data.identify(splits)[1])
  assert len(found) == 2 and all("examples of test ('t')" in f for f in found)

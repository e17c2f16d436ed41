import collections
import dataclasses
import itertools

import numpy as np
import pytest
import written_sources
from written_sources import config

from jaxvision import data


def write(folder, name, labels, *, split="train", **arrays):
  """Writes an .npz whose pixels are the numbers of the images."""
  count = len(labels)
  numbers = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
  arrays = {f"{split}_images": numbers, f"{split}_labels": labels, **arrays}
  np.savez(folder / f"{name}.npz", **arrays)
  return str(folder / f"{name}.npz")


def mixed(*sources, **changes):
  return config("mixture", sources=sources, **changes)


@pytest.fixture
def two(tmp_path):
  """40 examples of a, b, c with weight 3, and 10 of c, d with weight 1."""
  first = write(tmp_path, "first", ["a", "b", "c", "a"] * 10)
  second = write(tmp_path, "second", ["d", "c"] * 5)
  return mixed((3.0, "npz", first, "train"), (1, "npz", second, "train"))


def test_classes_are_joined_by_name(two):
  dataset = data.open_dataset(two, "train")
  assert dataset.class_names == ("a", "b", "c", "d")
  assert dataset.num_examples == 50
  assert np.bincount(dataset.labels()).tolist() == [20, 10, 15, 5]
  assert dataset.labels().tolist() == [
    label for _, label in dataset.read(range(50))
  ]
  assert dataset.mixture == ((40, 3.0), (10, 1))
  for index in (0, 13, 39):
    image, label = dataset.read([index])[0]
    assert "abca"[image[0, 0, 0] % 4] == dataset.class_names[label]


def test_the_stated_classes_are_those_of_the_mixture(two):
  data.open_dataset(dataclasses.replace(two, num_classes=4), "train")
  with pytest.raises(ValueError, match=r"num_classes is 3, but .* \+ .* has 4"):
    data.open_dataset(dataclasses.replace(two, num_classes=3), "train")


def owners(dataset, *, processes, batch_size, steps, seed=0):
  """The source of each example, as the processes together read them."""
  shares = np.linspace(0, batch_size, processes + 1).astype(int)
  found = collections.Counter()
  for start, stop in itertools.pairwise(shares):
    batches = data.make_batches(
      dataset,
      batch_size=batch_size,
      channels=1,
      seed=seed,
      rows=slice(int(start), int(stop)),
      threads=0,
    )
    for step in range(steps):
      batch = batches.at(step)
      pairs = zip(batch["image"].ravel(), batch["label"], strict=True)
      found.update((int(image), int(label)) for image, label in pairs)
  return found


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_all_processes_together_draw_by_the_weights(two, processes):
  dataset = data.open_dataset(two, "train")
  found = owners(dataset, processes=processes, batch_size=11, steps=40)
  assert sum(found.values()) == 440
  # "d" is half of the second source, which has a quarter of the draws.
  counts = collections.Counter()
  for (_, label), count in found.items():
    counts[dataset.class_names[label]] += count
  assert abs(counts["d"] - 440 / 8) <= 2
  # 330 draws are eight epochs of the first source, and a quarter.
  first = [n for (_, label), n in found.items() if label < 2]
  assert set(first) <= {8, 9}
  assert found == owners(dataset, processes=1, batch_size=11, steps=40)


@pytest.mark.parametrize("processes", [1, 3])
def test_in_evaluation_every_example_counts_once(two, processes):
  dataset = data.open_dataset(two, "train")
  found = collections.Counter()
  for process in range(processes):
    batches = data.make_batches(
      dataset,
      batch_size=12,
      channels=1,
      rows=slice(process * 12 // processes, (process + 1) * 12 // processes),
      threads=0,
    )
    assert batches.num_batches == 5
    for step in range(5):
      batch = batches.at(step)
      there = batch["mask"] == 1
      pairs = zip(batch["image"].ravel(), batch["label"], strict=True)
      found.update(
        pair for pair, counts in zip(pairs, there, strict=True) if counts
      )
  read = dataset.read(range(50))
  assert found == collections.Counter((x[0, 0, 0], y) for x, y in read)


def test_a_slice_is_that_part_of_each_source(two):
  head = data.open_dataset(two, "train[:80%]")
  tail = data.open_dataset(two, "train[80%:]")
  assert head.mixture == ((32, 3.0), (8, 1))
  assert tail.mixture == ((8, 3.0), (2, 1))
  every = [*head.ids(range(40)), *tail.ids(range(10))]
  whole = data.open_dataset(two, "train").ids(range(50))
  assert collections.Counter(every) == collections.Counter(whole)


def test_a_source_may_call_other_parts_train(tmp_path):
  arrays = {
    "extra_images": np.zeros((6, 1, 1, 1), np.uint8),
    "extra_labels": [0] * 6,
    "class_names": ["a", "b"],
  }
  first = write(tmp_path, "first", [0, 1] * 5, **arrays)
  cut = mixed((1, "npz", first, "train[:50%]+extra"))
  assert data.open_dataset(cut, "train").num_examples == 11
  assert data.split_sizes(cut) == {"train": 11, "extra": 6}


def test_splits_that_few_sources_have_share_the_classes(tmp_path):
  first = write(tmp_path, "first", ["a", "b"])
  test = {"test_images": np.zeros((3, 1, 1, 1), np.uint8)}
  test["test_labels"] = ["c", "e", "c"]
  second = write(tmp_path, "second", ["c", "e"], **test)
  cut = mixed((1, "npz", first, "train"), (1, "npz", second, "train"))
  dataset = data.open_dataset(cut, "test")
  assert dataset.class_names == ("a", "b", "c", "e")
  assert sorted(dataset.labels()) == [2, 2, 3]
  assert data.split_sizes(cut) == {"train": 4, "test": 3}
  with pytest.raises(ValueError, match=r"'tset'; did you mean 'test'"):
    data.open_dataset(cut, "tset")


def test_sources_of_several_kinds(tmp_path):
  cut = written_sources.mixture(tmp_path)
  dataset = data.open_dataset(cut, "train")
  assert dataset.class_names == written_sources.CLASSES
  assert [size for size, _ in dataset.mixture] == [12, 23]
  assert data.open_dataset(cut, "test").num_examples == 8
  labels = [label for _, label in dataset.read(range(35))]
  assert labels == dataset.labels().tolist()


@pytest.mark.parametrize(
  ("sources", "message"),
  [
    ((), r"needs data\.sources, a tuple of \(weight, kind, name, split\)"),
    ((("npz", "x", "train"),), r"has \('npz', 'x', 'train'\); expected \(wei"),
    ((("3", "npz", "x", "train"),), r"expected \(weight, kind"),
    (((True, "npz", "x", "train"),), r"expected \(weight, kind"),
    (((0, "npz", "x", "train"),), "weight 0; it must be above 0"),
    (((float("inf"), "npz", "x", "train"),), "must be above 0"),
    (((1, "mixture", "x", "train"),), "list its sources instead"),
    (((1, "nzp", "x", "train"),), "unknown data.kind 'nzp'; did you mean"),
  ],
)
def test_invalid_sources_are_an_error(sources, message):
  with pytest.raises(ValueError, match=message):
    data.open_dataset(mixed(*sources), "train")


def test_sources_go_through_a_config(two):
  from jaxvision import config as configs
  from jaxvision.configs import default
  from jaxvision.training import setup

  text = str(two.sources)
  for value in (two.sources, text):
    loaded = configs.load(
      default.__file__, {"data.kind": "mixture", "data.sources": value}
    )
    assert loaded.data.sources == two.sources
    assert (
      data.open_dataset(setup.make_source(loaded), "train").num_examples == 50
    )


def test_equal_names_of_classes_of_one_source_are_refused(tmp_path):
  """They would become one class of the mixture."""
  names = np.asarray(["crane", "bee", "crane"])
  first = write(tmp_path, "first", [0, 1, 2], class_names=names)
  second = write(tmp_path, "second", ["bee", "crane"])
  cut = mixed((1, "npz", second, "train"), (1, "npz", first, "train"))
  with pytest.raises(ValueError, match=r"first\.npz: the classes 0 and 2 have"):
    data.open_dataset(cut, "train")


def test_mixed_numbers_and_names_give_a_warning(tmp_path, caplog):
  first = write(tmp_path, "first", ["a", "b"])
  second = write(tmp_path, "second", [0, 1])
  cut = mixed((1, "npz", first, "train"), (1, "npz", second, "train"))
  assert data.open_dataset(cut, "train").class_names == ("a", "b", "0", "1")
  assert "they have no class in common" in caplog.text

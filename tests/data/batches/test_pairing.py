"""Partners: of the same class, a function of (seed, step), with replacement."""

import contextlib
import dataclasses

import numpy as np
import pytest

from jaxvision import data
from jaxvision.data.sources import pairs

LABELS = np.array([0, 1, 2, 1, 0, 1, 2, 1, 0, 1])
N = len(LABELS)
WANTED = {"partner": ((2, 2, 1), np.uint8)}


def open_split(labels=LABELS, **options):
  """Each image has the number of its example, so it can be recognised."""
  images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
  made = pairs.from_arrays(images.repeat(2, 1).repeat(2, 2), labels, **options)
  return made


def make(split=None, **options):
  options = {"batch_size": 4, "seed": 3, **options}
  batches = data.make_batches(
    split or open_split(), transforms=(), channels=1, **options
  )
  return batches.with_fields(WANTED)


def _numbers(batch):
  return batch["image"][:, 0, 0, 0], batch["partner"][:, 0, 0, 0]


def _same(one, other):
  assert one.keys() == other.keys()
  for name in one:
    np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_a_partner_has_the_class_of_its_example(sampling):
  batches = make(sampling=sampling)
  for step in range(20):
    batch = batches.at(step)
    own, other = _numbers(batch)
    np.testing.assert_array_equal(LABELS[own], batch["label"])
    np.testing.assert_array_equal(LABELS[other], batch["label"])


def test_partners_are_uniform_over_the_class_with_the_example_itself():
  batches = make(batch_size=500)
  own, other = map(
    np.concatenate,
    zip(*(_numbers(batches.at(i)) for i in range(8)), strict=True),
  )
  for label in range(3):
    members = np.flatnonzero(label == LABELS)
    drawn = other[LABELS[own] == label]
    shares = np.array([(drawn == member).mean() for member in members])
    error = np.sqrt(1 / len(members) / len(drawn))
    assert np.abs(shares - 1 / len(members)).max() < 4 * error
    itself = (own == other)[LABELS[own] == label].mean()
    assert abs(itself - 1 / len(members)) < 4 * error


def test_images_are_those_without_partners():
  plain = data.make_batches(
    open_split(), batch_size=4, transforms=(), channels=1, seed=3
  )
  for step in range(5):
    np.testing.assert_array_equal(
      make().at(step)["image"], plain.at(step)["image"]
    )


def test_a_step_is_the_same_for_any_threads_and_processes():
  whole = make(threads=0)
  for options in ({"threads": 3}, {"workers": 2}):
    with contextlib.closing(make(**options).iterate(2, 6)) as iterated:
      for step, batch in enumerate(iterated, 2):
        _same({k: v.copy() for k, v in batch.items()}, whole.at(step))
  halves = [make(rows=slice(0, 2)), make(rows=slice(2, 4))]
  both = [half.at(7) for half in halves]
  _same(
    {k: np.concatenate([each[k] for each in both]) for k in both[0]},
    whole.at(7),
  )


def test_a_line_up_of_a_resident_split_makes_the_same_batches():
  batches = make()
  kept = batches.resident()
  assert "partner" not in kept
  for step, rows in enumerate(batches.line_up(3, 6), 3):
    found = {k: v[rows[:, 0]] for k, v in kept.items()}
    _same({**found, "partner": kept["image"][rows[:, 1]]}, batches.at(step))


def test_evaluation_takes_the_next_example_of_the_class():
  batches = make(seed=None)
  seen = [_numbers(batches.at(step)) for step in range(3)]
  own, other = map(np.concatenate, zip(*seen, strict=True))
  order = own[:N].tolist()
  for place, label in enumerate(LABELS[order]):
    members = [i for i in order if LABELS[i] == label]
    following = members[(members.index(order[place]) + 1) % len(members)]
    assert other[place] == following
  last = batches.at(2)
  assert not last["mask"][2:].any() and not last["partner"][2:].any()


def test_random_transforms_differ_for_an_image_and_its_partner():
  labels = np.zeros(8, int)
  rng = np.random.default_rng(0)
  images = np.repeat(rng.integers(0, 255, (1, 6, 6, 1), np.uint8), 8, axis=0)
  batches = data.make_batches(
    pairs.from_arrays(images, labels),
    batch_size=8,
    transforms=("random_flip",),
    channels=1,
    seed=0,
  ).with_fields({"partner": ((6, 6, 1), np.uint8)})
  batch = batches.at(0)
  flips = (batch["image"] != batch["partner"]).any(axis=(1, 2, 3))
  assert 0 < flips.sum() < 8


def test_a_class_of_one_example_and_other_labels_are_refused():
  with pytest.raises(ValueError, match=r"1 of the 2 classes .* one example"):
    make(open_split(np.array([0, 0, 1])))
  numbers = open_split(np.ones((4, 1), np.float32), label_kind="numbers")
  with pytest.raises(ValueError, match="pairs of one class"):
    make(numbers)


def _broken(*numbers):
  """A split in which the images with these numbers are unreadable."""
  split = open_split()
  order = [int(image.flat[0]) for image, _ in split.read(range(N))]

  def read(indices):
    if set(numbers) & {order[i] for i in indices}:
      raise OSError("bad sector")
    return split.read(indices)

  return dataclasses.replace(split, read=read)


def test_pairs_with_unreadable_images_are_of_one_class_in_training():
  """On the host, and with rows that are kept on a device."""
  batches = make(_broken(0, 3, 5), max_unreadable=0.5)
  kept = batches.resident()
  seen = set()
  for step in range(20):
    batch = batches.at(step)
    own, other = _numbers(batch)
    np.testing.assert_array_equal(LABELS[own], batch["label"])
    np.testing.assert_array_equal(LABELS[other], batch["label"])
    assert batch["mask"].all()
    seen |= {*own.tolist(), *other.tolist()}
    rows = batches.line_up(step, step + 1)[0]
    found = {k: v[rows[:, 0]] for k, v in kept.items()}
    _same({**found, "partner": kept["image"][rows[:, 1]]}, batch)
  assert seen == set(range(N)) - {0, 3, 5}


def test_a_class_without_a_readable_image_is_an_error():
  batches = make(_broken(2, 6), max_unreadable=0.5)
  with pytest.raises(data.UnreadableImage, match="every image that could"):
    for step in range(20):
      batches.at(step)


def test_a_pair_with_an_unreadable_image_is_masked_in_evaluation():
  batch = make(_broken(0), seed=None, batch_size=N, max_unreadable=0.2).at(0)
  whole = make(seed=None, batch_size=N).at(0)
  own, other = _numbers(whole)
  np.testing.assert_array_equal(batch["mask"], (own != 0) & (other != 0))

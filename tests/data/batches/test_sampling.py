"""Balanced sampling draws each class equally often, also after a resume."""

import numpy as np
import pytest
from written_sources import config

from jaxvision import data
from jaxvision.data.batches import sampling_groups

COUNTS = (60, 7, 1, 20)
CLASSES = len(COUNTS)


@pytest.fixture
def split(tmp_path):
  """Images whose pixel is their index, in classes of very different sizes."""
  labels = np.repeat(np.arange(CLASSES), COUNTS)
  images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
  np.savez(tmp_path / "a.npz", images=images, labels=labels)
  return data.open_dataset(config("npz", tmp_path / "a.npz"), "train")


def make(split, **options):
  options = {"batch_size": 8, "seed": 3, "sampling": "balanced", **options}
  return data.make_batches(split, channels=1, **options)


def test_each_class_is_drawn_equally_often(split):
  labels = np.concatenate([make(split).at(i)["label"] for i in range(50)])
  counts = np.bincount(labels)
  assert counts.sum() == 400 and np.abs(counts - 100).max() <= 2
  # In every range of positions, not only in total.
  for start in range(0, 400, 80):
    part = np.bincount(labels[start : start + 80], minlength=CLASSES)
    assert np.abs(part - 20).max() <= 3


def test_a_class_repeats_no_example_before_all_are_used(split):
  made, labels = make(split), split.labels()
  drawn = np.concatenate([made.indices(step) for step in range(60)])
  for label, count in enumerate(COUNTS):
    own = drawn[labels[drawn] == label]
    for start in range(0, len(own) - count + 1, count):
      assert len(set(own[start : start + count].tolist())) == count


def test_any_step_is_found_at_once(split):
  """A resumed run draws the same examples."""
  straight, resumed = make(split), make(split)
  whole = [straight.at(step) for step in range(40)]
  for step in (37, 5, 20):
    for name, each in resumed.at(step).items():
      np.testing.assert_array_equal(each, whole[step][name])


def test_workers_processes_and_devices_share_the_line_up(split):
  made = make(split)
  workers = make(split, workers=2)
  resident, line = made.resident(), made.line_up(4, 8)
  shares = [make(split, rows=slice(0, 3)), make(split, rows=slice(3, 8))]
  for step, batch in enumerate(workers.iterate(4, 8), start=4):
    whole = made.at(step)
    for name, each in whole.items():
      np.testing.assert_array_equal(batch[name], each)
      np.testing.assert_array_equal(resident[name][line[step - 4]], each)
      parts = np.concatenate([share.at(step)[name] for share in shares])
      np.testing.assert_array_equal(parts, each)


def test_the_seed_decides_the_draws(split):
  same = make(split).indices(2) == make(split).indices(2)
  other = make(split).indices(2) == make(split, seed=4).indices(2)
  assert same.all() and not other.all()


def test_evaluation_sees_every_example_once(split):
  made = make(split, seed=None)
  seen = np.concatenate([made.indices(i) for i in range(made.num_batches)])
  assert seen[: split.num_examples].tolist() == list(range(split.num_examples))


def test_the_augmentation_of_an_example_differs_from_draw_to_draw(split):
  made = make(split, transforms=("random_gaussian_noise(0.3)",))
  pixels = [
    int(image.ravel()[0])
    for step in range(40)
    for image, label in zip(
      *map(made.at(step).get, ("image", "label")), strict=True
    )
    if label == 2
  ]
  assert len(pixels) > 50 and len(set(pixels)) > 10


def test_sets_are_drawn_for_each_of_their_classes(tmp_path):
  sets = np.zeros((40, 3), np.uint8)
  sets[:30, 0] = 1
  sets[28:32, 1] = 1
  images = np.zeros((40, 1, 1, 1), np.uint8)
  np.savez(tmp_path / "a.npz", images=images, labels=sets)
  source = config("npz", tmp_path / "a.npz", labels="sets")
  opened = data.open_dataset(source, "train")
  groups = sampling_groups.make(opened, "balanced")
  # Class 2 has no example; the last group has no class.
  assert [len(group) for group in groups] == [30, 4, 8]
  made = make(opened, batch_size=30)
  drawn = opened.labels()[np.concatenate([made.indices(i) for i in range(10)])]
  assert 80 <= (~drawn.any(axis=1)).sum() <= 120
  assert drawn[:, 1].sum() >= 98


def test_unsupported_balancing_is_refused(split, tmp_path):
  with pytest.raises(
    ValueError, match=r"unknown data\.sampling 'balance'; did"
  ):
    make(split, sampling="balance")
  sources = ((1.0, "npz", split.name, "train"),)
  mixed = data.open_dataset(config("mixture", sources=sources), "train")
  with pytest.raises(ValueError, match="draws examples by its"):
    make(mixed)
  numbers = config("npz", split.name, labels="numbers")
  with pytest.raises(ValueError, match="so there are no classes"):
    make(data.open_dataset(numbers, "train"))

import contextlib
import threading

import numpy as np
import pytest
from PIL import Image

from jaxvision import data
from jaxvision.data.batches import filling, order, pipeline

N = 23
RANDOM = ("random_resized_crop((5, 6))", "random_flip")


def open_npz(path, **arrays):
  np.savez(path / "arrays.npz", **arrays)
  config = data.Source(kind="npz", name=str(path / "arrays.npz"), num_classes=0)
  return data.open_dataset(config, "train")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
  """Every image is constant, and all images differ; labels are in 0..4."""
  values = 10 * np.arange(N, dtype=np.uint8) + 1
  images = np.broadcast_to(values[:, None, None, None], (N, 8, 9, 3))
  return open_npz(
    tmp_path_factory.mktemp("npz"), images=images, labels=np.arange(N) % 5
  )


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
  images = np.random.default_rng(0).integers(0, 256, (N, 8, 9, 3), np.uint8)
  path = tmp_path_factory.mktemp("noise")
  return open_npz(path, images=images, labels=np.arange(N) % 5)


def write_folder(path, count=10):
  for number in range(count):
    file = path / "ab"[number % 2] / f"{number}.png"
    file.parent.mkdir(exist_ok=True)
    Image.new("RGB", (4, 3), (20 * number + 5, 0, 0)).save(file)
  return data.Source(kind="folder", name=str(path), num_classes=0)


def assert_equal(batch, other):
  assert batch.keys() == other.keys() == {"image", "label", "mask"}
  for name in batch:
    np.testing.assert_array_equal(batch[name], other[name])


def values(batch):
  return batch["image"][:, 0, 0, 0].tolist()


def test_batches_have_the_shapes_and_types_of_the_contract(dataset):
  batch = data.make_batches(dataset, batch_size=4, seed=0).at(0)
  assert batch["image"].shape == (4, 8, 9, 3)
  assert batch["image"].dtype == np.uint8
  assert batch["label"].shape == batch["mask"].shape == (4,)
  assert batch["label"].dtype == np.int32
  assert batch["mask"].dtype == np.float32


@pytest.mark.parametrize("batch_size", [1, 4, 7, 23, 30])
def test_evaluation_sees_every_example_once_in_order(dataset, batch_size):
  batches = data.make_batches(dataset, batch_size=batch_size)
  seen, labels, rows = [], [], 0
  for batch in batches.iterate(0, batches.num_batches):
    real = batch["mask"] == 1
    seen += batch["image"][real, 0, 0, 0].tolist()
    labels += batch["label"][real].tolist()
    assert not batch["image"][~real].any() and not batch["label"][~real].any()
    rows += len(real)
  assert seen == [image[0, 0, 0] for image, _ in dataset.read(range(N))]
  assert labels == dataset.labels().tolist()
  assert rows == batches.num_batches * batch_size


def test_training_sees_every_example_once_per_epoch(dataset):
  batches = data.make_batches(dataset, batch_size=7, seed=3)
  stream = np.concatenate([batches.indices(step) for step in range(23)])
  epochs = stream.reshape(7, N)  # 23 batches of 7 are 7 epochs of 23
  assert (np.sort(epochs, axis=1) == np.arange(N)).all()
  assert len({tuple(epoch) for epoch in epochs.tolist()}) == 7
  other = data.make_batches(dataset, batch_size=7, seed=4)
  assert (other.indices(0) != batches.indices(0)).any()


def test_the_order_does_not_depend_on_the_batch_size(dataset):
  one, seven = (
    data.make_batches(dataset, batch_size=size, seed=0) for size in (1, 7)
  )
  singles = np.concatenate([one.indices(step) for step in range(28)])
  sevens = np.concatenate([seven.indices(step) for step in range(4)])
  np.testing.assert_array_equal(singles, sevens)


def test_images_stay_with_their_labels(dataset):
  pairs = {
    (int(image[0, 0, 0]), label) for image, label in dataset.read(range(N))
  }
  batches = data.make_batches(dataset, batch_size=7, seed=0)
  for batch in batches.iterate(0, 10):
    found = zip(values(batch), batch["label"].tolist(), strict=True)
    assert set(found) <= pairs


@pytest.mark.parametrize("threads", [0, 1, 5])
@pytest.mark.parametrize("start", [0, 3, 11])
def test_any_start_and_any_threads_give_the_same_bytes(noise, start, threads):
  make = {"batch_size": 7, "seed": 1, "transforms": RANDOM}
  expected = data.make_batches(noise, threads=0, **make)
  batches = data.make_batches(noise, threads=threads, **make)
  found = list(batches.iterate(start, start + 6))
  assert len(found) == 6
  for step, batch in enumerate(found, start):
    assert_equal(batch, expected.at(step))


def test_any_number_of_workers_gives_the_same_bytes(noise):
  make = {"batch_size": 7, "seed": 1, "transforms": RANDOM}
  expected = data.make_batches(noise, **make)
  batches = data.make_batches(noise, workers=2, **make)
  for step, batch in enumerate(batches.iterate(3, 9), 3):
    assert_equal(batch, expected.at(step))
  share = data.make_batches(noise, workers=1, rows=slice(2, 5), **make)
  (batch,) = share.iterate(4, 5)
  whole = {name: array[2:5] for name, array in expected.at(4).items()}
  assert_equal(batch, whole)


def test_augmentation_differs_between_epochs_and_examples(noise):
  batches = data.make_batches(noise, batch_size=N, seed=1, transforms=RANDOM)
  by_example = []
  for step in range(2):
    images = batches.at(step)["image"]
    by_example.append(images[np.argsort(batches.indices(step))])
  same = (by_example[0] == by_example[1]).all((1, 2, 3))
  assert not same.any()


def test_flips_of_one_batch_are_mixed(noise):
  batches = data.make_batches(
    noise, batch_size=N, seed=1, transforms=("random_flip",)
  )
  originals = dict(enumerate(image for image, _ in noise.read(range(N))))
  flipped = [
    (image != originals[index]).any()
    for index, image in zip(
      batches.indices(0).tolist(), batches.at(0)["image"], strict=True
    )
  ]
  assert 3 < sum(flipped) < 20


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_shares_of_processes_make_up_the_batch(noise, processes, seed):
  transforms = RANDOM if seed is not None else ("resize(5)",)
  make = {"batch_size": 8, "seed": seed, "transforms": transforms}
  whole = data.make_batches(noise, **make)
  share = 8 // processes
  parts = [
    data.make_batches(noise, rows=slice(i * share, (i + 1) * share), **make)
    for i in range(processes)
  ]
  for step in range(4):
    shares = [part.at(step) for part in parts]
    joined = {
      name: np.concatenate([each[name] for each in shares])
      for name in shares[0]
    }
    assert_equal(joined, whole.at(step))


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("transforms", [(), ("resize_small(4)",)])
def test_resident_arrays_at_the_indices_are_the_batch(noise, seed, transforms):
  batches = data.make_batches(
    noise, batch_size=5, seed=seed, transforms=transforms
  )
  resident = batches.resident()
  assert len(resident["image"]) == N + 1
  for step in range(6):
    indices = batches.indices(step)
    assert indices.shape == (5,) and indices.dtype == np.int32
    assert_equal({k: v[indices] for k, v in resident.items()}, batches.at(step))
  rows = np.array([3, N, 0, N, 7])
  part = {name: array[rows] for name, array in resident.items()}
  assert_equal(batches.resident(rows), part)


def test_resident_refuses_random_transforms_and_large_splits(
  noise, monkeypatch
):
  random = data.make_batches(noise, batch_size=5, seed=0, transforms=RANDOM)
  with pytest.raises(ValueError, match=r"data\.device_transforms"):
    random.resident()
  monkeypatch.setattr(pipeline, "_RESIDENT_BYTES", N * 8 * 9 * 3 - 1)
  with pytest.raises(ValueError, match=r"0\.0 GiB.*placement='host'"):
    data.make_batches(noise, batch_size=5, seed=0).resident()


def test_lengths(dataset):
  batches = data.make_batches(dataset, batch_size=4, seed=0)
  assert batches.steps_per_epoch == 23 / 4
  assert batches.num_batches == 6
  assert batches.num_examples == N
  assert batches.image_shape == (8, 9, 3)


def test_a_batch_may_hold_few_examples_many_times(dataset, caplog):
  batches = data.make_batches(dataset, batch_size=3 * N + 2, seed=0)
  seen = [batches.indices(step) for step in range(2)]
  counts = np.bincount(np.concatenate(seen), minlength=N)
  assert set(counts) == {6, 7} and counts.sum() == 2 * (3 * N + 2)
  assert "a batch of 71 contains the 23 examples" in caplog.text


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"batch_size": 0}, "at least 1"),
    ({"seed": -1}, "must be in"),
    ({"seed": None, "transforms": ("random_flip",)}, "evaluation must not be"),
    ({"rows": slice(2, 9)}, "outside a batch of 4"),
    ({"channels": 1}, "have 3 channels"),
    ({"transforms": ("center_crop(9)",)}, "resize_small"),
  ],
)
def test_wrong_requests_fail_before_the_first_batch(dataset, changes, message):
  with pytest.raises(ValueError, match=message):
    data.make_batches(dataset, **{"batch_size": 4, "seed": 0, **changes})


def test_images_of_several_shapes_name_the_transform_to_add(tmp_path):
  config = write_folder(tmp_path)
  Image.new("RGB", (7, 5)).save(tmp_path / "a" / "larger.png")
  dataset = data.open_dataset(config, "train")
  batches = data.make_batches(dataset, batch_size=11, seed=0, threads=2)
  with pytest.raises(ValueError, match=r'\.png has .* add "resize\(SIZE\)"'):
    list(batches.iterate(0, 1))
  resized = data.make_batches(
    dataset, batch_size=11, seed=0, transforms=("resize(4)",)
  )
  assert resized.at(0)["image"].shape == (11, 4, 4, 3)


def break_two(path):
  """Ten files and an eleventh; two of them are no images."""
  config = write_folder(path)
  (path / "a" / "broken.jpg").write_bytes(b"\xff\xd8 not whole")
  (path / "b" / "3.png").write_bytes(b"")
  return data.open_dataset(config, "train")


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_images_are_masked_in_evaluation(tmp_path, workers, caplog):
  dataset = break_two(tmp_path)
  batches = data.make_batches(
    dataset, batch_size=4, max_unreadable=0.2, workers=workers
  )
  seen = list(batches.iterate(0, 3))
  assert sum(batch["mask"].sum() for batch in seen) == 9
  names = dataset.ids(list(batches.unreadable))
  assert sorted(name[len(str(tmp_path)) + 1 :] for name in names) == [
    "a/broken.jpg",
    "b/3.png",
  ]
  for name in names:
    assert caplog.text.count(f"unreadable image {name}: ") == 1
  for batch in seen:
    masked = batch["mask"] == 0
    assert not batch["image"][masked].any()
    assert batch["image"][~masked].any((1, 2, 3)).all()
  resident = batches.resident()
  assert_equal({k: v[:4] for k, v in resident.items()}, seen[0])


def test_unreadable_images_are_replaced_in_training(tmp_path):
  dataset = break_two(tmp_path)
  make = {"batch_size": 11, "seed": 0, "max_unreadable": 0.2}
  batches = data.make_batches(dataset, **make)
  indices = batches.indices(0).tolist()
  read = [image for image, _ in dataset.read(range(11))]
  readable = [
    n for n in range(11) if read[n] and not read[n].startswith(b"\xff")
  ]
  expected = []
  for index in indices:
    while index not in readable:
      index = (index + 1) % 11
    expected.append(index)
  assert sorted(expected) != sorted(indices)
  batch = batches.at(0)
  pixels = [data.decode(read[n], channels=3)[0, 0, 0] for n in expected]
  assert values(batch) == pixels
  assert batch["label"].tolist() == dataset.labels()[expected].tolist()
  assert batch["mask"].all()
  assert set(batches.unreadable) == set(range(11)) - set(readable)
  resident = batches.resident()
  assert_equal({k: v[indices] for k, v in resident.items()}, batch)
  (other,) = data.make_batches(dataset, workers=2, **make).iterate(0, 1)
  assert_equal(other, batch)


@pytest.mark.parametrize("threads", [0, 3])
def test_errors_of_threads_keep_their_type(tmp_path, threads):
  config = write_folder(tmp_path)
  for file in ("a/0.png", "b/1.png"):
    (tmp_path / file).write_bytes(b"")
  dataset = data.open_dataset(config, "train")
  batches = data.make_batches(
    dataset, batch_size=2, max_unreadable=0.15, threads=threads
  )
  with pytest.raises(data.UnreadableImage, match="2 of 10 images"):
    list(batches.iterate(0, 5))


@pytest.mark.parametrize("share", [0.01, 1.0])
def test_nothing_readable_is_an_error(tmp_path, share):
  config = write_folder(tmp_path, count=4)
  for file in tmp_path.glob("*/*.png"):
    file.write_bytes(b"")
  dataset = data.open_dataset(config, "train")
  with pytest.raises(data.UnreadableImage, match="not an image: 0 bytes"):
    data.make_batches(dataset, batch_size=2, max_unreadable=share)


def test_leaving_early_stops_the_threads(dataset):
  before = set(threading.enumerate())
  batches = data.make_batches(dataset, batch_size=4, seed=0, threads=3)
  with contextlib.closing(batches.iterate(0, 10**6)) as iterator:
    next(iterator)
    started = set(threading.enumerate()) - before
    assert started
  for thread in started:
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_iterate_makes_few_batches_ahead(dataset, monkeypatch):
  batches = data.make_batches(dataset, batch_size=4, seed=0, threads=2)
  made = []
  original = pipeline.Batches.at

  def at(self, step):
    made.append(step)
    return original(self, step)

  monkeypatch.setattr(pipeline.Batches, "at", at)
  with contextlib.closing(batches.iterate(5, 1000)) as iterator:
    for _ in range(10):
      next(iterator)
  assert max(made) <= 14 + 3 and min(made) == 5


def test_nothing_to_iterate(dataset):
  batches = data.make_batches(dataset, batch_size=4, seed=0)
  assert list(batches.iterate(7, 7)) == []


def test_order_and_transforms_draw_from_different_streams():
  """The words of a seed: zeros at its end change nothing."""
  assert filling._TRANSFORM != order._ORDER

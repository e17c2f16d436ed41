"""All kinds of sources, read by all processes of a run together."""

import collections
import pickle

import cloudpickle
import numpy as np
import pytest
import written_sources

from jaxvision import data


@pytest.fixture(scope="module", params=[*written_sources.WRITERS])
def source(request, tmp_path_factory):
  folder = tmp_path_factory.mktemp(request.param)
  return written_sources.WRITERS[request.param](folder)


def content(example):
  image, label = example
  if isinstance(image, bytes):
    image = data.decode(image, channels=3)
  return np.asarray(image).tobytes(), label


def expected(split):
  return collections.Counter(map(content, written_sources.CONTENTS[split]))


def rows_of(process, processes, size):
  """The rows of a process, divided as evenly as possible."""
  ends = [size * i // processes for i in range(processes + 1)]
  return slice(ends[process], ends[process + 1])


def seen(dataset, *, processes, batch_size, seed, steps):
  """The examples that all processes read; each opens its own rows."""
  found = collections.Counter()
  for process in range(processes):
    batches = data.make_batches(
      dataset,
      batch_size=batch_size,
      seed=seed,
      rows=rows_of(process, processes, batch_size),
      threads=0,
    )
    for step in range(steps):
      batch = batches.at(step)
      there = batch["mask"] == 1
      pairs = zip(batch["image"][there], batch["label"][there], strict=True)
      found.update((image.tobytes(), int(label)) for image, label in pairs)
  return found


def test_every_example_is_there_once(source):
  sizes = {
    split: len(examples) for split, examples in written_sources.CONTENTS.items()
  }
  assert data.split_sizes(source) == sizes
  for split, size in sizes.items():
    dataset = data.open_dataset(source, split)
    assert dataset.class_names == written_sources.CLASSES
    read = dataset.read(range(size))
    assert collections.Counter(map(content, read)) == expected(split)
    assert [label for _, label in read] == list(dataset.labels())
    assert len(set(dataset.ids(range(size)))) == size


@pytest.mark.parametrize("processes", [1, 2, 3, 5, 7])
def test_shares_are_the_evaluation_split_once(source, processes):
  for split, batch_size in (("train", 7), ("test", 32)):
    dataset = data.open_dataset(source, split)
    steps = -(-dataset.num_examples // batch_size)
    found = seen(
      dataset,
      processes=processes,
      batch_size=batch_size,
      seed=None,
      steps=steps,
    )
    assert found == expected(split)


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_shares_are_the_training_split_once_an_epoch(source, processes):
  dataset = data.open_dataset(source, "train")
  # 23 batches of 8 are 8 epochs; some batches contain two epochs.
  found = seen(dataset, processes=processes, batch_size=8, seed=3, steps=23)
  assert found == collections.Counter(
    {each: 8 * count for each, count in expected("train").items()}
  )


def test_any_split_of_the_split_is_the_split(source):
  parts = [
    data.open_dataset(source, f"train[{start}%:{start + 20}%]")
    for start in range(0, 100, 20)
  ]
  found = collections.Counter()
  for part in parts:
    found.update(map(content, part.read(range(part.num_examples))))
  assert found == expected("train")


def test_the_order_of_reading_does_not_matter(source):
  dataset = data.open_dataset(source, "train")
  indices = np.random.default_rng(0).permutation(written_sources.NUM_TRAIN)
  alone = [content(dataset.read([index])[0]) for index in indices]
  assert [content(each) for each in dataset.read(indices)] == alone
  assert dataset.read([]) == []


def test_a_data_set_can_be_sent_to_other_processes(source):
  dataset = data.open_dataset(source, "train[5:]")
  again = pickle.loads(cloudpickle.dumps(dataset))
  indices = [17, 0, 3]
  assert [*map(content, again.read(indices))] == [
    *map(content, dataset.read(indices))
  ]
  assert again.ids(indices) == dataset.ids(indices)


def test_opening_again_gives_the_same_order(source):
  first, second = (data.open_dataset(source, "train") for _ in range(2))
  every = range(first.num_examples)
  assert first.ids(every) == second.ids(every)

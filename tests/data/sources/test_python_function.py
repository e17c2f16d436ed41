import contextlib
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image
from written_sources import config

from jaxvision import data


@pytest.fixture
def write(tmp_path):
  def write(body, name="my_data.py"):
    head = (
      "from __future__ import annotations\n"
      "import numpy as np\nfrom jaxvision import data\n"
    )
    (tmp_path / name).write_text(head + textwrap.dedent(body))
    return f"{tmp_path / name}:load"

  return write


def opened(kind, split="train", **changes):
  return data.open_dataset(config(kind, "some/name", **changes), split)


def test_arrays_become_splits(write):
  kind = write("""
    def load(name):
      assert name == "some/name"
      images = np.zeros((10, 4, 5, 3), np.uint8)
      return {"train": (images, np.arange(10) % 2), "test": [images, [2] * 10]}
  """)
  dataset = opened(kind)
  assert dataset.class_names == opened(kind, "test").class_names
  assert dataset.class_names == ("0", "1", "2")
  assert dataset.read([0])[0][0].shape == (4, 5, 3)
  assert sorted(dataset.labels()) == [0] * 5 + [1] * 5
  assert opened(kind, "train[:50%]+test").num_examples == 15
  assert len(opened(kind, num_classes=5).class_names) == 5


def test_paths_and_texts_become_the_split_train(write, tmp_path):
  for number in range(3):
    Image.new("L", (4, 4), number).save(tmp_path / f"{number}.png")
  kind = write(f"""
    import pathlib
    def load(name):
      paths = [pathlib.Path({str(tmp_path)!r}, f"{{n}}.png") for n in range(3)]
      return paths, ["b", "a", "b"]
  """)
  dataset = opened(kind)
  assert dataset.class_names == ("a", "b")
  for encoded, label in dataset.read(range(3)):
    number = data.decode(encoded, channels=1)[0, 0, 0]
    assert dataset.class_names[label] == "bab"[number]


def test_names_of_classes_may_be_given(write):
  kind = write("""
    def load(name):
      return np.zeros((2, 4, 4), int), np.asarray([1, 0]), ["x", "y", "z"]
  """)
  assert opened(kind).class_names == ("x", "y", "z")


def test_a_dataset_is_taken_as_it_is(write):
  kind = write(
    """
    import dataclasses

    @dataclasses.dataclass
    class Squares:
      size: int

      def read(self, indices):
        return [(np.full((2, 2, 1), i * i, np.uint8), i % 2) for i in indices]

    def load(name):
      return data.Dataset(
        name=name, split="train", class_names=("even", "odd"), num_examples=9,
        ids=lambda indices: [f"square {i}" for i in indices],
        labels=lambda: np.arange(9) % 2, read=Squares(9).read)
  """
  )
  dataset = opened(kind, "train[4:]")
  image, label = dataset.read([1])[0]
  assert (int(image[0, 0, 0]), label) == (25, 1)
  assert dataset.ids([0]) == ["square 4"]


def test_a_function_of_a_package(tmp_path, monkeypatch):
  (tmp_path / "shop").mkdir()
  (tmp_path / "shop" / "__init__.py").touch()
  (tmp_path / "shop" / "images.py").write_text(
    "import numpy\n"
    "def load(name):\n"
    "  return numpy.zeros((4, 2, 2, 3), int), [0, 1, 0, 1]\n"
  )
  monkeypatch.syspath_prepend(str(tmp_path))
  assert opened("shop.images:load").num_examples == 4
  with pytest.raises(FileNotFoundError, match=r"cannot import 'shop\.none'"):
    opened("shop.none:load")


def test_worker_processes_get_the_returned_source(write):
  """Other processes cannot import the module by its name."""
  kind = write("""
    def load(name):
      return data.Dataset(
        name=name, split="train", class_names=("even", "odd"), num_examples=9,
        ids=lambda indices: [f"square {i}" for i in indices],
        labels=lambda: np.arange(9) % 2,
        read=lambda rows: [(np.full((2, 2, 1), i, np.uint8), i % 2)
                           for i in rows])
  """)
  assert "my_data" not in sys.modules
  here, there = (
    data.make_batches(
      opened(kind), batch_size=4, channels=1, seed=0, threads=0, workers=workers
    )
    for workers in (0, 1)
  )
  with contextlib.closing(there.iterate(0, 3)) as iterator:
    for step, batch in enumerate(iterator):
      for key, expected in here.at(step).items():
        np.testing.assert_array_equal(batch[key], expected)


@pytest.mark.parametrize(
  ("body", "message"),
  [
    ("return None", "returned NoneType for the split 'train'; expected {split"),
    ("return {}", r"returned the keys \[\]; expected {split: Dataset}"),
    ("return {1: None}", r"returned the keys \[1\]"),
    ("return {'train': [1]}", "returned list of 1 for the split 'train'"),
    ("return (1, [2])", "returned int as the images of the split 'train'"),
    ("return np.zeros((3, 4, 4)), [0, 1, 0]", "images are float64"),
    ("return np.zeros((3, 4, 4), int), [0, 1]", r"shape \(2,\).*\(3,\), one p"),
    ("return ['a.png', 'b.png'], [0, 5], ['x']", r"label 5 of b\.png .*1 cl"),
    ("return np.zeros((1, 4, 4), int), [{}]", "labels that cannot be read"),
  ],
)
def test_other_results_are_explained(write, body, message):
  kind = write(f"def load(name):\n  {body}\n")
  with pytest.raises(ValueError, match=f"my_data.*{message}"):
    opened(kind)


def test_missing_files_and_functions_are_errors(write, tmp_path):
  kind = write("def laod(name):\n  return None\n")
  with pytest.raises(ValueError, match=r"no function 'load'; it has .*laod"):
    opened(kind)
  with pytest.raises(FileNotFoundError, match=r"no file /.*none\.py"):
    opened(f"{tmp_path}/none.py:load")


def test_errors_of_the_function_stay_as_they_are(write):
  kind = write("def load(name):\n  raise KeyError('mine')\n")
  with pytest.raises(KeyError, match="mine"):
    opened(kind)


@pytest.mark.parametrize(
  ("body", "message"),
  [
    ("x, ['1', '0']), 'test': (x, [0, 1])", "train: text, test: numbers"),
    ("x, ['a', '3.0'])", "example 1: the label is '3.0'; expected"),
    ("x, [0, 10**9])", "example 1: the label 1000000000 would need"),
    ("x, [0, 1], ['crane', 'crane'])", "have the same name 'crane'"),
    ("x, [0, 1], ['\\u00e9', 'e\\u0301'])", "have the same name"),
    ("x, [0, 1], ['a', ''])", "name of class 1 is ''"),
  ],
)
def test_labels_are_decided_once_for_all_splits(write, body, message):
  kind = write(f"""
    def load(name):
      x = np.zeros((2, 4, 4), int)
      return {{'train': ({body}}}
  """)
  with pytest.raises(ValueError, match=message):
    opened(kind)


def test_splits_without_names_have_those_of_the_others(write):
  kind = write("""
    def load(name):
      x = np.zeros((2, 4, 4), int)
      return {'train': (x, [0, 1], ['b', 'a']), 'test': (x, [1, 1])}
  """)
  assert opened(kind, "test").class_names == ("b", "a")
  assert opened(kind, "train+test").labels().tolist()[2:] == [1, 1]


def test_splits_of_other_classes_are_not_joined(write):
  kind = write("""
    def load(name):
      x = np.zeros((2, 4, 4), int)
      first, second = ['b', 'a'], ['a', 'b']
      return {'train': (x, [0, 1], first), 'extra': (x, [0, 1], second)}
  """)
  assert opened(kind, "extra").class_names == ("a", "b")
  with pytest.raises(ValueError, match="orders of the classes differ: b, a"):
    opened(kind, "train+extra")

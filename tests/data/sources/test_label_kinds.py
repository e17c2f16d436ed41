"""Labels that are sets of classes or numbers, of every kind of data."""

import json
import pickle

import numpy as np
import pytest
from written_sources import config, png, write_tar

from jaxvision import data

NAMES = ("ant", "bee", "cat")
SETS = np.asarray([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 1]])
NUMBERS = np.asarray([[0.5, -3.0], [1.5, 2.0], [0.0, 1.0], [9.0, 0.25], [2, 2]])
COUNT = len(SETS)


def lists():
  return [[NAMES[i] for i in np.flatnonzero(row)] for row in SETS]


def write_npz(folder, kind):
  images = np.stack([np.full((2, 2, 1), n, np.uint8) for n in range(COUNT)])
  path = folder / "arrays.npz"
  if kind == "sets":
    np.savez(path, images=images, labels=SETS, class_names=NAMES)
  else:
    np.savez(path, images=images, labels=NUMBERS)
  return config("npz", path, labels=kind)


def write_folder(folder, kind):
  rows = [
    "|".join(each) if kind == "sets" else f"{a},{b}"
    for each, (a, b) in zip(lists(), NUMBERS.tolist(), strict=True)
  ]
  header = "labels" if kind == "sets" else "0,1"
  (folder / "deep").mkdir()
  for number in range(COUNT):
    (folder / "deep" / f"{number}.png").write_bytes(png(number))
  lines = [f"deep/{number}.png,{row}" for number, row in enumerate(rows)]
  text = "\n".join([f"file,{header}", *lines])
  (folder / "labels.csv").write_text(text)
  return config("folder", folder, labels=kind)


def write_shards(folder, kind):
  members = []
  for number, (each, row) in enumerate(
    zip(lists(), NUMBERS.tolist(), strict=True)
  ):
    content = {"labels": each, "numbers": row}
    members += [
      (f"{number}.png", png(number)),
      (f"{number}.json", json.dumps(content).encode()),
    ]
  write_tar(folder / "a.tar", members)
  return config("webdataset", folder, labels=kind)


def write_function(folder, kind):
  path = folder / "own.py"
  given = lists() if kind == "sets" else NUMBERS.tolist()
  path.write_text(
    "import numpy as np\n"
    "def load(name):\n"
    f"  images = np.arange({COUNT}, dtype=np.uint8)\n"
    f"  return images.reshape(-1, 1, 1, 1), {given!r}\n"
  )
  return config(f"{path}:load", labels=kind)


WRITERS = (write_npz, write_folder, write_shards, write_function)


def number_of(image):
  """The number of an image, from its pixels."""
  if isinstance(image, bytes):
    return int(data.decode(image, channels=3)[0, 0, 0])
  return int(image.ravel()[0])


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("kind", ["sets", "numbers"])
def test_every_image_keeps_its_labels(write, kind, tmp_path):
  opened = data.open_dataset(write(tmp_path, kind), "train")
  expected = SETS if kind == "sets" else NUMBERS
  assert opened.label_kind == kind and opened.num_examples == COUNT
  assert opened.class_names == (NAMES if kind == "sets" else ("0", "1"))
  found, labels = opened.read(range(COUNT)), opened.labels()
  assert labels.dtype == (np.uint8 if kind == "sets" else np.float32)
  for (image, label), stored in zip(found, labels, strict=True):
    np.testing.assert_array_equal(label, expected[number_of(image)])
    np.testing.assert_array_equal(label, stored)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("kind", ["sets", "numbers"])
def test_batches_and_slices_hold_them(write, kind, tmp_path):
  source = write(tmp_path, kind)
  opened = data.open_dataset(source, "train[:2]+train[2:]")
  channels = 3 if write in (write_folder, write_shards) else 1
  made = data.make_batches(opened, batch_size=4, channels=channels)
  first, last = made.at(0), made.at(1)
  np.testing.assert_array_equal(first["label"], opened.labels()[:4])
  assert first["label"].dtype == opened.labels().dtype
  assert last["mask"].tolist() == [1, 0, 0, 0] and not last["label"][1:].any()
  again = pickle.loads(pickle.dumps(opened))
  np.testing.assert_array_equal(again.labels(), opened.labels())


@pytest.mark.parametrize("kind", ["sets", "numbers"])
def test_workers_and_devices_see_the_same_labels(kind, tmp_path):
  opened = data.open_dataset(write_npz(tmp_path, kind), "train")
  options = {"batch_size": 3, "channels": 1, "seed": 1}
  made = data.make_batches(opened, **options)
  workers = data.make_batches(opened, **options, workers=2)
  resident = made.resident()
  for step, batch in enumerate(workers.iterate(0, 3)):
    for name, each in made.at(step).items():
      np.testing.assert_array_equal(batch[name], each)
      np.testing.assert_array_equal(resident[name][made.indices(step)], each)


@pytest.mark.parametrize("kind", ["sets", "numbers"])
def test_changed_labels_are_changed_data(kind, tmp_path):
  source, records = write_npz(tmp_path, kind), []
  with np.load(source.name) as arrays:
    changed = dict(arrays)
  for _ in range(2):
    opened = data.open_dataset(source, "train")
    records.append(data.identify({"train": opened})[0])
    changed["labels"] = 1 - changed["labels"]
    np.savez(source.name, **changed)
  (found,) = data.differences(*records)
  assert found.startswith("train: ") and "but" in found and "different" in found


def test_slices_have_the_rare_classes_in_their_proportions(tmp_path):
  rng = np.random.default_rng(0)
  sets = (rng.random((1000, 4)) < [0.9, 0.5, 0.1, 0.02]).astype(np.uint8)
  images = np.zeros((1000, 1, 1, 1), np.uint8)
  np.savez(tmp_path / "a.npz", images=images, labels=sets)
  source = config("npz", tmp_path / "a.npz", labels="sets")
  head = data.open_dataset(source, "train[:80%]").labels()
  assert abs(head[:, 3].sum() - 0.8 * sets[:, 3].sum()) <= 1
  rare = sets[:, 2] & ~sets[:, 3]
  assert abs((head[:, 2] & ~head[:, 3]).sum() - 0.8 * rare.sum()) <= 1


def test_mixtures_join_classes_of_sets_and_refuse_other_numbers(tmp_path):
  parts = []
  for name, names in (("a", ("ant", "bee")), ("b", ("bee", "cat"))):
    path = tmp_path / f"{name}.npz"
    images = np.zeros((4, 1, 1, 1), np.uint8)
    labels = np.tile([[1, 0], [0, 1]], (2, 1))
    np.savez(path, images=images, labels=labels, class_names=names)
    parts.append((1.0, "npz", str(path), "train"))
  mixed = data.open_dataset(
    config("mixture", sources=parts, labels="sets"), "train"
  )
  assert mixed.class_names == NAMES
  assert mixed.labels().sum(axis=0).tolist() == [2, 4, 2]
  assert all(label.shape == (3,) for _, label in mixed.read(range(8)))
  numbers = config("mixture", sources=parts, labels="numbers")
  with pytest.raises(ValueError, match="use the same names in"):
    data.open_dataset(numbers, "train")


def test_tables_have_a_column_per_class_and_splits(tmp_path):
  for number in range(4):
    (tmp_path / f"{number}.png").write_bytes(png(number))
  (tmp_path / "labels.csv").write_bytes(
    b"\xef\xbb\xbfsplit,file,ant,bee\r\n"
    b"train,0.png,1,0\r\nVAL,1.png,0,0\r\ntest,2.png,1,1\r\n"
    b'train,"3.png",0,1\r\n'
  )
  source = config("folder", tmp_path, labels="sets")
  assert data.split_sizes(source) == {"train": 2, "validation": 1, "test": 1}
  assert data.open_dataset(source, "test").class_names == ("ant", "bee")
  assert data.open_dataset(source, "test").labels().tolist() == [[1, 1]]


def test_sets_of_numbers_count_their_classes(tmp_path):
  (tmp_path / "0.png").write_bytes(png(0))
  (tmp_path / "labels.csv").write_text("file,labels\n0.png,0;10\n")
  source = config("folder", tmp_path, labels="sets")
  opened = data.open_dataset(source, "train")
  assert opened.class_names == tuple(map(str, range(11)))
  assert np.flatnonzero(opened.labels()[0]).tolist() == [0, 10]


@pytest.mark.parametrize(
  ("kind", "text", "message"),
  [
    ("sets", "", r"has the columns \[\]; expected .*'file'"),
    ("sets", "image,labels\n0.png,a\n", "'file' among them"),
    ("sets", "file,file\n", "different names"),
    ("sets", "file\n0.png\n", r"the columns of labels \[\]"),
    ("sets", "file,labels\n", "has 0 images"),
    ("sets", "file,labels\n0.png,a,b\n", "line 2 has 3 cells for 2 columns"),
    ("sets", "file,labels\n0.png,a\n0.png,b\n", "lists 0.png twice"),
    ("sets", "file,ant,bee\n0.png,1,2\n", "has 2.0 for the class 'bee'"),
    ("sets", "file,ant,bee\n0.png,1,\n", "has '' in the column 'bee'"),
    (
      "sets",
      "file,labels,split\n0.png,a,often\n",
      "has the split 'often'",
    ),
    ("sets", "file,labels\n0.png,1.5\n", "the label is '1.5'"),
    ("numbers", "file,age\n0.png,old\n", "has 'old' in the column 'age'"),
    ("numbers", "file,age\n0.png,nan\n", r"has the label \[nan\]"),
    ("numbers", "file,age\n0.png,1e99\n", r"range of float32"),
  ],
)
def test_odd_tables_are_refused(kind, text, message, tmp_path):
  (tmp_path / "0.png").write_bytes(png(0))
  (tmp_path / "labels.csv").write_text(text)
  with pytest.raises(ValueError, match=message):
    data.open_dataset(config("folder", tmp_path, labels=kind), "train")


def test_missing_tables_and_images_are_named(tmp_path):
  source = config("folder", tmp_path, labels="sets")
  with pytest.raises(FileNotFoundError, match=r"labels\.csv; .*'file'"):
    data.open_dataset(source, "train")
  (tmp_path / "labels.csv").write_text("file,labels\nnone.png,a\n")
  with pytest.raises(FileNotFoundError, match=r"none\.png.* as image 1"):
    data.open_dataset(source, "train")


@pytest.mark.parametrize(
  ("kind", "labels", "message"),
  [
    ("sets", np.zeros(3, int), r"shape \(3,\); expected \(n, k\)"),
    ("sets", np.full((3, 2), 2), "has 2 for the class '0'; expected 0 or 1"),
    ("sets", np.full((3, 2), np.nan), "has nan for the class"),
    ("sets", np.zeros((2, 2), int), "2 labels for 3 images"),
    ("numbers", np.asarray(["a", "b", "c"]), "labels are <U1"),
    ("numbers", np.zeros((3, 2, 2)), r"shape \(3, 2, 2\)"),
    ("numbers", np.asarray([0, np.inf, 1]), r"example 1 has the label \[inf\]"),
    ("classes", np.zeros((3, 2), int), r"labels are int64 of the shape \(3, 2"),
    ("set", np.zeros(3, int), "unknown data.labels 'set'; did you mean 'sets'"),
  ],
)
def test_odd_arrays_are_refused(kind, labels, message, tmp_path):
  path = tmp_path / "a.npz"
  np.savez(path, images=np.zeros((3, 1, 1, 1), np.uint8), labels=labels)
  with pytest.raises(ValueError, match=message):
    data.open_dataset(config("npz", path, labels=kind), "train")


@pytest.mark.parametrize(
  ("kind", "content", "message"),
  [
    ("sets", None, "expected .json with a value 'labels'"),
    ("sets", {"caption": "a"}, "there is no value 'labels'"),
    ("sets", {"labels": [["a"]]}, "expected numbers or names"),
    ("sets", {"labels": ["a", 1]}, "some labels are names and others numbers"),
    ("sets", {"labels": [True]}, "the label has true"),
    ("numbers", {"numbers": ["a"]}, "labels are <U1"),
  ],
)
def test_odd_json_is_refused(kind, content, message, tmp_path):
  members = [("0.png", png(0))]
  if content is not None:
    members.append(("0.json", json.dumps(content).encode()))
  write_tar(tmp_path / "a.tar", members)
  source = config("webdataset", tmp_path / "a.tar", labels=kind)
  with pytest.raises(ValueError, match=message):
    data.open_dataset(source, "train")


def test_a_function_must_return_the_configured_labels(tmp_path):
  path = tmp_path / "own.py"
  path.write_text(
    "from jaxvision import data\n"
    "def load(name):\n"
    "  return data.open_dataset(data.Source('npz', name), 'train')\n"
  )
  images = np.zeros((2, 1, 1, 1), int)
  np.savez(tmp_path / "a.npz", images=images, labels=[0, 1])
  source = config(f"{path}:load", tmp_path / "a.npz", labels="sets")
  with pytest.raises(ValueError, match=r"label_kind 'classes'.*'sets'"):
    data.open_dataset(source, "train")


def test_prepared_data_sets_have_classes_only():
  with pytest.raises(ValueError, match='"classes" or "none" only'):
    data.open_dataset(config("tfds", "digits", labels="sets"), "train")


def test_inspection_reports_the_kind_of_labels(tmp_path):
  (summary,) = data.inspect(
    write_npz(tmp_path, "sets"), splits=["train"], channels=1
  )
  assert summary.counts == {"ant": 2, "bee": 2, "cat": 3}
  opened = data.open_dataset(write_npz(tmp_path, "sets"), "train")
  _, titles = data.sample(opened, per_class=9, channels=1)
  assert sorted(titles) == ["ant + bee + cat", "ant + cat", "bee", "cat"]
  source = write_npz(tmp_path, "numbers")
  (summary,) = data.inspect(source, splits=["train"], channels=1)
  assert not summary.counts and summary.numbers["1"] == (-3, 0.45, 2)
  opened = data.open_dataset(source, "train")
  _, titles = data.sample(opened, per_class=1, channels=1)
  assert titles[0] == "0 0, 1 1" and titles[-1] == "0 9, 1 0.25"
  assert all(
    each.severity != "error" for each in data.diagnose(source, channels=1)
  )

"""Detection of problems of a data set, without false alarms."""

import types

import numpy as np
import published_archives
import pytest
from preparations import prepare

from jaxvision import data
from jaxvision.data.inspection import doctor


def diagnose(folder, **options):
  source = data.Source(kind="folder", name=str(folder))
  return data.diagnose(source, channels=3, **options)


def write(folder, split, name, numbers, **size):
  path = folder / split / name
  path.mkdir(parents=True, exist_ok=True)
  for number in numbers:
    content = published_archives.jpeg(number, **size)
    (path / f"{number}.jpg").write_bytes(content)


@pytest.fixture
def folder(tmp_path):
  """Two classes in two splits, without problems."""
  for start, split in ((0, "train"), (100, "test")):
    write(tmp_path, split, "cat", range(start, start + 12))
    write(tmp_path, split, "dog", range(start + 20, start + 32))
  return tmp_path


def only(findings):
  """The only finding besides the note about the speed."""
  *others, speed = findings
  assert "images/s" in speed.text and speed.severity == "note"
  (found,) = others
  return found


def test_a_valid_data_set_has_only_the_note_about_the_speed(folder):
  (speed,) = diagnose(folder)
  assert "48 images of typically 48x64 pixels" in speed.text
  assert speed.remedy == ""


def test_unreadable_images(folder):
  path = folder / "test" / "cat" / "103.jpg"
  path.write_bytes(path.read_bytes()[:300])
  found = only(diagnose(folder))
  assert found.severity == "error"
  assert found.text.startswith(f"1 of 24 images of test cannot be read: {path}")


@pytest.mark.parametrize(("more", "found"), [(108, False), (109, True)])
def test_classes_of_very_different_sizes(folder, more, found):
  write(folder, "train", "cat", range(1000, 1000 + more))
  texts = [each.text for each in diagnose(folder)]
  expected = "the classes of train have between 12 (dog) and 121 (cat) examples"
  assert (expected in texts) is found


def test_classes_that_a_split_lacks(folder):
  for path in (folder / "test" / "dog").iterdir():
    path.unlink()
  (folder / "test" / "dog").rmdir()
  found = only(diagnose(folder))
  assert found.text == "1 of 2 classes have no example in test: dog"


def test_images_in_two_splits(folder):
  write(folder, "test", "cat", [5])
  found = only(diagnose(folder))
  assert found.severity == "error"
  (_, copied) = found.text.split(" test: ")
  assert copied == str(folder / "test" / "cat" / "5.jpg") or "train" in copied
  assert "1 images of train are also in test" in found.text


def test_images_that_are_there_twice(folder):
  content = (folder / "train" / "cat" / "3.jpg").read_bytes()
  (folder / "train" / "cat" / "again.jpg").write_bytes(content)
  found = only(diagnose(folder))
  assert found.severity == "note"
  assert "1 images of train occur more than once, 0 of them" in found.text
  (folder / "train" / "dog" / "again.jpg").write_bytes(content)
  found = only(diagnose(folder))
  assert found.severity == "warning"
  assert "2 images of train occur more than once" in found.text


def test_tiny_and_huge_images(folder):
  write(folder, "train", "cat", [700], height=5, width=40)
  write(folder, "train", "dog", [701], height=20, width=4100)
  tiny, huge, _ = diagnose(folder)
  assert "700.jpg (5x40)" in tiny.text and "below 16 pixels" in tiny.text
  assert "701.jpg (20x4100)" in huge.text and "over 4096 pixels" in huge.text


def test_small_images_are_not_tiny_where_all_are(tmp_path):
  write(tmp_path, "train", "cat", range(3), height=8, width=8)
  write(tmp_path, "train", "dog", range(3, 6), height=8, width=8)
  assert len(diagnose(tmp_path)) == 1


def test_large_images_should_be_prepared_smaller(tmp_path):
  write(tmp_path, "train", "cat", range(2), height=1000, width=1100)
  write(tmp_path, "train", "dog", range(2, 4), height=1000, width=1100)
  (speed,) = diagnose(tmp_path)
  assert "1000x1100" in speed.text and "--resize_small=512" in speed.remedy


def test_large_splits_are_sampled_unless_all_is_asked_for(folder, monkeypatch):
  monkeypatch.setattr(doctor, "_ALL_BELOW", 20)
  monkeypatch.setattr(doctor, "_SAMPLED", 4)
  sampled = diagnose(folder)
  assert "8 images of" in sampled[-1].text
  assert "only a sample was examined" in sampled[0].text
  (speed,) = diagnose(folder, every=True)
  assert "48 images of" in speed.text


def test_labels_outside_of_the_classes():
  split = types.SimpleNamespace(
    split="test",
    label_kind="classes",
    class_names=("a", "b"),
    ids=lambda rows: [f"#{i}" for i in rows],
  )
  seen = types.SimpleNamespace(split=split, labels=np.asarray([0, -1, 1, 2]))
  (found,) = doctor.check_labels([seen])
  assert found.severity == "error"
  assert "2 examples of test have labels outside the 2 classes" in found.text
  assert "#1 (-1)" in found.text


def prepared_config(data_dir):
  return data.Source(kind="tfds", name="mnist", data_dir=data_dir)


def test_missing_or_damaged_data_are_one_error(tmp_path):
  (missing,) = data.diagnose(prepared_config(tmp_path), channels=1)
  assert missing.severity == "error"
  assert "jaxvision data prepare mnist --source=FOLDER" in missing.text
  source = tmp_path / "source"
  source.mkdir()
  published_archives.idx(source)
  directory = prepare("mnist", source, tmp_path)
  assert (
    data.diagnose(prepared_config(tmp_path), channels=1)[0].severity
    == "warning"
  )
  (directory / "mnist-train.array_record-00000-of-00001").write_bytes(b"")
  (damaged,) = data.diagnose(prepared_config(tmp_path), channels=1)
  assert "is damaged or truncated" in damaged.text


def test_a_folder_that_cannot_be_opened_is_an_error(folder):
  (folder / "train" / "lost.png").write_bytes(b"")
  (found,) = diagnose(folder)
  assert found.severity == "error" and "lost.png is beside" in found.text

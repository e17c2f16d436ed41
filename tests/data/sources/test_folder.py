import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxvision import data
from jaxvision.data.sources import folder as folders


def config(kind, name, **changes):
  return data.Source(kind=kind, name=str(name), **changes)


def open_folder(path, split="train", **changes):
  return data.open_dataset(config("folder", path, **changes), split)


def write_image(path, value=0):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new("RGB", (4, 3), (value, 0, 0)).save(path)


def all_ids(dataset):
  return dataset.ids(range(dataset.num_examples))


@pytest.fixture
def folder(tmp_path):
  for name, count in {"Äpfel": 20, "猫": 10, "zebra": 5}.items():
    for number in range(count):
      suffix = (".png", ".PNG", ".Jpg")[number % 3]
      write_image(tmp_path / "images" / name / f"{number:02}{suffix}", number)
  return tmp_path / "images"


def test_folder_finds_all_files_of_all_classes(folder):
  (folder / ".DS_Store").touch()
  dataset = open_folder(folder)
  assert dataset.class_names == ("zebra", "Äpfel", "猫")
  assert sorted(all_ids(dataset)) == sorted(map(str, folder.glob("*/*.*")))
  for path, label in zip(all_ids(dataset), dataset.labels(), strict=True):
    assert pathlib.Path(path).parent.name == dataset.class_names[label]
  encoded, label = dataset.read([7])[0]
  assert encoded == pathlib.Path(dataset.ids([7])[0]).read_bytes()
  assert label == dataset.labels()[7]


def test_folder_slices_are_stratified_and_disjoint(folder):
  head = open_folder(folder, "train[:80%]")
  tail = open_folder(folder, "train[80%:]")
  assert np.bincount(head.labels()).tolist() == [4, 16, 8]
  assert np.bincount(tail.labels()).tolist() == [1, 4, 2]
  assert not set(all_ids(head)) & set(all_ids(tail))
  assert all_ids(head) == all_ids(open_folder(folder, "train[:80%]"))


def test_folder_with_splits(tmp_path):
  for split in ("train", "val", "TEST"):
    for name in ("a", "b"):
      write_image(tmp_path / split / name / "1.png")
  write_image(tmp_path / "train" / "c" / "1.png")
  expected = {"train": 3, "validation": 2, "test": 2}
  assert data.split_sizes(config("folder", tmp_path)) == expected
  assert open_folder(tmp_path, "validation").class_names == ("a", "b", "c")
  with pytest.raises(ValueError, match="'val'; known: test, train, valid"):
    open_folder(tmp_path, "val")


def test_a_class_may_be_called_train(tmp_path):
  for name in ("boat", "train"):
    write_image(tmp_path / name / "1.png")
  assert open_folder(tmp_path).class_names == ("boat", "train")


def test_names_of_classes_are_composed(tmp_path):
  write_image(tmp_path / "e\u0301te\u0301" / "1.png")
  assert open_folder(tmp_path).class_names == ("\u00e9t\u00e9",)


def break_with_empty_class(path):
  (path / "lynx").mkdir()


def break_with_image_beside_classes(path):
  write_image(path / "cat.png")


def break_with_directory_in_class(path):
  write_image(path / "zebra" / "more" / "1.png")


def break_with_mixed_splits(path):
  write_image(path / "train" / "zebra" / "1.png")


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (break_with_empty_class, "class 'lynx' has no image"),
    (break_with_image_beside_classes, "cat.png is beside the classes"),
    (break_with_directory_in_class, "more is a directory inside a class"),
    (break_with_mixed_splits, r"mixes splits \(train\) with"),
  ],
)
def test_broken_folders_are_explained(folder, damage, message):
  damage(folder)
  with pytest.raises(ValueError, match=message):
    open_folder(folder)


def test_empty_and_missing_folders(tmp_path):
  with pytest.raises(ValueError, match="no directories; expected"):
    open_folder(tmp_path)
  with pytest.raises(FileNotFoundError, match=r"no directory .*nowhere"):
    open_folder(tmp_path / "nowhere")


def test_a_class_unknown_to_training_is_an_error(tmp_path):
  write_image(tmp_path / "train" / "a" / "1.png")
  write_image(tmp_path / "test" / "b" / "1.png")
  with pytest.raises(ValueError, match=r"classes \['b'\], which the training"):
    open_folder(tmp_path)


def test_accents_in_two_forms_are_one_class(tmp_path):
  write_image(tmp_path / "e\u0301te\u0301" / "1.png")
  write_image(tmp_path / "\u00e9t\u00e9" / "2.png")
  with pytest.raises(ValueError, match="two directories of the class"):
    open_folder(tmp_path)


@pytest.fixture
def settled(folder):
  """The folder with old modification times, so that its index is stored."""
  for path in folder.iterdir():
    os.utime(path, ns=(10**18, 10**18))
  return folder


def refuse(above, directories, problems):
  raise AssertionError(f"listed {directories} again")


def test_files_are_listed_once(settled, monkeypatch):
  first = open_folder(settled)
  monkeypatch.setattr(folders, "_list", refuse)
  again = open_folder(settled)
  assert all_ids(again) == all_ids(first)
  assert again.read(range(35)) == first.read(range(35))
  np.testing.assert_array_equal(again.labels(), first.labels())


def add_file(path):
  write_image(path / "zebra" / "new.png")


def remove_file(path):
  next((path / "zebra").iterdir()).unlink()


def rename_file(path):
  found = next((path / "zebra").iterdir())
  found.rename(found.with_name("renamed.png"))


def add_class(path):
  write_image(path / "aardvark" / "1.png")


def remove_class(path):
  shutil.rmtree(path / "zebra")


def rename_class(path):
  (path / "zebra").rename(path / "zorse")


@pytest.mark.parametrize(
  "change",
  [add_file, remove_file, rename_file, add_class, remove_class, rename_class],
)
def test_files_are_listed_again_after_a_change(settled, change):
  open_folder(settled)
  change(settled)
  dataset = open_folder(settled)
  assert sorted(all_ids(dataset)) == sorted(map(str, settled.glob("*/*.*")))
  assert set(dataset.class_names) == {p.name for p in settled.glob("[!.]*")}


def test_one_index_serves_a_folder_under_any_path(settled, tmp_path):
  first = open_folder(settled)
  moved = settled.rename(tmp_path / "moved")
  again = open_folder(moved)
  names = [pathlib.Path(each).name for each in all_ids(again)]
  assert names == [pathlib.Path(each).name for each in all_ids(first)]
  assert again.read([3]) == [
    (pathlib.Path(again.ids([3])[0]).read_bytes(), again.labels()[3])
  ]


def test_a_removed_file_is_an_error_of_reading(settled):
  dataset = open_folder(settled)
  pathlib.Path(dataset.ids([7])[0]).unlink()
  with pytest.raises(FileNotFoundError):
    dataset.read([6, 7])


def test_other_files_are_skipped_with_one_warning(folder, caplog):
  folders._warn_once.cache_clear()
  for name in ("zebra/Thumbs.db", "zebra/notes.txt", "\u732b/b.TXT", "README"):
    (folder / name).write_bytes(b"x")
  for _ in range(3):
    dataset = open_folder(folder)
    assert dataset.num_examples == 35
  assert caplog.text.count("are skipped") == 1
  assert "4, of the kinds .txt (2), no extension (1), .db (1)" in caplog.text
  assert "such as zebra/Thumbs.db" in caplog.text


def test_all_problems_are_reported_at_once(folder):
  for damage in (
    break_with_empty_class,
    break_with_image_beside_classes,
    break_with_directory_in_class,
  ):
    damage(folder)
  os.mkfifo(folder / "zebra" / "pipe.jpg")
  with pytest.raises(ValueError, match="has 4 problems") as caught:
    open_folder(folder)
  for words in ("cat.png is beside", "'lynx' has no image", "pipe, socket"):
    assert words in str(caught.value)


@pytest.mark.parametrize("target", ["loop.png", "nowhere", "/dev/zero"])
def test_broken_links_are_unreadable_images(folder, target):
  os.symlink(target, folder / "zebra" / "loop.png")
  opened = open_folder(folder)
  assert opened.num_examples == 36
  (place,) = [i for i in range(36) if opened.ids([i])[0].endswith("loop.png")]
  with pytest.raises(OSError, match=r"loop\.png"):
    opened.read([place])


def test_hidden_files_and_folders_of_systems_are_ignored(folder):
  for name in ("__MACOSX/zebra/._1.png", ".ipynb_checkpoints/1.png"):
    write_image(folder / name)
  for name in ("zebra/.ipynb_checkpoints/1.png", "zebra/._1.png"):
    write_image(folder / name)
  assert open_folder(folder).num_examples == 35


def test_a_class_that_is_no_utf_8_is_refused_with_its_path(folder):
  os.mkdir(os.fsencode(folder) + b"/caf\xe9")
  with pytest.raises(ValueError, match=r"images/caf\\xe9: .*not UTF-8; rename"):
    open_folder(folder)


@pytest.mark.parametrize(
  ("names", "sizes"),
  [
    (["trn", "dev", "tst"], {"train": 1, "validation": 1, "test": 1}),
    (["Training", "testing"], {"train": 1, "test": 1}),
    (["train2017", "val2017"], {"train": 1, "validation": 1}),
    (["train_images", "Test set"], {"train": 1, "test": 1}),
  ],
)
def test_splits_in_other_spellings(tmp_path, names, sizes):
  for name in names:
    write_image(tmp_path / name / "a" / "1.png")
  assert data.split_sizes(config("folder", tmp_path)) == sizes


@pytest.mark.parametrize("names", [["train", "test"], ["trn", "dev", "tst"]])
def test_splits_without_classes_do_not_become_classes(tmp_path, names):
  for name in names:
    write_image(tmp_path / name / "1.png")
  with pytest.raises(ValueError, match="without class directories"):
    open_folder(tmp_path)


def test_an_image_beside_the_splits_is_an_error(tmp_path):
  for split in ("train", "test"):
    write_image(tmp_path / split / "a" / "1.png")
  write_image(tmp_path / "lost.png")
  with pytest.raises(ValueError, match=r"lost\.png is beside"):
    open_folder(tmp_path)

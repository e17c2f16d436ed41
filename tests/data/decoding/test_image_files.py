"""Lists of image files in folders."""

import pytest
from PIL import Image

from jaxvision import data
from jaxvision.data.decoding import image_files


def test_folders_are_searched_recursively(tmp_path):
  for name in ("b/2.PNG", "b/1.jpg", "a/deep/3.webp", "a/notes.txt"):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
  single = tmp_path / "a" / "notes.txt"
  found = data.list_images([single, str(tmp_path)])
  names = [str(each.relative_to(tmp_path)) for each in found]
  assert names == ["a/notes.txt", "a/deep/3.webp", "b/1.jpg", "b/2.PNG"]


def test_a_folder_without_images_is_an_error(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"no image in .*\.jpeg"):
    data.list_images([tmp_path])


def test_every_extension_is_one_that_pillow_decodes():
  Image.init()
  assert set(Image.EXTENSION) >= image_files.EXTENSIONS


def test_hidden_files_below_a_folder_are_left_out(tmp_path):
  names = ["a/1.jpg", "a/._1.jpg", ".ipynb_checkpoints/1.jpg"]
  names += ["__MACOSX/a/1.jpg", "a/@eaDir/1.jpg", ".2.png", "b.png"]
  for name in names:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
  found = [
    path.relative_to(tmp_path) for path in image_files.list_images([tmp_path])
  ]
  assert [path.as_posix() for path in found] == ["a/1.jpg", "b.png"]
  # A path that the user names is included, also below a hidden folder.
  hidden = tmp_path / ".ipynb_checkpoints"
  assert image_files.list_images([hidden]) == [hidden / "1.jpg"]
  assert image_files.list_images([tmp_path / ".2.png"]) == [tmp_path / ".2.png"]

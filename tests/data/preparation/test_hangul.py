"""The syllables of Korean: how they are drawn, and the split of each."""

import unicodedata

import font_files
import numpy as np
import published_archives
import pytest
from preparations import files, prepare, stored

from jaxvision import data
from jaxvision.data.preparation import hangul

EM = 112  # pixels of an em


@pytest.fixture
def source(tmp_path):
  folder = tmp_path / "source"
  folder.mkdir()
  published_archives.hangul(folder)
  return folder


def _write(folder, fonts):
  folder.mkdir(parents=True, exist_ok=True)
  for name, content in fonts.items():
    (folder / f"{name}.ttf").write_bytes(content)


def _standard():
  """The syllables that two bytes of EUC-KR encode, by Unicode."""
  every = map(chr, range(0xAC00, 0xD7A4))
  return [each for each in every if len(each.encode("euc_kr")) == 2]


def test_the_classes_are_the_syllables_of_the_standard(tmp_path):
  assert list(hangul.SYLLABLES) == _standard()
  font = font_files.ttf({"힝": [(0, 0, 9, 9)]}, em=EM)
  _write(tmp_path / "fonts", {"UnPen": font})
  prepare("hangul", tmp_path / "fonts", tmp_path)
  opened = data.open_dataset(
    data.Source(kind="tfds", name="hangul", data_dir=tmp_path), "test"
  )
  assert opened.labels().tolist() == [2349]
  assert opened.class_names[:3] == ("ga", "gag", "gan")
  assert len(set(opened.class_names)) == 2350


def test_the_first_consonant_decides_the_split():
  """By Unicode's decomposition; so no class is in two splits."""
  counts = dict.fromkeys(("train", "validation", "test"), 0)
  split_of = {"ᄎ": "validation", **dict.fromkeys("ᄏᄐᄑᄒ", "test")}
  for each in hangul.SYLLABLES:
    first = unicodedata.normalize("NFD", each)[0]
    assert hangul._split_of(each) == split_of.get(first, "train")
    counts[hangul._split_of(each)] += len(hangul.FONTS)
  assert counts == hangul.HANGUL.counts
  assert len(set(hangul.FONTS)) == 28


def test_ink_is_reduced_by_area_and_centred(tmp_path):
  """An angle of 96 by 48 pixels, which is not symmetric, and a small dot."""
  angle = [(10, 20, 18, 68), (18, 20, 106, 32)]
  font = font_files.ttf({"가": angle, "나": [(50, 50, 56, 56)]}, em=EM)
  _write(tmp_path / "fonts", {"UnPen": font})
  found = stored(prepare("hangul", tmp_path / "fonts", tmp_path))["train"]
  drawn = np.zeros((48, 96))
  drawn[:, :8], drawn[36:] = 255, 255
  expected = np.zeros((28, 28))
  expected[8:20, 2:26] = drawn.reshape(12, 4, 24, 4).mean((1, 3))
  image = data.decode(found["UnPen_ga.png"][1], channels=1)[..., 0]
  np.testing.assert_array_equal(image, expected)
  dot = data.decode(found["UnPen_na.png"][1], channels=1)[..., 0]
  assert (dot[2:26, 2:26] == 255).all() and dot.sum() == 24 * 24 * 255


def test_absent_and_blank_syllables_are_left_out_with_a_warning(
  tmp_path, caplog
):
  font = font_files.ttf({"가": [(0, 0, 9, 9)], "각": []}, em=EM)
  _write(tmp_path / "fonts", {"UnPen": font})
  found = stored(prepare("hangul", tmp_path / "fonts", tmp_path))
  assert {split: list(each) for split, each in found.items()} == {
    "train": ["UnPen_ga.png"]
  }
  assert "UnPen.ttf lacks 2349 of 2350 syllables" in caplog.text
  assert "the source has no Bandal.ttf, Bangwool.ttf" in caplog.text


def test_packages_and_fonts_in_folders_give_the_same_bytes(source, tmp_path):
  packed = files(prepare("hangul", source, tmp_path / "packed"))
  folder = tmp_path / "unpacked" / "truetype"
  _write(folder / "some", published_archives.hangul_fonts())
  made = files(prepare("hangul", folder.parent, tmp_path / "unpacked"))
  assert made == packed
  for package in hangul.HANGUL.files:
    nested = tmp_path / "pool" / package
    nested.parent.mkdir(parents=True)
    (source / nested.name).rename(nested)
  mirrored = files(prepare("hangul", tmp_path / "pool", tmp_path / "mirrored"))
  assert mirrored == packed


def test_a_damaged_font_is_named(tmp_path):
  _write(tmp_path / "fonts", {"UnPen": b"no font"})
  with pytest.raises(ValueError, match=r"the font UnPen\.ttf cannot be read"):
    prepare("hangul", tmp_path / "fonts", tmp_path)


def test_a_folder_without_packages_and_fonts_is_an_error(tmp_path):
  with pytest.raises(
    FileNotFoundError, match=r"fonts-alee_13\.3_all\.deb.* of hangul is not in"
  ):
    prepare("hangul", tmp_path, tmp_path)

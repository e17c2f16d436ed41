"""The stamps of Debian: which pictures are taken; white ground and masks."""

import bz2
import gzip
import io

import numpy as np
import published_archives
import pytest
from PIL import Image
from preparations import as_tfrecord, files, prepare

from jaxvision import data
from jaxvision.data.preparation import archives, debian

CLASSES = {
  "stamps": {
    "birds": ("duck", "barn"),
    "fish": ("eel",),
    "flowers": ("rose",),
    "fruit": ("kiwi",),
    "insects": ("bee",),
    "mammals": ("cat",),
    "vegetables": ("leek",),
  },
  "stamps_categories": {
    "animals": ("duck", "barn", "eel", "bee", "cat", "gecko"),
    "food": ("kiwi", "leek"),
    "household": ("saw",),
    "plants": ("rose",),
  },
  "stamps_captions": {
    "animals": ("duck", "tux", "barn", "eel", "bee", "cat", "gecko"),
    "food": ("kiwi", "leek"),
    "plants": ("rose",),
    "symbols": ("plus",),
  },
}


@pytest.fixture
def source(tmp_path):
  folder = tmp_path / "source"
  folder.mkdir()
  published_archives.stamps(folder)
  return folder


def opened(name, tmp_path, split="train"):
  return data.open_dataset(
    data.Source(kind="tfds", name=name, data_dir=tmp_path), split
  )


@pytest.mark.parametrize("name", CLASSES)
def test_each_set_has_its_pictures(name, source, tmp_path):
  prepare(name, source, tmp_path)
  split = opened(name, tmp_path)
  labels = [split.class_names[label] for label in split.labels()]
  stems = [
    text.removesuffix(".png")
    for text in split.fields()["file_name"].read(range(len(labels)))
  ]
  found = {(label, stem) for label, stem in zip(labels, stems, strict=True)}
  expected = {
    (label, stem) for label, each in CLASSES[name].items() for stem in each
  }
  assert found == expected and len(labels) == len(expected)
  assert ("caption" in split.fields()) == (name != "stamps_categories")


def test_pictures_are_on_white_squares_with_masks_and_captions(
  source, tmp_path
):
  prepare("stamps_captions", source, tmp_path)
  split = opened("stamps_captions", tmp_path)
  indices = range(split.num_examples)
  fields = split.fields()
  by_caption = {
    caption: (data.decode(image, channels=3), mask)
    for (image, _), mask, caption in zip(
      split.read(indices),
      map(data.decoding.decode_mask, fields["segmentation_mask"].read(indices)),
      fields["caption"].read(indices),
      strict=True,
    )
  }
  stored = published_archives.stamp_files()
  for path, (_, (w, h), caption) in published_archives.STAMPS.items():
    if not caption:
      continue
    content = stored[f"usr/share/tuxpaint/stamps/{path}"]
    rgba = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))
    image, mask = by_caption[caption]
    side = max(w, h)
    assert image.shape == (side, side, 3) and mask.shape == (side, side, 1)
    top, left = (side - h) // 2, (side - w) // 2
    inside = np.zeros((side, side), bool)
    inside[top : top + h, left : left + w] = True
    assert (image[~inside] == 255).all() and not mask[~inside].any()
    np.testing.assert_array_equal(
      mask[..., 0][inside].reshape(h, w), rgba[..., 3]
    )
    share = rgba[..., 3:] / 255
    blended = rgba[..., :3] * share + 255 * (1 - share)
    seen = image[inside].reshape(h, w, 3)
    np.testing.assert_allclose(seen, blended, atol=1)


def test_the_unpacked_package_gives_the_same_bytes(source, tmp_path):
  packed = files(prepare("stamps", source, tmp_path / "packed"))
  for name, content in published_archives.stamp_files().items():
    path = tmp_path / "unpacked" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
  for number, root in enumerate(("", "usr/share/tuxpaint/stamps")):
    folder = tmp_path / "unpacked" / root
    made = files(prepare("stamps", folder, tmp_path / f"folder{number}"))
    assert made == packed


def test_the_package_itself_may_be_the_source_and_is_checked(source, tmp_path):
  (package,) = source.iterdir()
  with pytest.raises(ValueError, match="has SHA-256"):
    prepare("stamps", package, tmp_path, allow_partial=False)
  assert prepare("stamps", package, tmp_path).is_dir()


def test_fewer_pictures_than_were_published_must_be_allowed(tmp_path):
  for name, content in published_archives.stamp_files().items():
    path = tmp_path / "unpacked" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
  with pytest.raises(ValueError, match="8 of 189 examples of train of stamps"):
    prepare("stamps", tmp_path / "unpacked", tmp_path, allow_partial=False)


def test_a_tfrecord_copy_has_the_fields_too(source, tmp_path):
  copy = prepare("stamps", source, tmp_path / "copy")
  before = (
    opened("stamps", tmp_path / "copy").fields()["caption"].read(range(8))
  )
  as_tfrecord(copy)
  prepare("stamps", tmp_path / "copy", tmp_path / "made")
  split = opened("stamps", tmp_path / "made")
  assert sorted(split.fields()["caption"].read(range(8))) == sorted(before)


def test_masks_forbid_a_change_of_size(source, tmp_path):
  with pytest.raises(ValueError, match=r"has masks.*omit --resize_small"):
    prepare("stamps", source, tmp_path, resize_small=64)


@pytest.mark.parametrize(
  ("suffix", "compress"),
  [
    ("", bytes),
    (".gz", gzip.compress),
    (".bz2", bz2.compress),
  ],
)
def test_packages_of_other_compressions(suffix, compress, tmp_path):
  package = tmp_path / "a.deb"
  contents = {"usr/a": b"1" * 5000, "usr/b": b""}
  published_archives.deb(package, contents, suffix=suffix, compress=compress)
  archive = debian.unpacked(package, scratch=tmp_path)
  found = {each.name: archives.read(each) for each in archives.members(archive)}
  assert found == {"./usr/a": b"1" * 5000, "./usr/b": b""}


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda content: content[:-2000], "it ends .* bytes too early"),
    (lambda content: b"PK" + content[2:], "it is not an ar archive"),
    (lambda content: content[:200], "damaged|no data.tar|truncated"),
    (lambda content: content.replace(b"data.tar.xz", b"data.tax.xz"), "has no"),
    (
      lambda content: content.replace(b"data.tar.xz ", b"data.tar.zst"),
      "unsupported method; unpack the package with `dpkg-deb -x",
    ),
    (lambda content: content.replace(b"7zXZ", b"7zXY"), "download it again"),
  ],
)
def test_damaged_packages_are_named(change, message, tmp_path):
  package = tmp_path / "a.deb"
  noise = np.random.default_rng(0).bytes(9000)
  published_archives.deb(package, {"usr/a": noise})
  package.write_bytes(change(package.read_bytes()))
  with pytest.raises(ValueError, match=message) as error:
    debian.unpacked(package, scratch=tmp_path)
  assert "a.deb cannot be read as a Debian package" in str(error.value)
  assert not (tmp_path / "a.tar").exists()


def test_no_caption_is_in_two_splits(tmp_path):
  """Pictures of one caption, also with other capitals or punctuation."""
  picture = published_archives.encoded(
    published_archives.stamp(0, "RGBA", (4, 4)), "PNG"
  )
  stored = {}
  for number in range(60):
    for form, text in enumerate((f"Object {number}.", f"object  {number}!")):
      path = f"usr/share/tuxpaint/stamps/animals/{number}_{form}"
      stored[f"{path}.png"] = picture
      stored[f"{path}.txt"] = f"{text}\nde.utf8=Ding\n".encode()
  published_archives.deb(
    tmp_path / "tuxpaint-stamps-default_2022.06.04-1_all.deb", stored
  )
  prepare("stamps_captions_split", tmp_path, tmp_path)
  numbers = {}
  for split in ("train", "validation", "test"):
    found = opened("stamps_captions_split", tmp_path, split)
    captions = found.fields()["caption"].read(range(found.num_examples))
    digits = ["".join(filter(str.isdecimal, text)) for text in captions]
    numbers[split] = set(digits)
    assert len(digits) == 2 * len(numbers[split])
  assert sum(map(len, numbers.values())) == 60
  assert set().union(*numbers.values()) == {str(i) for i in range(60)}
  assert len(numbers["train"]) > 40 and all(numbers.values())

"""The layout of ImageNet-9: variants are folders, masks are joined by name."""

import numpy as np
import pytest
from background_sets import IN9, INSIDE, VARIANTS, write_release

from jaxvision import data


@pytest.fixture
def release(tmp_path):
  write_release(tmp_path)
  return tmp_path


def test_every_variant_has_its_images_and_the_order_of_the_folders(release):
  assert data.variants_of(release, split="validation") == VARIANTS
  assert data.VARIANTS == VARIANTS
  for variant in VARIANTS:
    split = data.open_variant(release, variant)
    assert split.class_names == IN9 and split.num_examples == 18
    for (image, label), path in zip(
      split.read(range(18)), split.ids(range(18)), strict=True
    ):
      assert f"/{variant}/val/{IN9[label]}/" in path
      assert data.decode(image, channels=3).shape == (8, 8, 3)


def test_masks_are_joined_to_the_images_of_the_same_name(release):
  masks = {}
  for number, path in enumerate(sorted(release.glob("fg_mask/val/*/*.npy"))):
    mask = np.load(path)
    mask[0, 0], mask[number % 8, number // 8] = 0, 1
    np.save(path, mask)
    masks[path.stem] = mask
  split = data.open_variant(release, "original")
  (field,) = split.fields().values()
  assert field.kind == "mask"
  order = [5, 0, 17]
  for mask, path in zip(field.read(order), split.ids(order), strict=True):
    stem = path.rpartition("/")[2].removesuffix(".JPEG")
    np.testing.assert_array_equal(mask[..., 0], masks[stem] * 255)
  assert not data.open_variant(release, "only_fg").fields()


def test_a_transform_reads_the_masks(release):
  split = data.open_variant(release, "original")
  batch = data.make_batches(split, batch_size=18, transforms=("no_fg",)).at(0)
  assert (batch["image"][:, INSIDE, INSIDE] == 0).all()
  assert (batch["image"][:, 0] > 0).all()


def test_a_missing_and_a_foreign_mask_are_named(release):
  path = release / "fg_mask/val/01_bird/n001_1.npy"
  path.rename(path.with_name("n001_7.npy"))
  split = data.open_variant(release, "original")
  with pytest.raises(ValueError, match=r"no mask.*original/val/01_bird/n001_1"):
    split.fields()
  path.with_name("n001_7.npy").rename(path)
  np.save(path.with_name("n001_8.npy"), np.load(path))
  with pytest.raises(ValueError, match=r"no image.*01_bird/n001_8\.npy"):
    split.fields()


def test_two_images_cannot_have_one_mask(release):
  path = release / "original/val/01_bird/n001_1.JPEG"
  path.with_suffix(".png").write_bytes(path.read_bytes())
  split = data.open_variant(release, "original")
  with pytest.raises(ValueError, match=r"several images .*n001_1\.npy"):
    split.fields()


def test_a_sheet_needs_the_same_images_in_all_variants(release):
  (release / "no_fg/val/01_bird/n001_1.JPEG").unlink()
  with pytest.raises(ValueError, match=r"different numbers .*'no_fg': 17"):
    data.sample_variants(release, split="validation", rows=20)


def test_a_damaged_mask_is_named(release):
  split = data.open_variant(release, "original")
  read = split.fields()["segmentation_mask"].read
  path = release / "fg_mask/val/00_dog/n000_0.npy"
  path.write_bytes(b"no array")
  with pytest.raises(ValueError, match=r"n000_0\.npy is not a mask"):
    read(range(18))
  np.save(path, np.zeros((8, 8, 3)))
  with pytest.raises(ValueError, match=r"shape is \[8, 8, 3\]"):
    read(range(18))


def test_without_masks_there_is_no_field(tmp_path):
  write_release(tmp_path)
  (tmp_path / "fg_mask").rename(tmp_path / "elsewhere")
  assert not data.open_variant(tmp_path, "original").fields()


def test_missing_variants_and_unknown_names(release):
  with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
    data.variants_of(release / "nowhere", split="validation")
  with pytest.raises(FileNotFoundError, match=r"original/test, only_bg_b/test"):
    data.variants_of(release, split="test")
  with pytest.raises(ValueError, match="mixed_rand"):
    data.open_variant(release, "mixed_random")
  with pytest.raises(ValueError, match="unknown split 'dev'"):
    data.open_variant(release, "original", split="dev")
  for path in sorted((release / "no_fg").rglob("*"), reverse=True):
    path.rmdir() if path.is_dir() else path.unlink()
  assert "no_fg" not in data.variants_of(release, split="validation")
  with pytest.raises(FileNotFoundError, match="variant 'no_fg'"):
    data.open_variant(release, "no_fg")

"""Fields in summaries, contact sheets and the doctor's findings."""

import numpy as np
import pytest
import written_sources

from jaxvision import cli, data


def write(folder, **changes):
  arrays = {
    "images": np.full((6, 8, 8, 1), 100, np.uint8),
    "labels": np.arange(6) % 2,
    "segmentation_masks": np.eye(8, dtype=np.uint8)[None].repeat(6, 0) * 255,
    "captions": np.asarray([f"picture {i}" for i in range(6)]),
  }
  np.savez(folder / "toys.npz", **{**arrays, **changes})
  return written_sources.config("npz", folder / "toys.npz")


def test_fields_are_listed_and_shown(tmp_path):
  of = write(tmp_path)
  (summary,) = data.inspect(of, splits=["train"], channels=1)
  assert summary.fields == {"segmentation_mask": "mask", "caption": "text"}
  split = data.open_dataset(of, "train")
  images, titles = data.sample(split, per_class=2, channels=1)
  captions = split.fields()["caption"].read(range(6))
  assert all(title.split(": ")[1] in captions for title in titles)
  for image in images:
    tinted = image[..., 0] > image[..., 1]
    np.testing.assert_array_equal(tinted, np.eye(8, dtype=bool))


def test_the_command_lists_fields(tmp_path, capsys):
  write(tmp_path)
  sheet = str(tmp_path / "sheet.png")
  path = str(tmp_path / "toys.npz")
  assert cli.main(["data", "inspect", path, "--sheet", sheet]) == 0
  printed = capsys.readouterr().out
  assert "fields: segmentation_mask (mask), caption (text)" in printed


def test_right_fields_are_no_finding(tmp_path):
  findings = data.diagnose(write(tmp_path), channels=1)
  assert not [each for each in findings if "caption" in each.text]
  assert not [each for each in findings if "segmentation" in each.text]


def test_empty_captions_are_found(tmp_path):
  of = write(tmp_path, captions=np.asarray(["a", "", "b", " ", "c", "d"]))
  (found,) = [
    each for each in data.diagnose(of, channels=1) if "caption" in each.text
  ]
  assert found.severity == "warning"
  assert "the caption of 2 of 6 examples of train is wrong" in found.text
  assert "an empty text" in found.text


def test_masks_that_are_not_of_their_image_are_found(tmp_path):
  folder = tmp_path / "a"
  folder.mkdir()
  for number in range(3):
    (folder / f"{number}.png").write_bytes(written_sources.png(number))
    mask = written_sources.png(number) if number == 2 else b"no image"
    (folder / f"{number}.mask.png").write_bytes(mask)
  of = written_sources.config("folder", tmp_path)
  (found,) = [
    each for each in data.diagnose(of, channels=3) if "mask" in each.text
  ]
  assert "the segmentation_mask of 3 of 3 examples of train" in found.text
  assert "it is no PNG" in found.text and "colour type 2" in found.text


@pytest.mark.parametrize("channels", [1, 3])
def test_the_numbers_of_classes_have_colours_of_their_own(channels):
  mask = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
  image = np.full((2, 3, channels), 128, np.uint8)
  found = data.overlay(image, mask)
  assert found.shape == (2, 3, 3) and found.dtype == np.uint8
  assert (found[0, 0] == 128).all()
  assert len(np.unique(found.reshape(-1, 3), axis=0)) == 6


def test_a_soft_mask_is_one_colour_of_its_strength():
  mask = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
  found = data.overlay(np.full((16, 16, 3), 100, np.uint8), mask).astype(int)
  red, green, blue = np.moveaxis(found, 2, 0).reshape(3, -1)
  assert (np.diff(red) >= 0).all() and red[-1] > red[0] == 100
  assert (np.diff(green) <= 0).all() and (green == blue).all()

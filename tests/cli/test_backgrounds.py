"""The command `jaxvision data backgrounds`."""

import numpy as np
import pytest
from background_sets import VARIANTS, write_cut_outs
from PIL import Image

from jaxvision import cli, data


@pytest.fixture
def cut_outs(tmp_path):
  path = tmp_path / "cut_outs.npz"
  write_cut_outs(path)
  return str(path)


def test_the_variants_are_made_and_drawn(cut_outs, tmp_path, capsys):
  folder = tmp_path / "made"
  words = ["data", "backgrounds", cut_outs, "--out", str(folder)]
  words += ["--size", "16", "--train", "train[:50%]", "--test", "train[50%:]"]
  assert cli.main(words) == 0
  said = capsys.readouterr().out
  assert "train: 6 images in each variant, 0 left out" in said
  assert "contact sheet of test" in said
  assert data.variants_of(folder, split="test") == VARIANTS
  sheet = np.asarray(Image.open(folder / "contact_sheet.png"))
  # Eight columns of pictures of 96 pixels, six rows with titles.
  assert sheet.shape[1] == 8 * (96 + 8) + 8 and sheet.shape[0] > 6 * 96


def test_all_splits_are_kept_and_reasons_counted(tmp_path, capsys):
  path = tmp_path / "cut_outs.npz"
  images, masks, labels = write_cut_outs(path)
  masks[[1, 6]], masks[9] = 255, 0
  np.savez(path, images=images, labels=labels, segmentation_masks=masks)
  words = ["data", "backgrounds", str(path), "--out", str(tmp_path / "made")]
  assert cli.main([*words, "--size=16"]) == 0
  said = capsys.readouterr().out
  assert "train: 9 images in each variant, 3 left out" in said
  assert "2  the box is N% of the crop" in said
  assert cli.main([*words, "--size=16"]) == 2
  assert "exists" in capsys.readouterr().err


def test_pictures_and_the_values_of_masks_are_options(tmp_path, capsys):
  path = tmp_path / "cut_outs.npz"
  images, masks, labels = write_cut_outs(path)
  np.savez(path, images=images, labels=labels, segmentation_masks=masks // 255)
  pictures = tmp_path / "pictures"
  pictures.mkdir()
  for number in range(3):
    Image.new("RGB", (20, 20), (number,) * 3).save(pictures / f"{number}.png")
  words = ["data", "backgrounds", str(path), "--size=16", "--foreground=1"]
  words += ["--pictures", str(pictures), "--scale=0.8", "--correlation=1"]
  assert cli.main([*words, "--out", str(tmp_path / "made")]) == 0
  split = data.open_variant(tmp_path / "made", "original", split="train")
  (masks,) = split.fields().values()
  for index in range(12):
    ((image, label),) = split.read([index])
    (mask,) = masks.read([index])
    outside = data.decode(image, channels=3)[mask[..., 0] == 0]
    assert (outside == label).all()


@pytest.mark.parametrize(
  ("words", "message"),
  [
    (["--correlation=0.5"], "--correlation is for --pictures"),
    (["--scale=0.5"], "--scale is for --pictures"),
    (["--size=0"], "--size 0"),
    (["--boxes=nowhere.csv"], "nowhere.csv"),
    (["--pictures=nowhere"], "no folder of pictures"),
    (["--train=trian"], "trian"),
  ],
)
def test_wrong_options_are_errors(cut_outs, tmp_path, words, message, capsys):
  arguments = ["data", "backgrounds", cut_outs, "--out", str(tmp_path / "made")]
  assert cli.main([*arguments, *words]) == 2
  assert message in capsys.readouterr().err
  assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("text", ["a", "5-3", "0-256", "-1"])
def test_a_wrong_range_is_refused(text, tmp_path, capsys):
  words = ["data", "backgrounds", "a", "--out", str(tmp_path / "made")]
  with pytest.raises(SystemExit):
    cli.main([*words, f"--foreground={text}"])
  assert "no range of the values" in capsys.readouterr().err

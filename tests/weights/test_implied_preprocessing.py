"""Weight files imply the preprocessing of images.

The expected values are those that torchvision and timm state themselves;
tests/parity/test_preprocessing.py reads all of them from the installed
packages.
"""

import json

import numpy as np
import pytest
from weight_files import KEYS, NPZ, write

from jaxvision import weights
from jaxvision.downloads import fetch
from jaxvision.weights import image_preprocessing, published

IMAGENET = (0.485, 0.456, 0.406)
HALF = (0.5, 0.5, 0.5)


# file, model -> mean, transforms
EXPECTED = {
  ("vit torchvision", "vit_b32"): (IMAGENET, 256, 224, "bilinear"),
  ("vit timm", "vit_ti16"): (HALF, 248, 224, "bicubic"),
  ("resnet", "resnet18"): (IMAGENET, 256, 224, "bilinear"),
  ("resnet", "resnet50"): (IMAGENET, 232, 224, "bilinear"),
  ("resnet d", "resnet50d"): (IMAGENET, 256, 224, "bicubic"),
  ("resnet d", "resnet18"): (IMAGENET, 256, 224, "bicubic"),
  ("efficientnet timm", "efficientnet_b4"): (IMAGENET, 412, 380, "bicubic"),
  ("efficientnet torchvision", "efficientnet_b1"): (
    *(IMAGENET, 255, 240, "bilinear"),
  ),
  ("efficientnet torchvision", "efficientnet_b2"): (
    *(IMAGENET, 288, 288, "bicubic"),
  ),
  ("efficientnet pytorch", "efficientnet_b2"): (
    *(IMAGENET, 260, 260, "bicubic"),
  ),
  ("lite timm", "efficientnet_lite0"): (HALF, 256, 224, "bicubic"),
  ("lite timm", "efficientnet_lite4"): (HALF, 413, 380, "bilinear"),
  ("shufflenet", "shufflenet_v2_x1_0"): (IMAGENET, 256, 224, "bilinear"),
  ("shufflenet", "shufflenet_v2_x2_0"): (IMAGENET, 232, 224, "bilinear"),
  ("vgg timm", "vgg16"): (IMAGENET, 256, 224, "bilinear"),
  ("mixer timm", "mixer_b16"): (HALF, 256, 224, "bicubic"),
  ("bit timm", "bit_r50x1"): (HALF, 256, 224, "bilinear"),
  ("bit huggingface", "bit_r50x1"): (HALF, 448, 448, "bilinear"),
}


@pytest.mark.parametrize(("kind", "name"), EXPECTED)
def test_a_layout_implies_the_preprocessing_of_its_library(
  kind, name, tmp_path
):
  path = write(tmp_path / "model.safetensors", KEYS[kind])
  found = weights.preprocessing(path, name)
  mean, larger, size, method = EXPECTED[kind, name]
  assert found.mean == mean
  assert found.std == (HALF if mean == HALF else (0.229, 0.224, 0.225))
  assert image_preprocessing.transforms(found) == (
    f"resize_small({larger}, method='{method}_antialiased', rounding='down')",
    f"center_crop({size}, rounding='even')",
  )


def test_files_of_the_authors_are_in_minus_1_to_1(tmp_path):
  bit = weights.preprocessing(
    write(tmp_path / "a.npz", NPZ["bit"]), "bit_r50x1"
  )
  assert image_preprocessing.transforms(bit) == (
    "resize(224, method='bilinear')",
  )
  path = write(tmp_path / "b.npz", NPZ["vit"])
  vit = weights.preprocessing(path, "vit_ti16")
  assert image_preprocessing.transforms(vit) == (
    "resize_small(256, method='bilinear')",
    "center_crop(224)",
  )
  assert bit.mean == bit.std == vit.mean == vit.std == HALF


def test_lite_networks_in_the_authors_names_have_their_pixels(tmp_path):
  """(x - 127) / 128, also in the names of EfficientNet-PyTorch."""
  path = write(tmp_path / "a.safetensors", KEYS["lite pytorch"])
  found = weights.preprocessing(path, "efficientnet_lite0")
  assert image_preprocessing.transforms(found) == (
    "resize_small(256, method='bicubic_antialiased', rounding='down')",
    "center_crop(224, rounding='even')",
  )
  path = write(tmp_path / "b.npz", NPZ["lite"])
  authors = weights.preprocessing(path, "efficientnet_lite3")
  assert image_preprocessing.transforms(authors) == (
    "resize_small(320, method='bicubic')",
    "center_crop(280)",
  )
  for each in (found, authors):
    np.testing.assert_allclose(np.multiply(each.mean, 255), [127] * 3)
    np.testing.assert_allclose(np.multiply(each.std, 255), [128] * 3)


def test_efficientnets_of_the_authors_have_the_pixels_of_imagenet(tmp_path):
  path = write(tmp_path / "a.npz", NPZ["efficientnet"])
  found = weights.preprocessing(path, "efficientnet_b1")
  assert found.mean == IMAGENET and found.std == (0.229, 0.224, 0.225)
  assert image_preprocessing.transforms(found) == (
    "resize_small(274, method='bicubic')",
    "center_crop(240)",
  )


def test_hugging_faces_vits_squeeze_images(tmp_path):
  path = write(tmp_path / "model.safetensors", KEYS["vit huggingface"])
  found = weights.preprocessing(path, "vit_b16")
  assert image_preprocessing.transforms(found) == (
    "resize(224, method='bilinear_antialiased')",
  )


@pytest.mark.parametrize(
  ("name", "side", "patch", "calls"),
  [
    ("vit_b16", 384, 16, "resize_small(384, method='bicubic_antialiased'"),
    ("vit_h14", 518, 14, "resize_small(518, method='bicubic_antialiased'"),
    ("vit_l16", 224, 16, "resize_small(242, method='bilinear_antialiased'"),
  ],
)
def test_torchvisions_large_images_are_not_cropped(
  name, side, patch, calls, tmp_path
):
  tokens = (side // patch) ** 2 + 1
  keys = KEYS["vit torchvision"] | {"encoder.pos_embedding": (1, tokens, 8)}
  path = write(tmp_path / "model.safetensors", keys)
  found = weights.preprocessing(path, name)
  assert image_preprocessing.transforms(found)[0].startswith(calls)
  assert found.image_size == (side, side)


def test_an_ambiguous_layout_is_noted(tmp_path):
  path = write(tmp_path / "model.safetensors", KEYS["resnet"])
  (note,) = weights.preprocessing(path, "resnet50").notes
  assert "timm and torchvision use the same layout for this network" in note
  path = write(tmp_path / "model.safetensors", KEYS["mixer timm"])
  (note,) = weights.preprocessing(path, "mixer_b16").notes
  assert "timm/mixer_b16_224.miil_in21k_ft_in1k" in note
  path = write(tmp_path / "model.safetensors", KEYS["shufflenet"])
  assert weights.preprocessing(path, "shufflenet_v2_x1_0").notes == ()


def test_a_user_names_the_file_or_the_library(tmp_path):
  path = write(tmp_path / "model.safetensors", KEYS["mixer timm"])
  found = weights.preprocessing(
    path, "mixer_b16", like="timm/mixer_b16_224.miil_in21k_ft_in1k"
  )
  assert found.mean == (0, 0, 0) and found.std == (1, 1, 1)
  path = write(tmp_path / "model.safetensors", KEYS["resnet"])
  found = weights.preprocessing(path, "resnet18", like="timm")
  assert "resize_small(235, method='bicubic" in image_preprocessing.describe(
    found
  )
  for like, name in (("tim", "resnet18"), ("huggingface", "resnet18")):
    with pytest.raises(ValueError, match="preprocessing"):
      weights.preprocessing(path, name, like=like)


def test_published_files_are_known_by_their_names(tmp_path):
  path = write(tmp_path / "BiT-M-R50x1-ILSVRC2012.npz", NPZ["bit"])
  found = weights.preprocessing(path, "bit_r50x1")
  assert found.image_size == (448, 448)
  assert "BiT-M-R50x1-ILSVRC2012" in found.source
  cache = tmp_path / "models--timm--resnet18.tv_in1k" / "snapshots" / "0"
  cache.mkdir(parents=True)
  path = write(cache / "model.safetensors", KEYS["resnet"])
  found = weights.preprocessing(path, "resnet18")
  (row,) = published.rows("timm/resnet18.tv_in1k")
  assert found == image_preprocessing.of_row(row)


def test_a_config_file_beside_the_weights_takes_precedence(tmp_path):
  path = write(tmp_path / "model.safetensors", KEYS["vit timm"])
  config = {
    "mean": IMAGENET,
    "std": (0.229, 0.224, 0.225),
    "input_size": (3, 224, 224),
    "crop_pct": 1.0,
    "interpolation": "bilinear",
  }
  (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": config}))
  found = weights.preprocessing(path, "vit_ti16")
  assert found.mean == IMAGENET and "config.json" in found.source
  assert found.notes == ()
  config["input_size"] = (3, 384, 384)
  (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": config}))
  found = weights.preprocessing(path, "vit_ti16")
  assert found.image_size == (224, 224)
  assert "for images of 224x224 pixels" in found.notes[0]


def test_a_stated_size_keeps_the_share_that_is_cut_out(tmp_path):
  path = write(tmp_path / "model.safetensors", KEYS["vit torchvision"])
  found = weights.preprocessing(path, "vit_b32", image_size=(192, 256))
  assert image_preprocessing.transforms(found) == (
    "resize_small((219, 292), method='bilinear_antialiased', rounding='down')",
    "center_crop((192, 256), rounding='even')",
  )


def test_grey_files_get_averages(tmp_path):
  keys = KEYS["vit torchvision"] | {"conv_proj.weight": (8, 1, 32, 32)}
  path = write(tmp_path / "model.safetensors", keys)
  found = weights.preprocessing(path, "vit_b32")
  assert found.channels == 1
  np.testing.assert_allclose(found.mean, np.mean(IMAGENET))
  assert "1 channels" in found.notes[0]


def test_small_stems_have_no_published_preprocessing(tmp_path):
  keys = KEYS["resnet"] | {"conv1.weight": (8, 3, 3, 3)}
  path = write(tmp_path / "model.safetensors", keys)
  (*_, note) = weights.preprocessing(path, "resnet18").notes
  assert "give --image_size, --mean and --std" in note


@pytest.mark.parametrize("reached", [True, False])
def test_repositories_of_the_hub_that_are_not_listed(
  reached, tmp_path, monkeypatch
):
  """Their config.json is fetched; a failure gives a note."""
  path = write(tmp_path / "model.safetensors", KEYS["vit timm"])
  beside = tmp_path / "elsewhere"
  beside.mkdir()
  config = {"mean": IMAGENET, "std": (0.2, 0.2, 0.2), "input_size": (3, 8, 8)}
  (beside / "config.json").write_text(json.dumps(config))

  def local_path(address, sha256=None):
    if not str(address).startswith("hf-hub:me/deit:"):
      return path
    if reached and address.endswith(":config.json"):
      return beside / "config.json"
    raise ConnectionError("the Hub cannot be reached")

  monkeypatch.setattr(fetch, "local_path", local_path)
  found = weights.preprocessing("hf-hub:me/deit", "vit_ti16")
  assert found.mean == (IMAGENET if reached else HALF)
  assert reached or "config.json could not be read" in found.notes[-1]

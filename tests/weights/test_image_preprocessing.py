"""The image preprocessing of published weights."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxvision import data
from jaxvision.weights import image_preprocessing, published

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def _image(height, width):
  rng = np.random.default_rng(height * width)
  return rng.integers(0, 256, (height, width, 3), np.uint8)


def _by_pillow(image, shorter, side, method):
  """Resize and CenterCrop as torchvision documents them, by Pillow alone."""
  height, width = image.shape[:2]
  if height <= width:
    size = int(shorter * width / height), shorter
  else:
    size = shorter, int(shorter * height / width)
  resized = Image.fromarray(image).resize(size, method)
  left, top = (round((n - side) / 2.0) for n in resized.size)
  return np.asarray(resized.crop((left, top, left + side, top + side)))


@pytest.mark.parametrize("shape", [(40, 61), (61, 40), (37, 50), (33, 33)])
def test_pixels_are_those_of_pillow(shape):
  image = _image(*shape)
  for shorter, side, name in ((32, 28, "BICUBIC"), (29, 28, "BILINEAR")):
    of = image_preprocessing.Preprocessing(
      image_size=(side, side),
      crop_fraction=side / shorter,
      interpolation=f"{name.lower()}_antialiased",
      **IMAGENET,
    )
    transform = data.make_host_transform(image_preprocessing.transforms(of))
    expected = _by_pillow(image, shorter, side, Image.Resampling[name])
    np.testing.assert_array_equal(transform(None, image), expected)


def test_square_and_rectangular_inputs():
  of = image_preprocessing.Preprocessing(
    image_size=(20, 30), crop="square", **IMAGENET
  )
  (call,) = image_preprocessing.transforms(of)
  assert call == "resize((20, 30), method='bilinear')"
  of = image_preprocessing.Preprocessing(image_size=(20, 30), **IMAGENET)
  transform = data.make_host_transform(image_preprocessing.transforms(of))
  for shape in ((40, 90), (90, 40)):
    assert transform(None, _image(*shape)).shape == (20, 30, 3)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"std": (0.1, 0.0, 0.1)}, "must be positive"),
    ({"mean": (float("nan"),)}, "finite"),
    ({"mean": ()}, "finite"),
    ({"crop_fraction": 1.5}, r"in \(0, 1\]"),
    ({"crop_fraction": 0.0}, r"in \(0, 1\]"),
    ({"image_size": (0, 8)}, "at least 1"),
    ({"interpolation": "bicubik"}, "did you mean 'bicubic'"),
  ],
)
def test_invalid_values_are_an_error(changes, message):
  of = image_preprocessing.Preprocessing(image_size=(8, 8), **IMAGENET)
  with pytest.raises(ValueError, match=message):
    image_preprocessing.changed(of, **changes)


def test_user_values_take_precedence_and_are_noted():
  (row,) = published.rows("timm/resnet34d.ra2_in1k")
  of = image_preprocessing.of_row(row)
  assert image_preprocessing.changed(of, mean=of.mean).notes == ()
  new = image_preprocessing.changed(of, mean=(0.5,), image_size=(96, 96))
  assert new.mean == (0.5,) and new.image_size == (96, 96)
  assert "instead of (0.485, 0.456, 0.406)" in "".join(new.notes)
  assert "instead of (224, 224)" in "".join(new.notes)
  assert (
    "resize_small(109" in image_preprocessing.transforms(new)[0]
  )  # 96 / 0.875


TIMM = {
  "architecture": "deit_tiny_patch16_224",
  "pretrained_cfg": {
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "input_size": [3, 224, 224],
    "crop_pct": 0.9,
    "crop_mode": "center",
    "interpolation": "bicubic",
  },
}
HUGGING_FACE = {
  "do_center_crop": True,
  "crop_size": {"height": 224, "width": 224},
  "size": {"shortest_edge": 256},
  "resample": 3,
  "image_mean": [0.5, 0.4, 0.3],
  "image_std": [0.2, 0.2, 0.1],
}


def _beside(folder, **contents):
  for name, content in contents.items():
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / f"{name}.json").write_text(text, "utf-8")
  return image_preprocessing.read_stored(folder / "model.safetensors")


def test_timms_config_beside_a_file(tmp_path):
  found = _beside(tmp_path, config=TIMM)
  assert found.mean == IMAGENET["mean"] and found.std == IMAGENET["std"]
  assert image_preprocessing.transforms(found) == (
    "resize_small(248, method='bicubic_antialiased', rounding='down')",
    "center_crop(224, rounding='even')",
  )
  assert str(tmp_path / "config.json") in found.source
  old = _beside(tmp_path, config=TIMM["pretrained_cfg"])
  assert old == found


def test_hugging_faces_processor_beside_a_file(tmp_path):
  """config.json of transformers has no image preprocessing."""
  found = _beside(
    tmp_path, config={"hidden_size": 3}, preprocessor_config=HUGGING_FACE
  )
  assert found.mean == (0.5, 0.4, 0.3) and found.std == (0.2, 0.2, 0.1)
  assert "resize_small(256, method='bicubic_ant" in found_calls(found)
  square = {**HUGGING_FACE, "size": 224, "do_center_crop": False}
  found = _beside(tmp_path, preprocessor_config=square)
  assert found_calls(found) == "resize(224, method='bicubic_antialiased')"


def found_calls(found):
  return ", ".join(image_preprocessing.transforms(found))


@pytest.mark.parametrize(
  ("scaled", "low", "high"),
  [
    ({}, (0 - 0.5) / 0.2, (1 - 0.5) / 0.2),
    ({"rescale_factor": 1 / 127.5}, (0 - 0.5) / 0.2, (2 - 0.5) / 0.2),
    ({"do_rescale": False}, (0 - 0.5) / 0.2, (255 - 0.5) / 0.2),
    ({"do_normalize": False}, 0, 1),
  ],
)
def test_the_scale_of_pixels_is_followed(tmp_path, scaled, low, high):
  found = _beside(tmp_path, preprocessor_config={**HUGGING_FACE, **scaled})
  image = np.array([0, 255], np.uint8).reshape(1, 2, 1).repeat(3, 2)
  pixels = data.normalize(image, data.Normalization(found.mean, found.std))
  np.testing.assert_allclose(pixels[0, :, 0], [low, high], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  "content",
  [
    "",
    "[]",
    '{"mean": "half", "std": [1], "input_size": [3, 8, 8]}',
    '{"mean": [0.5], "std": [0], "input_size": [3, 8, 8]}',
    '{"mean": [0.5], "std": [1], "input_size": 8}',
    '{"mean": [0.5], "input_size": [3, 8, 8]}',
  ],
)
def test_a_damaged_file_is_named(tmp_path, content):
  with pytest.raises(
    ValueError, match=r"config\.json .*repair it, or remove it"
  ):
    _beside(tmp_path, config=content)


def test_written_preprocessing_is_read_back(tmp_path):
  of = image_preprocessing.Preprocessing(
    image_size=(20, 30),
    mean=(0.1,),
    std=(0.2,),
    eval_transforms=("resize((20, 30))",),
  )
  path = image_preprocessing.write_stored(tmp_path / "model.npz", of)
  found = image_preprocessing.read_stored(tmp_path / "model.npz")
  assert path in found.source
  assert (found.image_size, found.mean, found.std) == ((20, 30), (0.1,), (0.2,))
  assert found.eval_transforms == of.eval_transforms
  with pytest.raises(ValueError, match="lists its transforms"):
    image_preprocessing.changed(found, crop_fraction=0.5)

"""The preprocessing that torchvision and timm state for their weights.

Compares every row of timm in published.csv, every network of torchvision, and
the pixels after their transforms. Needs `requirements-parity.txt`.
"""

import numpy as np
import pytest
from PIL import Image
from weight_files import KEYS, write

from jaxvision import data, models, weights
from jaxvision.weights import image_preprocessing, published
from jaxvision.weights.formats import files

pytestmark = pytest.mark.parity

SIZES = ((300, 451), (451, 300), (257, 259))
# Ours -> torchvision's, and which of the keys a file of it has.
_FAMILIES = {
  "alexnet": {"classifier.4.weight": (8, 8)},
  "vgg": {"classifier.0.weight": (8, 8)},
  "resnet": KEYS["resnet"],
  "efficientnet_b": KEYS["efficientnet torchvision"],
  "shufflenet_": KEYS["shufflenet"],
}
_VITS = {"vit_b16": 16, "vit_b32": 32, "vit_l16": 16, "vit_l32": 32}


def _image(height, width):
  rng = np.random.default_rng(height)
  return rng.integers(0, 256, (height, width, 3), np.uint8)


def _same_pixels(found, transform):
  """Whether both give the same input, for images of three shapes."""
  ours = data.make_host_transform(image_preprocessing.transforms(found))
  for shape in SIZES:
    image = _image(*shape)
    theirs = transform(Image.fromarray(image)).permute(1, 2, 0).numpy()
    pixels = data.normalize(
      ours(None, image), data.Normalization(found.mean, found.std)
    )
    np.testing.assert_allclose(pixels, theirs, atol=1e-5)


def _torchvisions():
  """(our name, their default weights, keys of a file)."""
  from torchvision import models as theirs

  found = []
  for name in models.names():
    kind = next((k for k in _FAMILIES if name.startswith(k)), None)
    if kind and name in theirs.list_models():
      found.append((name, name, _FAMILIES[kind]))
  for name, patch in _VITS.items():
    keys = {"encoder.pos_embedding": (1, (224 // patch) ** 2 + 1, 8)}
    found.append(
      (name, f"vit_{name[4]}_{patch}", KEYS["vit torchvision"] | keys)
    )
  keys = {"encoder.pos_embedding": (1, 37 * 37 + 1, 8)}
  found.append(("vit_h14", "vit_h_14", KEYS["vit torchvision"] | keys))
  return found


def test_files_of_torchvision(tmp_path):
  from torchvision import models as theirs

  cases = _torchvisions()
  assert len(cases) > 25
  for name, their_name, keys in cases:
    path = write(tmp_path / "model.safetensors", keys)
    found = weights.preprocessing(path, name)
    stated = theirs.get_model_weights(their_name).DEFAULT.transforms()
    assert found.mean == tuple(stated.mean), name
    assert found.std == tuple(stated.std), name
    assert found.image_size == tuple(stated.crop_size * 2), name
    _same_pixels(found, stated)


def test_rows_of_timm():
  import timm.data

  rows = published.rows("timm/*")
  assert len(rows) > 150
  for row in rows:
    name = row.url.removeprefix("hf-hub:timm/")
    stated = timm.data.resolve_data_config(
      pretrained_cfg=timm.get_pretrained_cfg(name).to_dict()
    )
    found = image_preprocessing.of_row(row)
    assert (3, *found.image_size) == tuple(stated["input_size"]), name
    assert found.mean == tuple(stated["mean"]), name
    assert found.std == tuple(stated["std"]), name
    assert found.crop_fraction == pytest.approx(stated["crop_pct"]), name
    assert found.interpolation == f"{stated['interpolation']}_antialiased"
    squashed = stated["crop_mode"] == "squash"
    assert found.crop == ("square" if squashed else "center"), name


def test_pixels_of_timm():
  """One row of each kind, compared with the transforms of timm."""
  import timm.data

  kinds = {}
  for row in published.rows("timm/*"):
    found = image_preprocessing.of_row(row)
    key = image_preprocessing.transforms(found), found.mean, found.std
    kinds.setdefault(key, row)
  assert len(kinds) > 20
  for row in kinds.values():
    name = row.url.removeprefix("hf-hub:timm/")
    config = timm.data.resolve_data_config(
      pretrained_cfg=timm.get_pretrained_cfg(name).to_dict()
    )
    transform = timm.data.create_transform(**config)
    _same_pixels(image_preprocessing.of_row(row), transform)


@pytest.mark.parametrize(
  ("theirs", "ours"),
  [
    ("vit_tiny_patch16_224", "vit_ti16"),
    ("vit_tiny_patch16_384", "vit_ti16"),
    ("resnet50d", "resnet50d"),
    ("resnet18d", "resnet18"),
    ("tf_efficientnet_b1", "efficientnet_b1"),
    ("tf_efficientnet_lite0", "efficientnet_lite0"),
    ("tf_efficientnet_lite3", "efficientnet_lite3"),
    ("mixer_b16_224", "mixer_b16"),
    ("resnetv2_50x1_bit", "bit_r50x1"),
    ("vgg11_bn", "vgg11_bn"),
    ("nasnetalarge", "nasnet_a_large"),
  ],
)
def test_files_of_timm_by_their_layout(theirs, ours, tmp_path):
  """A file of timm's default weights under another name."""
  import timm

  module = timm.create_model(theirs)
  arrays = {k: v.numpy() for k, v in module.state_dict().items()}
  path = tmp_path / "some.safetensors"
  files.write(path, arrays)
  found = weights.preprocessing(path, ours)
  config = timm.data.resolve_model_data_config(module)
  _same_pixels(found, timm.data.create_transform(**config))
  assert found.image_size == tuple(config["input_size"][1:])


def test_predictions_are_those_of_torchvision(tmp_path):
  """The complete path from an image file to the most probable class."""
  import torch
  from torchvision import models as theirs

  from jaxvision import inference
  from jaxvision.inference import pretrained

  torch.manual_seed(0)
  module = theirs.get_model("shufflenet_v2_x1_5").eval()
  torch.nn.init.normal_(module.fc.weight, std=30)
  arrays = {k: v.numpy() for k, v in module.state_dict().items()}
  path = tmp_path / "some.safetensors"
  files.write(path, arrays)
  Image.fromarray(_image(300, 451)).save(tmp_path / "image.png")
  stated = theirs.get_model_weights("shufflenet_v2_x1_5").DEFAULT.transforms()
  with torch.no_grad():
    inputs = stated(Image.open(tmp_path / "image.png"))[None]
    expected = module(inputs).softmax(1)[0].numpy()
  names = tmp_path / "names.txt"
  names.write_text("".join(f"{n}\n" for n in range(1000)))
  run = pretrained.open_weights(path, "shufflenet_v2_x1_5", names=names)
  (found,) = inference.predict(run, [tmp_path / "image.png"])
  for each in found["top"]:
    share = expected[int(each["class"])]
    np.testing.assert_allclose(each["probability"], share, rtol=1e-3)
  assert int(found["top"][0]["class"]) == expected.argmax()

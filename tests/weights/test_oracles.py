"""Files in the layouts of timm and torchvision, and the logits of both.

The networks are small. Weights and images are a formula of the position in the
array. Only the logits are stored, as printed by

  PYTHONPATH=tests python tests/weights/test_oracles.py

if timm and torchvision are installed. tests/parity/test_weights.py builds
complete networks.
"""

import functools

import jax
import numpy as np
import pytest
import scipy.ndimage
from parity import case
from weight_files import random_variables

from jaxvision import cli, models, weights
from jaxvision.weights.formats import files

VIT = {"width": 24, "depth": 1, "mlp_dim": 96, "num_heads": 3}
RESNET = {"blocks": (1, 1, 1, 1)}


def _values(shape, *, scale, seed):
  """Numbers from -scale to scale, in a different order for each array."""
  count = np.arange(np.prod(shape, dtype=int))
  return (scale * np.sin(1.7 * count + seed)).astype(np.float32).reshape(shape)


def _state(shapes):
  state = {}
  for seed, (key, shape) in enumerate(sorted(shapes.items())):
    fan_in = np.prod(shape[1:], dtype=int) if len(shape) > 1 else 1
    if key.endswith("running_var") or (len(shape) == 1 and "weight" in key):
      state[key] = 1 + _values(shape, scale=0.3, seed=seed)
    else:
      scale = (2 / fan_in) ** 0.5 if len(shape) > 1 else 0.1
      scale = 0.5 if "pos_embed" in key else scale
      state[key] = _values(shape, scale=scale, seed=seed)
  return state


def _images(height, width, channels=3):
  return _values((2, height, width, channels), scale=1.0, seed=0.5)


def _vit_shapes(*, patches, channels=3, patch=(16, 16), token=True):
  width, hidden = VIT["width"], VIT["mlp_dim"]
  return {
    "cls_token": (1, 1, width),
    "pos_embed": (1, patches + token, width),
    "patch_embed.proj.weight": (width, channels, *patch),
    "patch_embed.proj.bias": (width,),
    "blocks.0.norm1.weight": (width,),
    "blocks.0.norm1.bias": (width,),
    "blocks.0.attn.qkv.weight": (3 * width, width),
    "blocks.0.attn.qkv.bias": (3 * width,),
    "blocks.0.attn.proj.weight": (width, width),
    "blocks.0.attn.proj.bias": (width,),
    "blocks.0.norm2.weight": (width,),
    "blocks.0.norm2.bias": (width,),
    "blocks.0.mlp.fc1.weight": (hidden, width),
    "blocks.0.mlp.fc1.bias": (hidden,),
    "blocks.0.mlp.fc2.weight": (width, hidden),
    "blocks.0.mlp.fc2.bias": (width,),
    "norm.weight": (width,),
    "norm.bias": (width,),
    "head.weight": (3, width),
    "head.bias": (3,),
  }


def _resnet_shapes(stem=(3, 3)):
  shapes = {"conv1.weight": (64, 3, *stem), "fc.weight": (3, 512)}
  shapes["fc.bias"] = (3,)
  norms = {"bn1": 64}
  for i, width in enumerate((64, 128, 256, 512)):
    inputs, block = max(64, width // 2), f"layer{i + 1}.0"
    shapes[f"{block}.conv1.weight"] = (width, inputs, 3, 3)
    shapes[f"{block}.conv2.weight"] = (width, width, 3, 3)
    norms |= {f"{block}.bn1": width, f"{block}.bn2": width}
    if i:
      shapes[f"{block}.downsample.0.weight"] = (width, inputs, 1, 1)
      norms[f"{block}.downsample.1"] = width
  for norm, width in norms.items():
    for each in ("weight", "bias", "running_mean", "running_var"):
      shapes[f"{norm}.{each}"] = (width,)
  return shapes


# Name -> model, its options, shapes, images; options of timm's network.
CASES = {
  "a rectangle whose rows with the token are a square": (
    ("vit_ti16", VIT, _vit_shapes(patches=8), _images(32, 64)),
    {"img_size": (32, 64)},
  ),
  "a rectangle whose patches are a square": (
    ("vit_ti16", VIT, _vit_shapes(patches=16), _images(32, 128)),
    {"img_size": (32, 128)},
  ),
  "another rectangle": (
    ("vit_ti16", VIT, _vit_shapes(patches=6), _images(48, 32)),
    {"img_size": (48, 32)},
  ),
  "no position of the token": (
    ("vit_ti16", VIT, _vit_shapes(patches=9, token=False), _images(48, 48)),
    {"img_size": (48, 48), "no_embed_class": True},
  ),
  "four channels": (
    (
      "vit_ti16",
      VIT,
      _vit_shapes(patches=4, channels=4),
      _images(32, 32, 4),
    ),
    {"img_size": (32, 32), "in_chans": 4},
  ),
  "a small stem": (
    ("resnet18", RESNET, _resnet_shapes(), _images(16, 16)),
    {},
  ),
}


def _theirs(name):
  """The logits that timm or torchvision compute."""
  import torch

  (_, _, shapes, images), options = CASES[name]
  if options:
    import timm

    module = timm.models.VisionTransformer(
      patch_size=16,
      embed_dim=VIT["width"],
      depth=VIT["depth"],
      num_heads=VIT["num_heads"],
      num_classes=3,
      **options,
    )
  else:
    from torchvision.models import resnet

    module = resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=3)
    module.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    module.maxpool = torch.nn.Identity()
  state = {k: torch.tensor(v) for k, v in _state(shapes).items()}
  module.load_state_dict(state, strict=False)
  missing = set(module.state_dict()) - set(state)
  assert all("num_batches" in key for key in missing), missing
  with torch.no_grad():
    return module.eval()(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()


LOGITS = {
  "a rectangle whose rows with the token are a square": [
    [0.090376, -0.047051, 0.150863],
    [0.098702, -0.057554, 0.163526],
  ],
  "a rectangle whose patches are a square": [
    [0.158822, -0.132718, 0.25361],
    [0.156977, -0.130241, 0.250506],
  ],
  "another rectangle": [
    [0.142127, -0.106905, 0.218722],
    [0.312207, -0.298075, 0.430665],
  ],
  "no position of the token": [
    [-0.265082, 0.339227, -0.265595],
    [-0.26655, 0.340582, -0.266834],
  ],
  "four channels": [
    [0.34938, -0.338302, 0.473878],
    [0.351447, -0.340418, 0.476039],
  ],
  "a small stem": [
    [1.898207, -1.679319, 1.476111],
    [1.916643, -1.694538, 1.48763],
  ],
}


def _written(path, shapes, *, prefix="", more=()):
  state = {prefix + key: array for key, array in _state(shapes).items()}
  files.write(path, {**state, **dict(more)})
  return path


def _logits(model, variables, images):
  forward = jax.jit(functools.partial(model.apply, train=False))
  return np.asarray(forward(variables, images))


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_the_library(name, tmp_path):
  (model, options, shapes, images), _ = CASES[name]
  path = _written(tmp_path / "file.safetensors", shapes)
  size = images.shape[1:3]
  loaded, variables = weights.load(path, model, image_size=size, **options)
  actual = _logits(loaded, variables, images)
  np.testing.assert_allclose(actual, LOGITS[name], rtol=1e-4, atol=1e-4)
  # Saving it again gives the same file, with options that it does not imply.
  again = tmp_path / "again.safetensors"
  weights.save(again, model, variables, model=loaded, image_size=size)
  twice, same = weights.load(again, model)
  np.testing.assert_array_equal(_logits(twice, same, images), actual)


def _vit(tmp_path, patches, **options):
  shapes = _vit_shapes(patches=patches, **options)
  return _written(tmp_path / "file.safetensors", shapes)


def test_an_ambiguous_grid_is_an_error(tmp_path):
  """64 patches are 8x8 or 4x16: both are the same file."""
  path = _vit(tmp_path, 64)
  with pytest.raises(ValueError, match=r"64 patches.*native_size=\(height"):
    weights.load(path, "vit_ti16", image_size=(64, 128), **VIT)
  table = files.open_file(path).arrays["pos_embed"]
  for native, grid in (((64, 256), (4, 16)), (128, (8, 8))):
    _, loaded = weights.load(
      path, "vit_ti16", image_size=(64, 128), native_size=native, **VIT
    )
    positions = loaded["params"]["Transformer"]["posembed_input"]
    zoom = (4 / grid[0], 8 / grid[1], 1)
    expected = scipy.ndimage.zoom(
      table[0, 1:].reshape(*grid, -1), zoom, order=1, grid_mode=False
    )
    np.testing.assert_allclose(
      positions["pos_embedding"][0, 1:],
      expected.reshape(32, -1),
      rtol=1e-4,
      atol=1e-5,
    )
  with pytest.raises(ValueError, match="native_size needs 4x8"):
    weights.load(path, "vit_ti16", native_size=(64, 128), **VIT)


def test_an_ambiguous_position_of_the_token_is_an_error(tmp_path):
  """9 rows are 3x3 patches, or 2x4 and the class token."""
  path = _vit(tmp_path, 8)
  with pytest.raises(ValueError, match="9 positions and a class token"):
    weights.load(path, "vit_ti16", **VIT)
  with pytest.raises(ValueError, match="give native_size"):
    weights.native_size(path, "vit_ti16")
  for size, kind in (((32, 64), "learned"), (48, "learned_patches")):
    model, _ = weights.load(path, "vit_ti16", image_size=size, **VIT)
    assert model.positions == kind


def test_squares_are_taken_for_squares_with_a_warning(tmp_path, caplog):
  path = _vit(tmp_path, 64)
  weights.load(path, "vit_ti16", image_size=96, **VIT)
  assert "64 patches are used as a grid of 8x8" in caplog.text
  caplog.clear()
  # 14x14 is a published grid of the model, for any target size.
  weights.load(_vit(tmp_path, 196), "vit_ti16", image_size=(64, 96), **VIT)
  assert not caplog.text


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize(
  "name, options, layout",
  [
    ("vit_ti16", VIT, "torchvision"),
    ("vit_ti16", VIT, "huggingface"),
    ("vit_ti16", VIT, "authors"),
    ("vit_ti16", {**VIT, "pool": "mean"}, "timm"),
    ("vit_r_ti16", VIT, "timm"),
    (
      "mixer_s16",
      {"width": 16, "depth": 1, "tokens_dim": 8, "channels_dim": 24},
      "timm",
    ),
    (
      "mixer_s16",
      {"width": 16, "depth": 1, "tokens_dim": 8, "channels_dim": 24},
      "authors",
    ),
  ],
)
def test_rectangles_of_every_family_and_layout(name, options, layout, tmp_path):
  """2x4 patches or tokens; files of the second half state their size."""
  model = models.create(name, num_classes=3, **options)
  size = (64, 128) if name == "vit_r_ti16" else (32, 64)
  variables = random_variables(model, size)
  path = tmp_path / f"file{weights.layouts(name)[layout]}"
  weights.save(path, name, variables, layout=layout)
  _, loaded = weights.load(path, name, image_size=size, **options)
  jax.tree.map(np.testing.assert_array_equal, loaded, variables)
  with pytest.raises(ValueError, match="native_size"):
    weights.load(path, name, **options)
  weights.save(
    path, name, variables, model=model, image_size=size, layout=layout
  )
  assert weights.native_size(path, name) == size
  again, loaded = weights.load(path, name)
  jax.tree.map(np.testing.assert_array_equal, loaded, variables)
  assert again == model


PREFIXES = (
  "module.",
  "model.",
  "backbone.",
  "my_net.encoder.",
  "_orig_mod.",
  "module._orig_mod.",
  "_orig_mod.module.model.",
  "state_dict.model.",
  "ema.",
  "ema_model.module.",
)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_of_wrappers_are_removed_and_logged(prefix, tmp_path, caplog):
  shapes = _vit_shapes(patches=4)
  path = _written(tmp_path / "file.safetensors", shapes, prefix=prefix)
  _, loaded = weights.load(path, "vit_ti16", **VIT)
  _, plain = weights.load(_vit(tmp_path, 4), "vit_ti16", **VIT)
  jax.tree.map(np.testing.assert_array_equal, loaded, plain)
  assert f"the prefix {prefix} of its keys is removed" in caplog.text


def test_the_average_is_taken_of_a_network_and_its_average(tmp_path, caplog):
  shapes = _vit_shapes(patches=4)
  average = {f"ema.{k}": 2 * v for k, v in _state(shapes).items()}
  counter = {"ema.n_averaged": np.array(7), "n_averaged": np.array(7)}
  path = tmp_path / "file.safetensors"
  for prefix in ("", "model.", "module."):
    _written(path, shapes, prefix=prefix, more={**average}.items())
    _, loaded = weights.load(path, "vit_ti16", **VIT)
    bias = _state(shapes)["head.bias"]
    np.testing.assert_array_equal(loaded["params"]["head"]["bias"], 2 * bias)
    assert (
      "prefix ema. of its keys is removed, and 20 other arrays" in caplog.text
    )
  _written(path, shapes, prefix="module.", more=list(counter.items())[1:])
  weights.load(path, "vit_ti16", **VIT)


def test_other_arrays_beside_a_prefix_are_left_over(tmp_path):
  shapes = _vit_shapes(patches=4)
  path = tmp_path / "file.safetensors"
  more = {"teacher.head.bias": np.zeros(3, np.float32)}
  _written(path, shapes, prefix="module.", more=more.items())
  with pytest.raises(ValueError, match=r"unused:\n  teacher\.head\.bias"):
    weights.load(path, "vit_ti16", **VIT)
  twice = {f"net.{k}": v for k, v in _state(shapes).items()}
  _written(path, shapes, prefix="module.", more=twice.items())
  with pytest.raises(ValueError, match=r"several networks.*'module\.', 'net"):
    weights.load(path, "vit_ti16", **VIT)


def test_a_prefix_is_shown_by_inspect(tmp_path, capsys):
  path = _written(
    tmp_path / "file.safetensors", _vit_shapes(patches=4), prefix="module."
  )
  assert cli.main(["weights", "inspect", str(path)]) == 0
  assert "the prefix module. of its keys" in capsys.readouterr().out


@pytest.mark.parametrize("stem", [(5, 5), (1, 1), (3, 7), (7, 3)])
def test_other_stems_are_refused(stem, tmp_path):
  """Only patch embeddings are resampled."""
  path = _written(tmp_path / "file.safetensors", _resnet_shapes(stem))
  with pytest.raises(ValueError, match=r"conv1/kernel.*has the shape"):
    weights.load(path, "resnet18", **RESNET)


def test_a_stem_of_another_size_is_not_resampled(tmp_path):
  for side, other in ((3, "imagenet"), (7, "small")):
    shapes = _resnet_shapes((side, side))
    path = _written(tmp_path / "file.safetensors", shapes)
    with pytest.raises(ValueError, match=r"conv1/kernel.*has the shape"):
      weights.load(path, "resnet18", stem=other, **RESNET)


def test_patches_that_are_no_squares_are_refused(tmp_path):
  shapes = _vit_shapes(patches=4, patch=(16, 8))
  path = _written(tmp_path / "file.safetensors", shapes)
  for size in (None, 32, (64, 16)):
    with pytest.raises(ValueError, match=r"has the shape \(24, 3, 16, 8\)"):
      weights.load(path, "vit_ti16", image_size=size, **VIT)


def test_no_channel_is_left_out(tmp_path):
  path = _vit(tmp_path, 4, channels=4)
  for channels in (1, 2, 3, 5):
    with pytest.raises(ValueError, match="give channels=4"):
      weights.load(path, "vit_ti16", channels=channels, **VIT)
  grey = _vit(tmp_path, 4, channels=1)
  _, loaded = weights.load(grey, "vit_ti16", **VIT)
  assert loaded["params"]["embedding"]["kernel"].shape == (16, 16, 1, 24)
  with pytest.raises(ValueError, match="give channels=3"):
    weights.load(_vit(tmp_path, 4), "vit_ti16", channels=2, **VIT)


def test_resampled_patches_are_logged(tmp_path, caplog):
  path = _vit(tmp_path, 4)
  weights.load(path, "vit_ti16", patch_size=8, image_size=16, **VIT)
  assert "patches of 16 pixels are resampled to 8 " in caplog.text


def test_the_channels_of_a_hybrid_are_those_of_its_root(tmp_path):
  model = models.create("vit_r_ti16", num_classes=3, **VIT)
  variables = random_variables(model, 64)
  path = tmp_path / "file.safetensors"
  weights.save(path, "vit_r_ti16", variables)
  _, loaded = weights.load(path, "vit_r_ti16", image_size=64, channels=1, **VIT)
  np.testing.assert_allclose(
    loaded["params"]["conv_root"]["kernel"],
    variables["params"]["conv_root"]["kernel"].sum(2, keepdims=True),
    rtol=1e-6,
  )
  assert loaded["params"]["embedding"]["kernel"].shape[2] == 64


if __name__ == "__main__":
  case.require("torch", "torchvision", "timm")
  for each in CASES:
    values = np.array2string(_theirs(each), separator=", ", precision=6)
    print(f'  "{each}": {values},')

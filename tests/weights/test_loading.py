"""`weights.load` with intact files and with others."""

import jax
import numpy as np
import pytest
from weight_files import random_variables

from jaxvision import models, trees, weights
from jaxvision.variables import init_variables
from jaxvision.weights.formats import files

VIT = {"width": 24, "depth": 2, "mlp_dim": 32, "num_heads": 3}
BIT = {"units": (1, 1, 1, 1)}


@pytest.fixture(scope="module")
def bit(tmp_path_factory):
  """(path, variables) of a small BiT in the layout of its authors."""
  path = tmp_path_factory.mktemp("bit") / "bit.npz"
  model = models.create("bit_r50x1", num_classes=7, **BIT)
  variables = random_variables(model, 32)
  weights.save(path, "bit_r50x1", variables)
  return path, variables


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
  """(path, variables) of a small ViT for 64 pixels, as timm saves it."""
  path = tmp_path_factory.mktemp("vit") / "vit.safetensors"
  model = models.create("vit_ti16", num_classes=7, **VIT)
  variables = random_variables(model, 64)
  weights.save(path, "vit_ti16", variables)
  return path, variables


def _changed(path, tmp_path, change):
  arrays = dict(files.open_file(path).arrays)
  change(arrays)
  new = tmp_path / path.name
  files.write(new, arrays)
  return new


def test_a_fresh_classifier_of_zeros(bit):
  path, variables = bit
  model, loaded = weights.load(path, "bit_r50x1", num_classes=3, **BIT)
  assert model.num_classes == 3
  head = loaded["params"]["head"]
  assert not head["kernel"].any() and not head["bias"].any()
  assert head["kernel"].shape == (2048, 3)
  np.testing.assert_array_equal(
    loaded["params"]["block1"]["unit01"]["conv1"]["kernel"],
    variables["params"]["block1"]["unit01"]["conv1"]["kernel"],
  )


def test_positions_are_for_the_files_size_or_another(vit):
  path, _ = vit
  position = "params/Transformer/posembed_input/pos_embedding"
  for size, tokens in ((None, 17), (96, 37), ((32, 64), 9)):
    model, loaded = weights.load(
      path, "vit_ti16", image_size=size, native_size=64, **VIT
    )
    assert trees.flatten(loaded)[position].shape == (1, tokens, 24)
  assert model.activation == "gelu_erf"  # as timm computes it
  assert weights.native_size(path, "vit_ti16") == 64


def test_other_patches_and_channels(vit):
  path, _ = vit
  _, loaded = weights.load(
    path, "vit_ti16", image_size=32, patch_size=8, channels=1, **VIT
  )
  kernel = loaded["params"]["embedding"]["kernel"]
  assert kernel.shape == (8, 8, 1, 24)
  assert np.isfinite(kernel).all()


def test_arrays_have_the_given_sharding(bit):
  path, variables = bit
  mesh = jax.make_mesh(
    (8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)
  )
  whole = jax.NamedSharding(mesh, jax.P())
  split = jax.NamedSharding(mesh, jax.P(None, None, None, "data"))

  def sharding(leaf, shape):
    return split if len(shape) == 4 else whole

  _, loaded = weights.load(path, "bit_r50x1", sharding=sharding, **BIT)
  kernel = loaded["params"]["root_block"]["conv_root"]["kernel"]
  assert kernel.sharding == split
  assert kernel.addressable_shards[0].data.shape[-1] == kernel.shape[-1] // 8
  jax.tree.map(np.testing.assert_array_equal, loaded, variables)


def test_half_precision_becomes_float32(bit, tmp_path):
  import ml_dtypes

  def halve(arrays):
    for key, array in arrays.items():
      arrays[key] = array.astype(ml_dtypes.bfloat16)

  path = _changed(bit[0], tmp_path, halve)
  _, loaded = weights.load(path, "bit_r50x1", **BIT)
  for array, full in zip(
    jax.tree.leaves(loaded), jax.tree.leaves(bit[1]), strict=True
  ):
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, full, rtol=1e-2)


def test_wrappers_and_numbered_scopes_are_understood(bit, tmp_path):
  def wrap(arrays):
    for key in list(arrays):
      new = key.replace("/standardized_conv2d/", "/standardized_conv2d_12/")
      arrays[f"opt/target/{new}"] = arrays.pop(key)

  path = _changed(bit[0], tmp_path, wrap)
  _, loaded = weights.load(path, "bit_r50x1", **BIT)
  jax.tree.map(np.testing.assert_array_equal, loaded, bit[1])


def test_the_authors_number_as_before_linen(tmp_path):
  model = models.create("vit_ti16", num_classes=7, **VIT)
  variables = random_variables(model, 32)
  path = tmp_path / "vit.npz"
  weights.save(path, "vit_ti16", variables)
  arrays = files.open_file(path).arrays
  block = "Transformer/encoderblock_1"
  assert arrays[f"{block}/MlpBlock_3/Dense_0/kernel"].shape == (24, 32)
  assert f"{block}/LayerNorm_2/scale" in arrays
  query = f"{block}/MultiHeadDotProductAttention_1/query/kernel"
  assert arrays[query].shape == (24, 3, 8)


def test_big_vision_keeps_the_class_token_out_of_the_positions(tmp_path):
  options = {**VIT, "positions": "learned_patches"}
  model = models.create("vit_ti16", num_classes=7, **options)
  variables = random_variables(model, 32)
  path = tmp_path / "vit.npz"
  weights.save(path, "vit_ti16", variables, layout="big_vision")

  def rename(arrays):
    arrays["pos_embedding"] = arrays.pop(
      "Transformer/posembed_input/pos_embedding"
    )

  loaded, again = weights.load(
    _changed(path, tmp_path, rename), "vit_ti16", **VIT
  )
  assert loaded.positions == "learned_patches"
  jax.tree.map(np.testing.assert_array_equal, again, variables)


def test_a_missing_array_and_one_too_many_are_both_named(bit, tmp_path):
  def change(arrays):
    key = "resnet/block2/unit01/b/standardized_conv2d/kernel"
    arrays[key + "_old"] = arrays.pop(key)

  path = _changed(bit[0], tmp_path, change)
  with pytest.raises(ValueError) as error:
    weights.load(path, "bit_r50x1", **BIT)
  text = str(error.value)
  assert "1 parameters are not filled" in text
  assert "params/block2/unit01/conv2/kernel" in text
  assert "; unused: resnet/block2/unit01/b/standardized_conv2d" in text
  assert "1 arrays are unused" in text
  ignored = ["params/block2/unit01/conv2/kernel", ".*_old"]
  _, loaded = weights.load(path, "bit_r50x1", ignore=ignored, **BIT)
  kernel = loaded["params"]["block2"]["unit01"]["conv2"]["kernel"]
  assert np.abs(kernel).sum() > 0  # as it starts


def test_an_array_of_another_shape_is_named(bit, tmp_path):
  def change(arrays):
    key = "resnet/block1/unit01/a/group_norm/gamma"
    arrays[key] = arrays[key][:-1]

  with pytest.raises(ValueError, match=r"gn1/scale.*has the shape \(63,\)"):
    weights.load(_changed(bit[0], tmp_path, change), "bit_r50x1", **BIT)


def test_the_error_of_a_wrong_name_names_the_model(bit):
  with pytest.raises(ValueError, match=r"is not a vit_b16.* nearest model"):
    weights.load(bit[0], "vit_b16")
  with pytest.raises(ValueError, match="does not fit"):
    weights.load(bit[0], "bit_r101x1")
  with pytest.raises(ValueError, match="unknown model 'bit_r50x'"):
    weights.load(bit[0], "bit_r50x")


def test_a_file_of_no_known_layout_is_shown(tmp_path):
  path = tmp_path / "weights.npz"
  files.write(path, {"some/array": np.zeros(3)})
  with pytest.raises(ValueError, match=r"unknown layout.*some/array"):
    weights.load(path, "bit_r50x1")
  assert weights.inspect(path).layout == ""


def test_a_layout_that_does_not_exist_is_an_error(bit, tmp_path):
  with pytest.raises(ValueError, match="no layout of linear"):
    weights.save(tmp_path / "a.npz", "linear", {"params": {}})
  with pytest.raises(ValueError, match="layout of bit_r50x1"):
    weights.save(tmp_path / "a.npz", "bit_r50x1", bit[1], layout="author")


@pytest.mark.parametrize("name", ["bit_r50x1", "vit_b16", "resnet50"])
def test_published_sizes_are_recognized(name):
  """Only by names and shapes, without allocating arrays."""
  from jaxvision.weights import recognition

  layout = next(
    each for each in recognition.LAYOUTS if name in recognition.family(each)
  )
  model = models.create(name, num_classes=21)
  size = models.spec(name).image_size
  arrays = {}

  template = trees.flatten(
    jax.eval_shape(lambda: init_variables(model, 0, (size, size, 3)))
  )
  for leaf, shape in template.items():
    place = layout.place(leaf, shape.shape)
    arrays[place.key] = np.broadcast_to(np.float32(0), place.full_shape())
  found = recognition.recognize(arrays, source="it")
  assert found.layout is layout
  assert recognition.candidates(found)[0] == (name, 0)
  assert recognition.classes(found) == 21

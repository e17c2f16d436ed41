"""Files of EfficientNets: names, numbers of blocks, and who has which layout.

The names are those of tf_to_pytorch/convert_tf_to_pt/load_tf_weights.py of
EfficientNet-PyTorch, which lists the variables of a checkpoint of the authors
beside its own.
"""

import logging

import numpy as np
import pytest
from weight_files import random_variables

from jaxvision import models, trees, weights
from jaxvision.variables import variable_shapes
from jaxvision.weights import formats, recognition

# Ours, EfficientNet-PyTorch's, the authors'. The first block does not expand.
ENDS = (
  ("conv_stem/kernel", "_conv_stem.weight", "stem/conv2d/kernel"),
  ("bn1/scale", "_bn0.weight", "stem/tpu_batch_normalization/gamma"),
  ("bn1/bias", "_bn0.bias", "stem/tpu_batch_normalization/beta"),
  ("bn1/mean", "_bn0.running_mean", "stem/tpu_batch_normalization/moving_mean"),
  (
    *("bn1/var", "_bn0.running_var"),
    "stem/tpu_batch_normalization/moving_variance",
  ),
  ("conv_head/kernel", "_conv_head.weight", "head/conv2d/kernel"),
  ("bn2/scale", "_bn1.weight", "head/tpu_batch_normalization/gamma"),
  ("classifier/kernel", "_fc.weight", "head/dense/kernel"),
  ("classifier/bias", "_fc.bias", "head/dense/bias"),
)
FIRST_BLOCK = (
  (
    *("conv_dw/kernel", "_depthwise_conv.weight"),
    "depthwise_conv2d/depthwise_kernel",
  ),
  ("bn1/scale", "_bn1.weight", "tpu_batch_normalization/gamma"),
  ("conv_pw/kernel", "_project_conv.weight", "conv2d/kernel"),
  ("bn2/var", "_bn2.running_var", "tpu_batch_normalization_1/moving_variance"),
)
BLOCK = (
  ("conv_pw/kernel", "_expand_conv.weight", "conv2d/kernel"),
  ("bn1/scale", "_bn0.weight", "tpu_batch_normalization/gamma"),
  (
    *("conv_dw/kernel", "_depthwise_conv.weight"),
    "depthwise_conv2d/depthwise_kernel",
  ),
  ("bn2/mean", "_bn1.running_mean", "tpu_batch_normalization_1/moving_mean"),
  ("conv_pwl/kernel", "_project_conv.weight", "conv2d_1/kernel"),
  ("bn3/bias", "_bn2.bias", "tpu_batch_normalization_2/beta"),
)
GATES = (
  ("se/conv_reduce/kernel", "_se_reduce.weight", "se/conv2d/kernel"),
  ("se/conv_reduce/bias", "_se_reduce.bias", "se/conv2d/bias"),
  ("se/conv_expand/kernel", "_se_expand.weight", "se/conv2d_1/kernel"),
  ("se/conv_expand/bias", "_se_expand.bias", "se/conv2d_1/bias"),
)
# Of the authors' code: number of blocks of each network.
BLOCKS = {
  **dict(zip("01234567", (16, 23, 23, 26, 32, 39, 45, 55), strict=True)),
  **{f"lite{n}": b for n, b in enumerate((16, 21, 21, 24, 30))},
}
NAMES = {
  key: f"efficientnet_{key if key.startswith('lite') else f'b{key}'}"
  for key in BLOCKS
}


def _layout(name, kind):
  (found,) = [e for e in recognition.layouts_of(name) if e.name == kind]
  return found


def _key(layout, path, shape=(1, 1, 3, 4)):
  collection = "batch_stats" if path.endswith(("mean", "var")) else "params"
  if not path.endswith("kernel"):
    shape = shape[-1:]
  elif path.startswith("classifier"):
    shape = shape[-2:]
  return layout.place(f"{collection}/{path}", shape).key


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_lite0"])
def test_names_are_those_of_the_converter(name):
  pytorch, authors = (
    _layout(name, kind) for kind in ("efficientnet_pytorch", "authors")
  )
  scope = name.replace("_", "-")
  gates = GATES if name == "efficientnet_b0" else ()
  # Stages have 1, 2, 2, 3, 3, 4 and 1 blocks: the third of stage 3 is number 7.
  for place, number, names in (
    ("", None, ENDS),
    ("blocks_0_0/", 0, FIRST_BLOCK + gates),
    ("blocks_1_0/", 1, BLOCK + gates),
    ("blocks_3_2/", 7, BLOCK + gates),
    ("blocks_6_0/", 15, BLOCK + gates),
  ):
    for ours, theirs, variable in names:
      if number is not None:
        theirs, variable = (
          f"_blocks.{number}.{theirs}",
          f"blocks_{number}/{variable}",
        )
      assert _key(pytorch, place + ours) == theirs
      assert _key(authors, place + ours) == f"{scope}/{variable}"


def test_depthwise_kernels_of_the_authors_have_their_channels_third():
  layout = _layout("efficientnet_lite0", "authors")
  place = layout.place("params/blocks_0_0/conv_dw/kernel", (3, 3, 1, 32))
  assert place.shape == (3, 3, 32, 1)
  kernel = np.arange(9 * 32).reshape(3, 3, 1, 32)
  np.testing.assert_array_equal(place.to_file(kernel)[..., 0], kernel[:, :, 0])


@pytest.mark.parametrize("key", BLOCKS)
def test_blocks_are_numbered_through(key):
  name, last = NAMES[key], BLOCKS[key] - 1
  repeats = models.create(name, num_classes=1).repeats
  path = f"blocks_6_{repeats[-1] - 1}/conv_pwl/kernel"
  pytorch = _layout(name, "efficientnet_pytorch")
  assert _key(pytorch, path) == f"_blocks.{last}._project_conv.weight"
  for absent in (f"blocks_6_{repeats[-1]}", "blocks_7_0"):
    with pytest.raises(ValueError, match="use the run folder"):
      _key(pytorch, f"{absent}/conv_pwl/kernel")


QUICK = ("0", "2", "lite0", "lite4")


@pytest.mark.matrix(every=4)
@pytest.mark.parametrize(
  "key",
  [
    pytest.param(key, marks=[] if key in QUICK else [pytest.mark.slow])
    for key in BLOCKS
  ],
)
def test_every_network_is_recognised_in_each_layout(key):
  """By its keys and its number of parameters; no Lite network as another."""
  name = NAMES[key]
  model = models.create(name, num_classes=7)
  shapes = trees.flatten(variable_shapes(model, image_shape=(32, 32, 3)))
  for layout in recognition.layouts_of(name):
    places = [layout.place(leaf, each.shape) for leaf, each in shapes.items()]
    arrays = {p.key: np.broadcast_to(np.float32(0), p.shape) for p in places}
    found = recognition.recognize(arrays, source="it")
    assert found.layout == layout
    assert recognition.classes(found) == 7
    candidates = dict(recognition.candidates(found))
    assert candidates[name] == 0
    assert all(("lite" in each) == ("lite" in name) for each in candidates)


def test_a_file_of_the_other_kind_is_refused(tmp_path):
  for name, other in (
    ("efficientnet_b0", "efficientnet_lite0"),
    ("efficientnet_lite0", "efficientnet_b0"),
  ):
    variables = random_variables(models.create(name, num_classes=3), 32)
    for layout, suffix in weights.layouts(name).items():
      path = tmp_path / f"{name}{suffix}"
      weights.save(path, name, variables, layout=layout)
      with pytest.raises(ValueError, match=f"not a {other}.* it is {name}"):
        weights.load(path, other)


@pytest.mark.parametrize("layout", ["efficientnet_pytorch", "authors"])
@pytest.mark.parametrize(
  "options", [{"depth": 1.8}, {"stages": ((1, 3, 1, 1, 16), (1, 3, 2, 6, 24))}]
)
def test_other_numbers_of_blocks_are_refused(layout, options, tmp_path):
  name = "efficientnet_lite0"
  model = models.create(name, num_classes=3, width=0.1, **options)
  path = tmp_path / f"file{weights.layouts(name)[layout]}"
  variables = random_variables(model, 32)
  with pytest.raises(ValueError, match="use the run folder"):
    weights.save(path, name, variables, model=model, layout=layout)
  assert not path.exists()


def test_the_moving_averages_of_a_checkpoint_are_used(tmp_path, caplog):
  name = "efficientnet_lite0"
  model = models.create(name, num_classes=3, width=0.1)
  both = {"global_step": np.int64(7)}
  for seed, suffix in enumerate(("", "/ExponentialMovingAverage")):
    variables = random_variables(model, 32, seed=seed)
    weights.save(tmp_path / "one.npz", name, variables, layout="authors")
    with np.load(tmp_path / "one.npz") as file:
      both |= {f"{key}{suffix}": file[key] for key in file}
      both |= {f"{key}/RMSProp": 0 * file[key] for key in file}
  path = tmp_path / "checkpoint.npz"
  formats.write(path, both)
  with caplog.at_level(logging.WARNING):
    _, loaded = weights.load(path, name, width=0.1)
  assert "the moving averages of" in caplog.text
  actual, expected = trees.flatten(loaded), trees.flatten(variables)
  for leaf, array in expected.items():
    np.testing.assert_array_equal(actual[leaf], array)

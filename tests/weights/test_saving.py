"""Options that a layout does not imply are restored, or refused."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_runs
from weight_files import random_variables

from jaxvision import cli, inference, models, training, weights
from jaxvision.weights import notes
from jaxvision.weights.formats import files

VIT = {"width": 24, "depth": 1, "mlp_dim": 32, "num_heads": 3}
MIXER = {"width": 16, "depth": 1, "tokens_dim": 8, "channels_dim": 24}
EFFICIENT = {"width": 0.1}
RESNET = {"blocks": (1, 1)}
BIT = {"units": (1, 1)}
SHUFFLE = {"features": (48, 96), "repeats": (1, 1)}
NASNET = {"repeats": 1, "features": 12, "stages": 1}

# (model, options that shapes imply, options that a layout may not imply).
CASES = (
  ("vit_ti16", VIT, {"positions": "rotary"}),
  ("vit_ti16", VIT, {"positions": "sincos2d"}),
  ("vit_ti16", VIT, {"positions": "none"}),
  ("vit_ti16", VIT, {"positions": "learned_patches"}),
  ("vit_ti16", VIT, {"positions": "sincos2d", "pool": "mean"}),
  ("vit_ti16", VIT, {"pool": "map"}),
  ("vit_ti16", VIT, {"num_heads": 6}),
  ("vit_ti16", VIT, {"activation": "gelu_tanh"}),
  ("vit_ti16", VIT, {"activation": "gelu_erf"}),
  ("vit_ti16", VIT, {"activation": "relu", "registers": 2}),
  ("vit_ti16", VIT, {"representation_size": 8}),
  ("vit_r_ti16", VIT, {"activation": "swish", "patch_size": 4}),
  ("mixer_s16", MIXER, {"activation": "gelu_erf"}),
  ("mixer_s16", MIXER, {"activation": "gelu_tanh"}),
  ("efficientnet_b0", EFFICIENT, {"padding": "same"}),
  ("efficientnet_b0", EFFICIENT, {"padding": "symmetric"}),
  ("efficientnet_b0", EFFICIENT, {"norm_epsilon": 1e-4, "stem": "small"}),
  ("efficientnet_lite0", EFFICIENT, {"squeeze_excite": 4}),
  ("resnet18", RESNET, {"stem": "small"}),
  ("resnet18", RESNET, {"stem": "deep", "shortcut": "pool"}),
  ("resnet18", RESNET, {"stride": "blur", "activation": "mish"}),
  ("resnet50", RESNET, {"stride": "1x1"}),
  ("resnet50d", RESNET, {"stem": "imagenet"}),
  ("resnet18", RESNET, {"norm": "group_norm(8)"}),
  ("bit_r50x1", BIT, {"stem": "small"}),
  ("bit_r50x1", BIT, {"standardization_epsilon": 1e-8}),
  ("bit_r50x1", BIT, {"standardization_epsilon": 1e-10}),
  ("shufflenet_v2_x0_5", SHUFFLE, {"layout": "paper"}),
  ("shufflenet_v2_x0_5", SHUFFLE, {"layout": "torchvision", "stem": "small"}),
  ("nasnet_a_large", NASNET, {"border": "nothing"}),
  ("nasnet_a_large", NASNET, {"stem": "small"}),
  ("alexnet", {"hidden": (8, 8)}, {"activation": "swish"}),
  ("vgg11", {"hidden": (8, 8), "features": 4}, {"activation": "swish"}),
)
# Models that no layout supports.
REFUSED = (
  ("alexnet", {"stem": "small"}, "classifier of alexnet at classifier_6"),
  ("vgg11", {"hidden": (8,), "features": 4}, "at classifier_6"),
  (
    "vgg11",
    {"hidden": (8, 8), "features": 4, "pool_size": 14},
    "have pool_size=7, but the model has 14",
  ),
)


def _all_layouts():
  return [
    (*case, layout) for case in CASES for layout in weights.layouts(case[0])
  ]


def _logits(model, variables, images):
  forward = jax.jit(functools.partial(model.apply, train=False))
  return np.asarray(forward(variables, images))


def _function(model):
  """The attributes that affect the outputs."""
  return {
    field.name: getattr(model, field.name)
    for field in dataclasses.fields(model)
    if field.name not in notes.OF_TRAINING | {"parent", "name"}
  }


@pytest.mark.matrix(every=20)
@pytest.mark.parametrize("name, shapes, options, layout", _all_layouts())
def test_the_same_model_is_restored_without_arguments(
  name, shapes, options, layout, tmp_path
):
  model = models.create(name, num_classes=5, **{**shapes, **options})
  size = 96 if name in ("alexnet", "vit_r_ti16") else 32
  variables = random_variables(model, size)
  path = tmp_path / f"file{weights.layouts(name)[layout]}"
  weights.save(
    path, name, variables, model=model, image_size=size, layout=layout
  )
  loaded, again = weights.load(path, name)
  assert _function(loaded) == _function(model)
  stored = {k: v for k, v in variables.items() if k != "progress"}
  jax.tree.map(
    np.testing.assert_array_equal, {k: again[k] for k in stored}, stored
  )
  assert weights.inspect(path).layout == layout


@pytest.mark.parametrize("name, options, words", REFUSED)
def test_a_variant_that_a_layout_cannot_store_is_refused(
  name, options, words, tmp_path
):
  model = models.create(name, num_classes=5, **options)
  path = tmp_path / "file.safetensors"
  variables = random_variables(model, 96)
  with pytest.raises(ValueError, match=words):
    weights.save(path, name, variables, model=model)
  assert not path.exists()


def test_implied_options_are_not_written(tmp_path):
  """A file of a network of the library is equal to the library's own file."""
  for name, options, layout in (
    ("vit_ti16", {**VIT, "pool": "mean"}, "timm"),
    ("resnet18", {}, "timm, torchvision"),
  ):
    activation = {"activation": "gelu_erf"} if name == "vit_ti16" else {}
    own = {**options, **activation, **({"depth": 12} if activation else {})}
    own = {k: v for k, v in own.items() if k not in ("width", "mlp_dim")}
    model = models.create(name, num_classes=2, **own)
    path = tmp_path / "file.safetensors"
    weights.save(path, name, random_variables(model, 32), model=model)
    assert files.note(files.open_file(path)) == "", layout


def test_a_warning_lists_the_options_for_other_readers(tmp_path, caplog):
  model = models.create("vit_ti16", num_classes=5, **VIT)
  path = tmp_path / "file.safetensors"
  variables = random_variables(model, 32)
  weights.save(path, "vit_ti16", variables, model=model)
  assert "activation='gelu_tanh'" in caplog.text
  assert weights.inspect(path).options["activation"] == "gelu_tanh"
  caplog.clear()
  # As a complete name it would be another network.
  with pytest.raises(ValueError, match="load it as vit_ti16"):
    weights.load(path, "vit_s16")


def test_the_note_is_passed_over_by_numpy_and_safetensors(tmp_path):
  """The arrays are the same as without the note, and precede it."""
  model = models.create("vit_ti16", num_classes=5, **VIT, positions="rotary")
  variables = random_variables(model, 32)
  path = tmp_path / "file.npz"
  weights.save(path, "vit_ti16", variables, model=model, layout="big_vision")
  with np.load(path) as archive:
    assert set(archive) == set(files.open_file(path).arrays)
    assert archive["head/bias"].shape == (5,)


@pytest.mark.parametrize("classes", [3, 8])
@pytest.mark.parametrize("layout", weights.layouts("vgg11"))
def test_a_layer_behind_the_classifier_is_refused(layout, classes, tmp_path):
  """In torchvision and timm the third Dense layer is the classifier."""
  options = {"features": 2, "hidden": (6, 4, 8)}
  model = models.create("vgg11", num_classes=classes, **options)
  path = tmp_path / "file.safetensors"
  variables = random_variables(model, 32)
  with pytest.raises(ValueError, match="classifier_9 after it: use"):
    weights.save(path, "vgg11", variables, model=model, layout=layout)
  assert not path.exists()


@pytest.mark.parametrize(
  "name, options, layout, said",
  [
    ("vit_ti16", VIT, "timm", r"activation='gelu_erf' \(vit_ti16 has"),
    ("vit_ti16", VIT, "big_vision", ""),
    ("resnet18", RESNET, "timm, with pooled shortcuts", "shortcut='pool'"),
    ("resnet18", RESNET, "timm, torchvision", ""),
  ],
)
def test_without_the_model_implied_options_are_logged(
  name, options, layout, said, tmp_path, caplog
):
  """No array shows the variant of GELU, or the pooling of a shortcut."""
  model = models.create(name, num_classes=5, **options)
  path = tmp_path / f"file{weights.layouts(name)[layout]}"
  weights.save(path, name, random_variables(model, 32), layout=layout)
  assert re.search(said, caplog.text) if said else not caplog.text


@pytest.mark.parametrize("positions", ["rotary", "sincos2d", "none"])
@pytest.mark.parametrize("layout", weights.layouts("vit_ti16"))
def test_without_the_model_ambiguous_arrays_are_refused(
  positions, layout, tmp_path
):
  options = {**VIT, "positions": positions}
  model = models.create("vit_ti16", num_classes=5, **options)
  path = tmp_path / f"file{weights.layouts('vit_ti16')[layout]}"
  with pytest.raises(ValueError, match=r"pos_embedding.*give model="):
    weights.save(path, "vit_ti16", random_variables(model, 32), layout=layout)
  assert not path.exists()


def test_variables_of_another_model_are_refused(tmp_path):
  shuffle = models.create("shufflenet_v2_x0_5", num_classes=5)
  variables = random_variables(shuffle, 32)
  path = tmp_path / "file.safetensors"
  with pytest.raises(ValueError, match=r"params/fc/bias.*give model="):
    weights.save(path, "shufflenet_v2_x0_5", variables)
  vit = models.create("vit_ti16", num_classes=5, **VIT)
  deeper = vit.clone(depth=2)
  with pytest.raises(ValueError, match=r"encoderblock_1.*give model="):
    weights.save(path, "vit_ti16", random_variables(vit, 32), model=deeper)
  heads = random_variables(vit.clone(num_heads=6), 32)
  weights.save(path, "vit_ti16", heads)  # Their shape gives the number.
  loaded, _ = weights.load(path, "vit_ti16", depth=1, width=24, mlp_dim=32)
  assert loaded.num_heads == 6


def _with_note(path, text):
  arrays = dict(files.open_file(path).arrays)
  files.write(path, arrays, note=text)


@pytest.mark.parametrize(
  "text",
  [
    '{"jaxvision"',
    '{"jaxvision": []}',
    '{"jaxvision": {"model": "vit_ti16"}}',
    '{"jaxvision": {"model": "vit_ti16", "layout": "timm", "options": [], '
    '"image_size": null}}',
    '{"jaxvision": {"model": "vit_ti16", "layout": "timm", "options": '
    '{"depth": 1000000000}, "image_size": null}}',
    '{"jaxvision": {"model": "vit_ti16", "layout": "timm", "options": '
    '{"no_such": 1}, "image_size": null}}',
    '{"jaxvision": {"model": "vit_ti16", "layout": "timm", "options": '
    '{"width": "wide", "pool": [1]}, "image_size": null}}',
    '{"jaxvision": {"model": "vit_ti16", "layout": "timm", "options": {}, '
    '"image_size": [0, -1]}}',
  ],
)
def test_a_damaged_note_is_refused(text, tmp_path):
  model = models.create("vit_ti16", num_classes=5, **VIT)
  path = tmp_path / "file.safetensors"
  weights.save(path, "vit_ti16", random_variables(model, 32))
  _with_note(path, text)
  with pytest.raises(ValueError, match=r"file\.safetensors"):
    weights.load(path, "vit_ti16")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """The folder of a run whose options no layout implies."""
  folder = tmp_path_factory.mktemp("run")
  tiny_runs.write_data(folder, shape=(8, 16, 1))
  tiny_runs.load_config(folder)
  small = {**VIT, "patch_size": 4, "num_heads": 2, "positions": "rotary"}
  training.train(
    str(folder / "recipe.py"),
    workdir=folder / "run",
    overrides={
      "model.name": "vit_ti16",
      "model.options": {**small, "activation": "relu"},
      "data.channels": 1,
      "train.duration": "1 steps",
      "log.tensorboard": False,
    },
  )
  return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_run_is_converted_with_all_its_options(suffix, run, tmp_path):
  target = str(tmp_path / f"file{suffix}")
  assert cli.main(["weights", "convert", str(run), target]) == 0
  trained = inference.load_run(run)
  model, variables = weights.load(target, "vit_ti16")
  assert _function(model) == _function(trained.model)
  images = jnp.ones((2, 8, 16, 1))
  np.testing.assert_array_equal(
    _logits(model, variables, images),
    _logits(trained.model, trained.variables, images),
  )


def test_options_of_the_training_exist():
  """An outdated name in the list would hide a renamed option."""
  fields = {
    field.name
    for variant in models.VARIANTS.values()
    for field in dataclasses.fields(variant["module"])
  }
  assert fields >= notes.OF_TRAINING

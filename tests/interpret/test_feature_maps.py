"""Tests of jaxvision.interpret.feature_maps: layers with maps, gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_classifiers
import small_modules

from jaxvision import interpret
from jaxvision.interpret import feature_maps
from jaxvision.summary import flops

_TARGETS = np.array([2, 0, 3])
_map_and_gradient = jax.jit(
  feature_maps.map_and_gradient, static_argnames=("model", "layer")
)
_tap = jax.jit(interpret.tap, static_argnames=("model", "layers"))
# The default layer, rows and columns, class tokens and registers.
_DEFAULTS = {
  "alexnet": ("features_3", 2, 0, 0),
  "vgg": ("features_3", 8, 0, 0),
  "resnet": ("layer2_0", 8, 0, 0),
  "bit": ("norm-pre-head", 16, 0, 0),
  "efficientnet": ("bn2", 16, 0, 0),
  "shufflenet": ("conv5_1", 4, 0, 0),
  "nasnet": ("cell_0", 16, 0, 0),
  "vit": ("Transformer/encoderblock_1/LayerNorm_0", 4, 1, 0),
  "vit_mean": ("Transformer/encoderblock_1/LayerNorm_0", 4, 0, 2),
  "vit_map": ("Transformer/encoderblock_1/LayerNorm_0", 4, 0, 1),
  "vit_distilled": ("Transformer/encoderblock_1/LayerNorm_0", 4, 2, 3),
  "mixer": ("MixerBlock_1/LayerNorm_0", 4, 0, 0),
}


def _default(name):
  model, variables = small_classifiers.classifier(name)
  found = feature_maps.calls(model, variables, small_classifiers.images())
  return feature_maps.choose(model, found, None)


@pytest.mark.parametrize("name", _DEFAULTS)
def test_the_default_layer(name):
  layer, side, before, after = _DEFAULTS[name]
  found, grid = _default(name)
  assert found == layer
  assert (grid.rows, grid.columns) == (side, side)
  assert (grid.before, grid.after) == (before, after)


def test_channels_are_not_tokens():
  """Layers across the patches of a Mixer have (b, c, n), here with c > n."""
  model, variables = small_classifiers.classifier("mixer", width=24)
  found = feature_maps.calls(model, variables, small_classifiers.images())
  grid = feature_maps.patch_grid(model, found)
  assert (grid.size, grid.before, grid.after) == (16, 0, 0)
  with pytest.raises(ValueError, match="not a map"):
    feature_maps.choose(model, found, "MixerBlock_1/token_mixing/Dense_0")


@pytest.mark.parametrize("name", ["mlp", "linear"])
def test_a_model_without_maps_is_an_error(name):
  with pytest.raises(ValueError, match=r"no layer of \w+ has a map"):
    _default(name)


@pytest.mark.parametrize("name", _DEFAULTS)
@pytest.mark.matrix("vgg", "resnet", "efficientnet", "vit", "mixer")
def test_gradient_is_the_slope_of_the_logits(name):
  """Forward differentiation along a random direction of the map."""
  model, variables = small_classifiers.classifier(name)
  images = small_classifiers.images()
  layer, grid = _default(name)
  features, gradient = _map_and_gradient(model, variables, images, _TARGETS)
  rng = np.random.default_rng(0)
  direction = rng.normal(size=features.shape).astype(np.float32)

  @jax.jit
  def logits(size):
    def move(call, args, kwargs, context):
      output = call(*args, **kwargs)
      path = "/".join(context.module.path)
      if path != layer or context.method_name != "__call__":
        return output
      moved = size * direction.reshape(len(images), grid.size, -1)
      if output.ndim == 3:
        around = ((0, 0), (grid.before, grid.after), (0, 0))
        return output + jnp.pad(moved, around)
      return output + moved.reshape(output.shape)

    with nn.intercept_methods(move):
      return model.apply(variables, images, train=False)

  _, slopes = jax.jvp(logits, (0.0,), (1.0,))
  expected = (gradient * direction).sum(axis=(1, 2, 3))
  np.testing.assert_allclose(
    slopes[np.arange(3), _TARGETS], expected, rtol=1e-3, atol=1e-6
  )
  tap = _tap(model, variables, images, layers=(layer,))[layer]
  np.testing.assert_allclose(
    features, feature_maps.as_map(tap, grid), atol=1e-5
  )


@pytest.mark.parametrize("name", ["vit", "vit_distilled", "vit_mean"])
def test_patches_are_in_rows_and_columns(name):
  """Without positions, the input of the blocks is the embedding of patches."""
  model, variables = small_classifiers.classifier(name, positions="none")
  images = small_classifiers.images()
  first = "Dropout_0"
  found = feature_maps.calls(model, variables, images)
  _, grid = feature_maps.choose(model, found, first)
  taps = _tap(model, variables, images, layers=("embedding", first))
  expected = taps["embedding"].reshape(3, 4, 4, -1)
  np.testing.assert_array_equal(
    feature_maps.as_map(taps[first], grid), expected
  )


@pytest.mark.parametrize(
  ("name", "most"), [("resnet", 1.05), ("efficientnet", 1.05), ("vit", 2.0)]
)
def test_only_the_layers_behind_the_map_are_differentiated(name, most):
  """Multiply-accumulates, relative to a forward pass."""
  model, variables = small_classifiers.classifier(name)
  images = small_classifiers.images()
  forward, both = (
    flops.multiply_accumulates(jax.make_jaxpr(function)(images)).total()
    for function in (
      lambda x: model.apply(variables, x, train=False),
      lambda x: feature_maps.map_and_gradient(model, variables, x, _TARGETS),
    )
  )
  assert forward < both <= most * forward


def test_patches_behind_the_last_attention_have_no_effect_on_a_class_token():
  model, variables = small_classifiers.classifier("vit")
  args = (model, variables, small_classifiers.images(), _TARGETS)
  _, gradient = _map_and_gradient(*args, layer="Transformer/encoderblock_1")
  assert not gradient.any()
  _, gradient = _map_and_gradient(*args)
  assert gradient.any(axis=(1, 2, 3)).all()


def test_a_scanned_model_has_the_same_maps():
  images = small_classifiers.images()
  model, variables = small_classifiers.classifier("vit", depth=3)
  scanned = model.clone(scan_layers=True)
  plain, same = (
    _map_and_gradient(each, variables, images, _TARGETS)
    for each in (model, scanned)
  )
  jax.tree.map(np.testing.assert_array_equal, plain, same)


def test_a_layer_that_is_called_twice_has_the_map_of_its_last_call():
  """The logits are the means of the last output."""
  model = small_modules.Twice()
  variables = {"params": small_modules.random_params(model, (4, 2, 3))}
  images = small_classifiers.images()[:, :4, :2]
  features, gradient = _map_and_gradient(
    model, variables, images, np.array([2, 0, 1])
  )
  assert features.shape == (3, 3, 2, 3)
  expected = jax.nn.one_hot(np.array([2, 0, 1]), 3) / 6
  np.testing.assert_allclose(
    gradient,
    np.broadcast_to(expected[:, None, None], gradient.shape),
    rtol=1e-6,
  )


def test_errors_name_layers_that_fit():
  model, variables = small_classifiers.classifier("vit")
  found = feature_maps.calls(model, variables, small_classifiers.images())
  with pytest.raises(ValueError, match="unknown layer 'Tranformer'; did you"):
    feature_maps.choose(model, found, "Tranformer")
  with pytest.raises(ValueError, match=r"'head' is not a map.*encoder_norm"):
    feature_maps.choose(model, found, "head")

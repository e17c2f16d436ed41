"""Class activation maps: Grad-CAM, Grad-CAM++, HiResCAM, LayerCAM.

The formulas take a feature map and the gradient of a logit by it, both (b, h,
w, c), and return raw maps (b, h, w) that can be negative. Below them are the
methods by name. The gradient is that of the logit, not of the probability.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvision.interpret import feature_maps, heat_maps
from jaxvision.interpret.scores import Attribution
from jaxvision.lookup import ranges

Tree = Any


def grad_cam(features: jax.Array, gradient: jax.Array) -> jax.Array:
  """Channels weighted by the mean of their gradient.

  Selvaraju et al. 2017, Grad-CAM, equations 1 and 2, without the ReLU.
  """
  weights = gradient.mean(axis=(1, 2))
  return jnp.einsum("bhwc,bc->bhw", features, weights)


def grad_cam_pp(
  features: jax.Array, gradient: jax.Array, *, epsilon: float = 1e-6
) -> jax.Array:
  """Channels weighted by a weighted sum of their positive gradient.

  Chattopadhay et al. 2018, Grad-CAM++, equations 11 and 19, without the last
  ReLU. The weights of the gradient are g^2 / (2 g^2 + sum(A) g^3 + epsilon),
  and 0 where g is 0.

  Args:
    features: (b, h, w, c).
    gradient: (b, h, w, c).
    epsilon: of the public implementations. It decides the weights where g^2 is
      smaller, so it is not negligible for gradients below 1e-3; 0 is the
      paper's formula.
  """
  total = features.sum(axis=(1, 2), keepdims=True)
  divisor = 2 * gradient**2 + total * gradient**3 + epsilon
  positive = gradient > 0
  # Negative gradients have no weight, so their divisor, which can vanish, is
  # not used.
  shares = jnp.where(positive, gradient**2 / jnp.where(positive, divisor, 1), 0)
  weights = (shares * jnp.maximum(gradient, 0)).sum(axis=(1, 2))
  return jnp.einsum("bhwc,bc->bhw", features, weights)


def hires_cam(features: jax.Array, gradient: jax.Array) -> jax.Array:
  """The sum over channels of gradient times activation.

  Draelos and Carin 2020, Use HiResCAM instead of Grad-CAM, equation 5.
  """
  return (gradient * features).sum(axis=-1)


def layer_cam(features: jax.Array, gradient: jax.Array) -> jax.Array:
  """The sum over channels of positive gradient times activation.

  Jiang et al. 2021, LayerCAM, equations 5 and 6, without the last ReLU.
  """
  return (jnp.maximum(gradient, 0) * features).sum(axis=-1)


FORMULAS = {
  "gradcam": grad_cam,
  "gradcam_pp": grad_cam_pp,
  "hirescam": hires_cam,
  "layercam": layer_cam,
}


def gradcam(
  *,
  layer: str | None = None,
  sign: heat_maps.Sign = "positive",
  size: heat_maps.Size = "image",
) -> Attribution:
  """Grad-CAM of any layer with a feature map.

  Args:
    layer: path, as from `layer_names`; None for the default layer of
      `feature_maps.default_layer`.
    sign: "positive" applies the ReLU of the paper, "both" does not.
    size: "image" resizes to the images, "layer" keeps the size of the map.
  """
  return _method("gradcam", layer=layer, sign=sign, size=size)


def gradcam_pp(
  *,
  layer: str | None = None,
  epsilon: ranges.NonNegative = 1e-6,
  sign: heat_maps.Sign = "positive",
  size: heat_maps.Size = "image",
) -> Attribution:
  """Grad-CAM++; arguments as for `gradcam`, and `epsilon` of `grad_cam_pp`."""
  options = (("epsilon", epsilon),)
  return _method(
    "gradcam_pp", layer=layer, sign=sign, size=size, options=options
  )


def hirescam(
  *,
  layer: str | None = None,
  sign: heat_maps.Sign = "positive",
  size: heat_maps.Size = "image",
) -> Attribution:
  """HiResCAM; arguments as for `gradcam`."""
  return _method("hirescam", layer=layer, sign=sign, size=size)


def layercam(
  *,
  layer: str | None = None,
  sign: heat_maps.Sign = "positive",
  size: heat_maps.Size = "image",
) -> Attribution:
  """LayerCAM; arguments as for `gradcam`."""
  return _method("layercam", layer=layer, sign=sign, size=size)


def _method(name: str, **options: Any) -> Attribution:
  return functools.partial(_compute, formula=name, **options)


@functools.partial(
  jax.jit,
  static_argnames=("model", "formula", "layer", "sign", "size", "options"),
)
def _compute(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  targets: jax.Array,
  *,
  formula: str,
  layer: str | None,
  sign: heat_maps.Sign,
  size: heat_maps.Size,
  options: tuple[tuple[str, float], ...] = (),
) -> jax.Array:
  features, gradient = feature_maps.map_and_gradient(
    model, variables, images, targets, layer=layer
  )
  maps = FORMULAS[formula](features, gradient, **dict(options))
  return heat_maps.finished(maps, images.shape[1:3], sign=sign, size=size)

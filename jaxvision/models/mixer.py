"""MLP-Mixer: perceptrons across patches, then across channels, no attention.

Tolstikhin et al. 2021, MLP-Mixer: An all-MLP Architecture for Vision, section 2
and Table 1, in the layout of its published files: normalisation before each
perceptron with epsilon 1e-6, the tanh form of GELU, a classifier that starts at
zero. Parameter names are those of the files, such as `stem`,
`MixerBlock_0/token_mixing/Dense_0`, `pre_head_layer_norm` and `head`.

The perceptron across patches has weights for one number of patches, so that the
parameters belong to one image size.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import activations, initializers, layers, repeated

# Two passes: Flax's default, the fast variance, cancels where means are large.
_layer_norm = functools.partial(
  nn.LayerNorm, epsilon=1e-6, use_fast_variance=False
)


class Mlp(nn.Module):
  """Two Dense layers on the last axis, whose length stays.

  Attributes:
    width: of the hidden layer.
    activation: a name in `jaxvision.activations`.
    initializer: of the kernels, a name in `jaxvision.initializers`.
    dtype: of the computation.
  """

  width: int
  activation: str
  initializer: str
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (..., n) to the same shape."""
    dense = functools.partial(
      nn.Dense,
      kernel_init=initializers.create(self.initializer),
      dtype=self.dtype,
    )
    y = activations.create(self.activation)(dense(self.width)(x))
    return dense(x.shape[-1])(y)


class MixerBlock(nn.Module):
  """Mixes the patches of each channel, then the channels of each patch.

  Attributes:
    tokens_dim: width of the hidden layer of the perceptron across patches.
    channels_dim: width of that across channels.
    activation: of both, a name in `jaxvision.activations`.
    initializer: of both, a name in `jaxvision.initializers`.
    drop_path: rate at which each perceptron is left out for an example.
    dtype: of the computation.
  """

  tokens_dim: int
  channels_dim: int
  activation: str
  initializer: str
  drop_path: float
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, n, c) to the same shape."""
    mlp = functools.partial(
      Mlp,
      activation=self.activation,
      initializer=self.initializer,
      dtype=self.dtype,
    )
    drop = functools.partial(layers.DropPath, self.drop_path, rescale=False)
    y = _layer_norm(dtype=self.dtype)(x).swapaxes(1, 2)
    y = mlp(self.tokens_dim, name="token_mixing")(y).swapaxes(1, 2)
    x = x + drop()(y, train=train)
    y = _layer_norm(dtype=self.dtype)(x)
    y = mlp(self.channels_dim, name="channel_mixing")(y)
    return x + drop()(y, train=train)


class Mixer(nn.Module):
  """Patches, mixer blocks, normalisation, mean over patches, classifier.

  Attributes:
    num_classes: length of the logits.
    patch_size: side of the square patches, in pixels.
    width: length of each token.
    depth: number of blocks.
    tokens_dim: hidden width of the perceptrons across patches.
    channels_dim: hidden width of the perceptrons across channels.
    activation: a name in `jaxvision.activations`.
    initializer: of the perceptrons, a name in `jaxvision.initializers`.
    drop_path: rate of stochastic depth in the last block, in training; it grows
      linearly from 0 in the first. As in the authors' code what survives is not
      divided by the probability to survive.
    scan_layers: compile one block and scan over all of them.
    dtype: of the computation; parameters and logits are float32.
  """

  num_classes: int
  patch_size: int
  width: int
  depth: int
  tokens_dim: int
  channels_dim: int
  activation: str = "gelu_tanh"
  initializer: str = "lecun_normal"
  drop_path: float = 0.0
  scan_layers: bool = False
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    Raises:
      ValueError: if the patches do not tile the image, or the parameters are
        those for another number of patches.
    """
    x = layers.PatchEmbedding(
      self.patch_size, features=self.width, dtype=self.dtype, name="stem"
    )(images)
    self._check_tokens(x.shape[1])
    blocks = [
      MixerBlock(
        tokens_dim=self.tokens_dim,
        channels_dim=self.channels_dim,
        activation=self.activation,
        initializer=self.initializer,
        drop_path=self.drop_path * i / max(1, self.depth - 1),
        dtype=self.dtype,
        name=f"MixerBlock_{i}",
      )
      for i in range(self.depth)
    ]
    x = repeated.apply(blocks, x, scan=self.scan_layers, train=train)
    x = _layer_norm(dtype=self.dtype, name="pre_head_layer_norm")(x)
    return nn.Dense(
      self.num_classes,
      kernel_init=nn.initializers.zeros,
      dtype=jnp.float32,
      name="head",
    )(x.mean(axis=1))

  def _check_tokens(self, tokens: int) -> None:
    """Explains parameters that were made for images of another size."""
    if self.is_initializing() or not self.depth:
      return
    block = self.variables["params"]["MixerBlock_0"]
    made_for = block["token_mixing"]["Dense_0"]["kernel"].shape[0]
    if made_for != tokens:
      raise ValueError(
        f"these parameters mix {made_for} patches of {self.patch_size} pixels, "
        f"but the images have {tokens}; resize the images to the size that the "
        "parameters were made for, or initialise the model for this size"
      )


# Name -> width, depth, tokens_dim, channels_dim.
_SIZES = {
  "s": (512, 8, 256, 2048),
  "b": (768, 12, 384, 3072),
  "l": (1024, 24, 512, 4096),
  "h": (1280, 32, 640, 5120),
}


def _variant(
  size: str,
  *,
  patch_size: int,
  parameters: int,
  gmacs: float,
  top1: float | None = None,
) -> dict[str, Any]:
  width, depth, tokens_dim, channels_dim = _SIZES[size]
  return {
    "module": Mixer,
    "options": {
      "patch_size": patch_size,
      "width": width,
      "depth": depth,
      "tokens_dim": tokens_dim,
      "channels_dim": channels_dim,
    },
    "spec": {
      "image_size": 224,
      "mean": (0.5, 0.5, 0.5),
      "std": (0.5, 0.5, 0.5),
      "crop_fraction": 0.875,
      "parameters": parameters,
      "gmacs": gmacs,
      "top1": top1,
      "top1_source": "paper, Table 3 (ImageNet, 300 epochs)" if top1 else "",
      "paper": "Tolstikhin et al. 2021, MLP-Mixer, Table 1",
    },
  }


VARIANTS = {
  "mixer_s32": _variant("s", patch_size=32, parameters=19_104_624, gmacs=1.002),
  "mixer_s16": _variant("s", patch_size=16, parameters=18_528_264, gmacs=3.777),
  "mixer_b32": _variant("b", patch_size=32, parameters=60_293_428, gmacs=3.238),
  "mixer_b16": _variant(
    "b", patch_size=16, parameters=59_880_472, gmacs=12.602, top1=76.44
  ),
  "mixer_l32": _variant(
    "l", patch_size=32, parameters=206_939_264, gmacs=11.253
  ),
  "mixer_l16": _variant(
    "l", patch_size=16, parameters=208_196_168, gmacs=44.548, top1=71.76
  ),
  "mixer_h14": _variant(
    "h", patch_size=14, parameters=432_350_952, gmacs=120.99
  ),
}

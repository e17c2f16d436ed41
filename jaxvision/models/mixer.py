"""MLP-Mixer: perceptrons across patches, then across channels, no attention.

Tolstikhin et al. 2021, MLP-Mixer: An all-MLP Architecture for Vision, section 2
and Table 1, as in its published files: normalisation with epsilon 1e-6 before
each perceptron, the tanh form of GELU, a classifier that starts at zero.
Parameter names are those of the files, such as `stem`,
`MixerBlock_0/token_mixing/Dense_0`, `pre_head_layer_norm` and `head`.

The weights of the perceptron across patches are for one number of patches, so
the parameters are for one image size.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import layers
from jaxvision.layers import (
  activations,
  barriers,
  initializers,
  norms,
  scan_blocks,
)
from jaxvision.lookup import ranges


class Mlp(nn.Module):
  """Two Dense layers on the last axis; its length is unchanged.

  Attributes:
    width: width of the hidden layer.
    activation: a name in `jaxvision.layers.activations`.
    initializer: initialiser of the kernels, a name in
      `jaxvision.layers.initializers`.
    dtype: type of the computation.
  """

  width: int
  activation: str
  initializer: str
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (..., n) to the same shape."""
    dense = functools.partial(
      layers.Dense,
      kernel_init=initializers.create(self.initializer),
      dtype=self.dtype,
    )
    y = dense(self.width)(x)
    return dense(x.shape[-1])(activations.create(self.activation)(y))


class MixerBlock(nn.Module):
  """Mixes the patches of each channel, then the channels of each patch.

  Attributes:
    tokens_dim: hidden width of the perceptron across patches.
    channels_dim: hidden width of the perceptron across channels.
    activation: a name in `jaxvision.layers.activations`.
    norm: a name in `jaxvision.layers.norms`.
    initializer: initialiser of the kernels, a name in
      `jaxvision.layers.initializers`.
    drop_path: stochastic-depth rate of each perceptron.
    dtype: type of the computation.
  """

  tokens_dim: int
  channels_dim: int
  activation: str
  norm: str
  initializer: str
  drop_path: float | jax.Array
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
    norm = norms.create(self.norm, train=train, dtype=self.dtype, epsilon=1e-6)
    y = norm(name="LayerNorm_0")(x).swapaxes(1, 2)
    y = mlp(self.tokens_dim, name="token_mixing")(y).swapaxes(1, 2)
    x = barriers.cotangent_barrier(x + drop()(y, train=train))
    y = norm(name="LayerNorm_1")(x)
    y = mlp(self.channels_dim, name="channel_mixing")(y)
    return barriers.cotangent_barrier(x + drop()(y, train=train))


class Mixer(nn.Module):
  """Patches, mixer blocks, normalisation, mean over patches, classifier.

  Attributes:
    num_classes: length of the logits.
    patch_size: side of the square patches, in pixels.
    width: length of each token.
    depth: number of blocks.
    tokens_dim: hidden width of the perceptrons across patches.
    channels_dim: hidden width of the perceptrons across channels.
    activation: a name in `jaxvision.layers.activations`.
    norm: a name in `jaxvision.layers.norms`, with epsilon 1e-6.
    initializer: initialiser of the perceptrons, a name in
      `jaxvision.layers.initializers`.
    drop_path: stochastic-depth rate of the last block, in training; it
      increases linearly from 0 in the first block. As in the authors' code,
      kept branches are not divided by the probability to keep them.
    head_bias: initial biases of the classifier; its kernel starts at 0.
    scan_layers: compile one block and scan over all blocks.
    dtype: type of the computation; parameters and logits are float32.
  """

  num_classes: ranges.Count
  patch_size: ranges.Count
  width: ranges.Count
  depth: ranges.EncoderDepth
  tokens_dim: ranges.Count
  channels_dim: ranges.Count
  activation: str = "gelu_tanh"
  norm: str = "layer_norm"
  initializer: str = "lecun_normal"
  drop_path: ranges.Probability = 0.0
  head_bias: float = 0.0
  scan_layers: bool = False
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    Raises:
      ValueError: the image size is not a multiple of the patch size, or the
        parameters are for another number of patches.
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
        norm=self.norm,
        initializer=self.initializer,
        drop_path=self.drop_path * i / max(1, self.depth - 1),
        dtype=self.dtype,
        name=f"MixerBlock_{i}",
      )
      for i in range(self.depth)
    ]
    x = scan_blocks.apply(blocks, x, scan=self.scan_layers, train=train)
    norm = norms.create(self.norm, train=train, dtype=self.dtype, epsilon=1e-6)
    x = norm(name="pre_head_layer_norm")(x)
    return nn.Dense(
      self.num_classes,
      kernel_init=nn.initializers.zeros,
      bias_init=nn.initializers.constant(self.head_bias),
      dtype=jnp.float32,
      name="head",
    )(x.mean(axis=1))

  def _check_tokens(self, tokens: int) -> None:
    """Raises ValueError for parameters of another image size."""
    if self.is_initializing() or not self.depth:
      return
    block = self.variables["params"]["MixerBlock_0"]
    made_for = block["token_mixing"]["Dense_0"]["kernel"].shape[0]
    if made_for != tokens:
      raise ValueError(
        f"these parameters mix {made_for} patches of {self.patch_size} pixels, "
        f"but the images have {tokens}; resize the images to the size of the "
        "parameters, or initialise the model for this size"
      )


# Name -> width, depth, tokens_dim, channels_dim.
_SIZES = {
  "s": (512, 8, 256, 2048),
  "b": (768, 12, 384, 3072),
  "l": (1024, 24, 512, 4096),
  "h": (1280, 32, 640, 5120),
}


# Data of the pre-training; top-1 is that of the paper at 224 pixels.
_JFT = "paper, pre-trained on JFT-300M"
_I21K = "paper, pre-trained on ImageNet-21k"
# Name -> size, patch_size, parameters, GMACs, top-1 and its source.
_ROWS = {
  "mixer_s32": ("s", 32, 19_104_624, 1.0024, 68.70, _JFT),
  "mixer_s16": ("s", 16, 18_528_264, 3.7770, 73.83, _JFT),
  "mixer_b32": ("b", 32, 60_293_428, 3.2377, 75.53, _JFT),
  "mixer_b16": ("b", 16, 59_880_472, 12.6018, 80.64, _I21K),
  "mixer_l32": ("l", 32, 206_939_264, 11.2533, 80.67, _JFT),
  "mixer_l16": ("l", 16, 208_196_168, 44.5477, 82.89, _I21K),
  "mixer_h14": ("h", 14, 432_350_952, 120.9899, 86.32, _JFT),
}


def _variant(
  size: str,
  patch_size: int,
  parameters: int,
  gmacs: float,
  top1: float,
  top1_source: str,
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
      "top1_source": top1_source,
      "paper": "Tolstikhin et al. 2021, MLP-Mixer, Table 1",
    },
  }


VARIANTS = {name: _variant(*row) for name, row in _ROWS.items()}

"""Networks of cells: stem, stages of cells, auxiliary head, classifier.

As in the authors' code of Zoph et al. 2018, Learning Transferable Architectures
for Scalable Image Recognition (TensorFlow models, slim), for any cells.
Parameter names are timm's, with an underscore instead of the dot before the
layer: `cell_0.conv_1x1.bn` is `cell_0/conv_1x1_bn`.
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import lookup
from jaxvision.layers import activations, initializers, norms, pooling
from jaxvision.layers.cell_operations import BORDERS, Layer, Parts
from jaxvision.layers.cells import Cell, Wiring, drop_scales
from jaxvision.layers.linear import Conv, DepthwiseConv
from jaxvision.lookup import ranges

# Number of reduction cells of each stem.
STEMS = {"imagenet": 2, "small": 0}


@dataclasses.dataclass(frozen=True)
class Design:
  """The cells of a network.

  Attributes:
    normal: the cell of the stages.
    reduction: the cell of the stem and between two stages.
    repeats: number of normal cells of each stage.
    features: features of the states in the first stage.
  """

  normal: Wiring
  reduction: Wiring
  repeats: int
  features: int


class AuxiliaryHead(nn.Module):
  """A classifier of a feature map in the middle of the network.

  The kernel of its second convolution has the size of the map, so its
  parameters depend on the image size.

  Attributes:
    parts: the building parts.
    classifier: makes the Dense layer.
  """

  parts: Parts
  classifier: Layer

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to float32 logits (b, num_classes).

    Raises:
      ValueError: the map is smaller than the window of the pooling.
    """
    if min(x.shape[1:3]) < 5:
      raise ValueError(
        f"the auxiliary head needs a map of 5x5, not {x.shape[1]}x{x.shape[2]};"
        ' use larger images, stem="small", or auxiliary=False'
      )
    parts = self.parts
    x = pooling.avg_pool(parts.activation(x), 5, stride=3)
    x = parts.activation(parts.project(x, features=128, name="proj"))
    x = parts.conv(768, x.shape[1:3], padding="VALID", name="whole_conv")(x)
    x = parts.activation(parts.norm(name="whole_bn")(x))
    return self.classifier(name="fc")(x.reshape(x.shape[0], -1))


class CellNetwork(nn.Module):
  """Stem, stages of normal cells, reduction cells between them, classifier.

  A subclass declares the cells, their number and their features: `design`. The
  features double in each stage; the two cells of the stem have 1/4 and 1/2.

  Attributes:
    num_classes: length of the logits.
    stages: number of stages of normal cells, with reduction cells between them.
    stem: "imagenet" (3x3 convolution of stride 2, two reduction cells) or
      "small" (3x3 convolution of stride 1, as for CIFAR).
    stem_multiplier: factor of the features of the stem's convolution, which are
      those of the first stage with the stem "small".
    skip_reduction: whether the first cell after a reduction cell reads the
      older one of the reduction cell's two inputs as its second input; else it
      reads the newer one.
    drop_path: probability to drop an operation of the last cell at the end of
      the training; it increases linearly with the depth and with the training
      step, which the collection `progress` counts.
    total_steps: number of training steps; 0 for the final probabilities from
      the start.
    dropout: dropout rate before the classifier, in training.
    auxiliary: whether the network has the auxiliary head. In training, its
      logits are sown into the collection `auxiliary`, if it is mutable.
    border: border mode of poolings of stride 2: "nothing" (authors' code),
      "zeros_in_means" (timm) or "zeros" (Keras).
    activation: a name in `jaxvision.layers.activations`.
    initializer: initialiser of convolutions, a name in
      `jaxvision.layers.initializers`.
    depthwise_initializer: initialiser of depthwise convolutions; use fan_in,
      which is their fan_out per channel.
    dense_initializer: initialiser of the classifiers; the published one gives
      large logits for few classes.
    norm: a name in `jaxvision.layers.norms`.
    norm_epsilon: added to the variances.
    norm_momentum: fraction of the running averages that is kept at each step;
      the published value for ImageNet needs thousands of steps.
    dtype: type of the computation; parameters, batch statistics and logits are
      float32.
  """

  width_option = "features"  # the option that sets the features, for errors

  num_classes: ranges.Count
  stages: ranges.Depth = 3
  stem: str = "imagenet"
  stem_multiplier: ranges.Positive = 1.0
  skip_reduction: bool = False
  drop_path: ranges.Probability = 0.0
  total_steps: ranges.Whole = 0
  dropout: ranges.Probability = 0.5
  auxiliary: bool = False
  border: str = "nothing"
  activation: str = "relu"
  initializer: str = "he_normal_fan_out"
  depthwise_initializer: str = "he_normal"
  dense_initializer: str = "he_normal_fan_out"
  norm: str = "batch_norm"
  norm_epsilon: ranges.NonNegative = 1e-3
  norm_momentum: ranges.Rate = 0.9997
  dtype: DTypeLike = "float32"

  def design(self) -> Design:
    """Returns the cells of the network."""
    raise NotImplementedError

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    With `train`, statistics are of the batch over all devices, the collection
    `batch_stats` must be mutable, and the random stream "dropout" is used.

    Raises:
      ValueError: a name is unknown (the message has the nearest names), or the
        sizes do not fit.
    """
    design = self.design()
    self._check(design)
    parts = self._parts(train=train)
    x = self._stem(images, parts, width=design.features)
    x = self._cells(x, parts, design, train=train)
    x = parts.activation(x).mean(axis=(1, 2))
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return self._classifier()(name="last_linear")(x)

  def _check(self, design: Design) -> None:
    if self.stem not in STEMS:
      raise ValueError(lookup.unknown("stem", self.stem, STEMS))
    if self.border not in BORDERS:
      raise ValueError(lookup.unknown("border", self.border, BORDERS))
    if self.stem == "imagenet" and design.features % 4:
      raise ValueError(
        f"{self.width_option} {design.features} is not a multiple of 4, which "
        'the cells of the stem need; use a multiple of 4, or stem="small"'
      )

  def _parts(self, *, train: bool) -> Parts:
    return Parts(
      conv=functools.partial(
        Conv,
        use_bias=False,
        kernel_init=initializers.create(self.initializer),
        dtype=self.dtype,
      ),
      depthwise=functools.partial(
        DepthwiseConv,
        kernel_init=initializers.create(self.depthwise_initializer),
        dtype=self.dtype,
      ),
      norm=norms.create(
        self.norm,
        train=train,
        dtype=self.dtype,
        epsilon=self.norm_epsilon,
        momentum=self.norm_momentum,
      ),
      activation=activations.create(self.activation),
      border=self.border,
    )

  def _classifier(self) -> Layer:
    return functools.partial(
      nn.Dense,
      self.num_classes,
      kernel_init=initializers.create(self.dense_initializer),
      dtype=jnp.float32,
    )

  def _stem(self, images: jax.Array, parts: Parts, *, width: int) -> jax.Array:
    """Applies the first convolution and normalisation."""
    small = self.stem == "small"
    if not small and min(images.shape[1:3]) < 3:
      raise ValueError(
        f"image size {min(images.shape[1:3])} is less than the 3 pixels of the "
        'first convolution; use at least 3, or stem="small"'
      )
    x = parts.conv(
      int((width if small else 32) * self.stem_multiplier),
      (3, 3),
      strides=1 if small else 2,
      padding="SAME" if small else "VALID",
      name="conv0_conv",
    )(images)
    return parts.norm(name="conv0_bn")(x)

  def _layout(self, design: Design) -> list[tuple[str, Wiring, int]]:
    """Returns (name, wiring, features) of each cell, in order."""
    count, repeats = STEMS[self.stem], design.repeats
    cells = [
      (f"cell_stem_{i}", design.reduction, design.features // 2 ** (count - i))
      for i in range(count)
    ]
    for stage in range(self.stages):
      width, first = design.features * 2**stage, repeats * stage
      if stage > 0:
        cells.append((f"reduction_cell_{stage - 1}", design.reduction, width))
      cells += [
        (f"cell_{i}", design.normal, width)
        for i in range(first, first + repeats)
      ]
    return cells

  def _cells(
    self, x: jax.Array, parts: Parts, design: Design, *, train: bool
  ) -> jax.Array:
    """Returns the output of the last cell."""
    cells = self._layout(design)
    pairs = max(len(wiring.pairs) for _, wiring, _ in cells)
    shape = (len(cells), pairs, 2, x.shape[0])
    scales = self._drop_scales(shape, train=train)
    outputs, halvings, before = [None, x], [0, 0], -2
    for i, (name, wiring, features) in enumerate(cells):
      shrinks = halvings[before] < halvings[-1]
      cell = Cell(wiring, features, shrinks, parts, name=name)
      outputs.append(cell(outputs[-1], outputs[before], scales[i], train=train))
      halvings.append(halvings[-1] + (wiring.stride == 2))
      skips = self.skip_reduction and name.startswith("reduction_cell")
      before = -3 if skips else -2
      if self.auxiliary and name == f"cell_{2 * design.repeats - 1}":
        self._sow_auxiliary(outputs[-1], parts, train=train)
    return outputs[-1]

  def _drop_scales(
    self, shape: tuple[int, ...], *, train: bool
  ) -> jax.Array | list[None]:
    """Returns the scales of each cell, and counts the training step."""
    if self.drop_path == 0:
      return [None] * shape[0]
    # A float, so that all variables can be averaged.
    step = self.variable("progress", "step", jnp.zeros, ())
    if not train:
      return [None] * shape[0]
    rate = self.drop_path
    if self.total_steps:
      rate *= jnp.minimum(step.value / self.total_steps, 1)
    if self.is_mutable_collection("progress") and not self.is_initializing():
      step.value += 1
    return drop_scales(self.make_rng("dropout"), rate=rate, shape=shape)

  def _sow_auxiliary(self, x: jax.Array, parts: Parts, *, train: bool) -> None:
    head = AuxiliaryHead(parts, self._classifier(), name="auxiliary_head")
    if self.is_initializing():
      head(x)
    elif train:
      self.sow("auxiliary", "logits", head(x))

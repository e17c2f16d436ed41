"""NAS-Bench-201: three stages of one cell, with an operation on each edge.

Dong and Yang 2020, NAS-Bench-201: Extending the Scope of Reproducible Neural
Architecture Search, section 2, as in the authors' code (xautodl). The cell is
the option `arch`, a text of the published tables: docs/search.md describes it.
Between two stages, a residual block halves the sides and doubles the channels.

With `operations="switched"` every edge has the parameters of all operations,
and a number in the compiled program chooses one. So the programs of two cells
differ in numbers only, and one compiled program serves all cells. With "drawn"
each training step draws these numbers, so all cells share the parameters.
"""

import functools
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import layers
from jaxvision.genotypes import nasbench201
from jaxvision.layers import activations, initializers, norms, pooling
from jaxvision.lookup import ranges

# Operations on the edges to each node after the first one; see `Edge`.
Nodes = Sequence[Sequence[str | jax.Array]]
Arch = Annotated[str, ranges.Form("a cell", nasbench201.parse)]
# The residual cell of the paper: 94.36 % on CIFAR-10 and, of all cells, the
# best one on CIFAR-100.
RESNET = (
  "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
  "|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
# Operations with parameters -> side of the kernel.
_CONVOLUTIONS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


class ActivatedConv(nn.Module):
  """Activation, convolution without bias, normalisation.

  Attributes:
    features: channels of the output.
    side: side of the kernel.
    conv: makes the convolution.
    norm: makes the normalisation.
    activation: applied first.
    stride: stride of rows and columns.
  """

  features: int
  side: int
  conv: Any
  norm: Any
  activation: activations.Activation
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), features)."""
    x = self.conv(
      self.features,
      (self.side, self.side),
      strides=self.stride,
      padding=self.side // 2,
      name="conv",
    )(self.activation(x))
    return self.norm(name="norm")(x)


class Edge(nn.Module):
  """An operation from one node of a cell to another.

  Attributes:
    convolve: makes a convolution with `features` and `side`.
  """

  convolve: Any

  @nn.compact
  def __call__(self, x: jax.Array, operation: str | jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to the same shape.

    Args:
      x: the node before.
      operation: one of `jaxvision.genotypes.nasbench201.OPERATIONS`, or its
        place there, () int32. With a place there are the parameters of all
        operations; the batch statistics of the others do not change.
    """
    if isinstance(operation, str):
      return self._operate(x, operation)
    branches = [
      functools.partial(Edge._operate, operation=each)
      for each in nasbench201.OPERATIONS
    ]
    if self.is_initializing():
      # The shape of each output is that of x.
      return sum(branch(self, x) for branch in branches)
    return nn.switch(operation, branches, self, x)

  def _operate(self, x: jax.Array, operation: str) -> jax.Array:
    if operation in _CONVOLUTIONS:
      side = _CONVOLUTIONS[operation]
      return self.convolve(x.shape[-1], side, name=operation)(x)
    if operation == "avg_pool_3x3":
      return pooling.avg_pool(x, 3, stride=1, padding="SAME")
    return x if operation == "skip_connect" else jnp.zeros_like(x)


class Cell(nn.Module):
  """Nodes that are sums of operations on the nodes before them.

  Attributes:
    edge: makes an edge.
  """

  edge: Any

  @nn.compact
  def __call__(self, x: jax.Array, nodes: Nodes) -> jax.Array:
    """Maps (b, h, w, c) to the same shape.

    Args:
      x: the first node.
      nodes: the operations of each further node, see `Edge`.
    """
    states = [x]
    for node, operations in enumerate(nodes, 1):
      terms = [
        self.edge(name=f"edge_{before}_{node}")(states[before], operation)
        for before, operation in enumerate(operations)
      ]
      states.append(sum(terms))
    return states[-1]


class ResidualBlock(nn.Module):
  """Two convolutions, with a shortcut of means and a 1x1 convolution.

  Attributes:
    features: channels of the output.
    conv: makes the convolution of the shortcut.
    convolve: makes a convolution with `features` and `side`.
  """

  features: int
  conv: Any
  convolve: Any

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/2), ceil(w/2), features)."""
    y = self.convolve(self.features, 3, stride=2, name="conv_a")(x)
    y = self.convolve(self.features, 3, name="conv_b")(y)
    # "SAME": the published code has even sides only.
    shortcut = pooling.avg_pool(x, 2, stride=2, padding="SAME")
    return y + self.conv(self.features, (1, 1), name="shortcut")(shortcut)


class NasBench201(nn.Module):
  """Stem, stages of cells, residual blocks between them, classifier.

  Attributes:
    num_classes: length of the logits.
    arch: the cell, as in the tables of NAS-Bench-201:
      `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.
    cells: number of cells of each stage.
    channels: channels of the first stage; they double in each stage.
    stages: number of stages.
    operations: "static" (only the operations of the cell have parameters),
      "switched" (all operations of an edge have parameters, and a number in the
      compiled program chooses one) or "drawn" (the same, and each training step
      draws a cell, with equal probability for each operation of an edge).
    dropout: dropout rate before the classifier, in training.
    activation: a name in `jaxvision.layers.activations`.
    initializer: initialiser of convolutions, a name in
      `jaxvision.layers.initializers`.
    norm: a name in `jaxvision.layers.norms`.
    norm_epsilon: added to the variances.
    norm_momentum: fraction of the running averages that is kept at each step.
    dtype: type of the computation; parameters, batch statistics and logits are
      float32.
  """

  num_classes: ranges.Count
  arch: Arch = RESNET
  cells: ranges.Depth = 5
  channels: ranges.Count = 16
  stages: ranges.Depth = 3
  operations: Literal["static", "switched", "drawn"] = "static"
  dropout: ranges.Probability = 0.0
  activation: str = "relu"
  initializer: str = "he_normal"
  norm: str = "batch_norm"
  norm_epsilon: ranges.NonNegative = 1e-5
  norm_momentum: ranges.Rate = 0.9
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    With `train`, statistics are of the batch over all devices, the collection
    `batch_stats` must be mutable, and the random stream "dropout" is used with
    dropout and for operations that are drawn.

    Raises:
      ValueError: `arch` is not a cell, or a name is unknown.
    """
    conv, norm = self._conv(), self._norm(train=train)
    activation = activations.create(self.activation)
    convolve = functools.partial(
      ActivatedConv, conv=conv, norm=norm, activation=activation
    )
    x = conv(self.channels, (3, 3), padding=1, name="stem_conv")(images)
    nodes = self._nodes(train=train)
    x = self._stages(norm(name="stem_norm")(x), nodes, conv, convolve)
    x = activation(norm(name="last_norm")(x)).mean(axis=(1, 2))
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return nn.Dense(self.num_classes, dtype=jnp.float32, name="classifier")(x)

  def _nodes(self, *, train: bool) -> Nodes:
    """The operations of all cells of the network."""
    nodes = nasbench201.parse(self.arch)
    if self.operations == "static":
      return nodes
    lengths = [len(each) for each in nodes]
    if self.operations == "drawn" and train:
      places = jax.random.randint(
        self.make_rng("dropout"), sum(lengths), 0, len(nasbench201.OPERATIONS)
      )
      return _divide(places, lengths)
    indices = [nasbench201.OPERATIONS.index(o) for node in nodes for o in node]
    return _divide([jnp.int32(i) for i in indices], lengths)

  def _stages(
    self, x: jax.Array, nodes: Nodes, conv: Any, convolve: Any
  ) -> jax.Array:
    # Edges of equal shapes are traced once if they have all operations.
    is_static = self.operations == "static" or self.is_initializing()
    make = Edge if is_static else nn.jit(Edge)
    edge = functools.partial(make, convolve=convolve)
    for stage in range(self.stages):
      if stage > 0:
        width = self.channels * 2**stage
        name = f"residual_{stage - 1}"
        x = ResidualBlock(width, conv, convolve, name=name)(x)
      for i in range(self.cells * stage, self.cells * (stage + 1)):
        x = Cell(edge, name=f"cell_{i}")(x, nodes)
    return x

  def _conv(self) -> Any:
    return functools.partial(
      layers.Conv,
      use_bias=False,
      kernel_init=initializers.create(self.initializer),
      dtype=self.dtype,
    )

  def _norm(self, *, train: bool) -> Any:
    return norms.create(
      self.norm,
      train=train,
      dtype=self.dtype,
      epsilon=self.norm_epsilon,
      momentum=self.norm_momentum,
    )


def _divide(
  places: Sequence[jax.Array] | jax.Array, lengths: Sequence[int]
) -> Nodes:
  """The places of all edges, node by node."""
  rest = iter(places)
  return [[next(rest) for _ in range(length)] for length in lengths]


VARIANTS = {
  "nasbench201": {
    "module": NasBench201,
    "options": {},
    "spec": {
      "image_size": 32,
      "mean": (0.4914, 0.4822, 0.4465),
      "std": (0.2471, 0.2435, 0.2616),
      "crop_fraction": 1.0,
      "parameters": 1_352_856,
      "gmacs": 0.1848,
      "paper": "Dong and Yang 2020, NAS-Bench-201: Extending the Scope of "
      "Reproducible Neural Architecture Search, Figure 1",
    },
  },
}

"""Cells of searched networks, from a table of pairs of operations.

The search space of Zoph et al. 2018, Learning Transferable Architectures for
Scalable Image Recognition, section 3, as in the authors' code (TensorFlow
models, slim). A cell reads the outputs of the two previous cells and projects
them to the same width: states 0 and 1. Each pair of operations on states is
combined to a new state. Some states are concatenated to the output.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvision.layers.cell_operations import Parts, operate

Operation = tuple[str, int]  # (operation, state).


@dataclasses.dataclass(frozen=True)
class Wiring:
  """The table of a cell.

  Attributes:
    pairs: the left and the right operation of each new state, with names of
      `jaxvision.layers.cell_operations`.
    outputs: the states that are concatenated.
    stride: stride of the operations on states 0 and 1.
    concatenated: the pairs, by their number from 0, whose results are
      concatenated; those of the others are added.
  """

  pairs: tuple[tuple[Operation, Operation], ...]
  outputs: tuple[int, ...]
  stride: int = 1
  concatenated: tuple[int, ...] = ()


class Cell(nn.Module):
  """The operations of a table, combined in pairs and concatenated.

  Attributes:
    wiring: the table.
    features: channels of each state; a concatenated pair has twice as many.
    shrink_previous: whether the second-last output has twice the resolution of
      the last output.
    parts: the building parts.
  """

  wiring: Wiring
  features: int
  shrink_previous: bool
  parts: Parts

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    previous: jax.Array | None,
    scales: jax.Array | None = None,
    *,
    train: bool = True,
  ) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), n features).

    Args:
      x: the output of the previous cell.
      previous: the output of the cell before it; without one (None), x itself
        is state 1, unchanged.
      scales: (pairs, 2, b) factors of the left and the right operation for each
        example, for drop path; identities are not scaled.
      train: whether to use the scales.
    """
    scales = scales if train else None
    states = [
      self._project(self.parts.activation(x), name="conv_1x1"),
      x if previous is None else self._matched(previous),
    ]
    for i, pair in enumerate(self.wiring.pairs):
      results = []
      for side, (operation, state) in enumerate(pair):
        y = operate(
          states[state],
          operation,
          features=self.features,
          stride=self.wiring.stride if state < 2 else 1,
          parts=self.parts,
          name=f"comb_iter_{i}_{('left', 'right')[side]}",
        )
        if scales is not None and operation != "id":
          y *= scales[i, side].reshape(-1, 1, 1, 1).astype(y.dtype)
        results.append(y)
      concatenates = i in self.wiring.concatenated
      states.append(
        jnp.concatenate(results, -1) if concatenates else sum(results)
      )
    outputs = [self._output(states[i], state=i) for i in self.wiring.outputs]
    return jnp.concatenate(outputs, axis=-1)

  def _matched(self, previous: jax.Array) -> jax.Array:
    """Returns the second-last output with the size and width of state 0."""
    if self.shrink_previous:
      previous = self.parts.activation(previous)
      return self.parts.halve(previous, features=self.features)
    if self._fits(previous):
      return previous
    return self._project(self.parts.activation(previous), name="conv_prev_1x1")

  def _output(self, x: jax.Array, *, state: int) -> jax.Array:
    """Returns a state with the size of the output and the width `features`."""
    if state < 2 and self.wiring.stride == 2:
      prefix = f"output_{state}_"
      return self.parts.halve(x, features=self.features, prefix=prefix)
    if self._fits(x):
      return x
    # State 1 has the name of timm.
    return self._project(x, name="path" if state == 1 else f"output_{state}")

  def _fits(self, x: jax.Array) -> bool:
    return x.shape[-1] == self.features

  def _project(self, x: jax.Array, *, name: str) -> jax.Array:
    return self.parts.project(x, features=self.features, name=name)


def drop_scales(
  key: jax.Array, *, rate: float | jax.Array, shape: tuple[int, ...]
) -> jax.Array:
  """Returns the `scales` of all cells, with 0 for dropped operations.

  An operation of cell i of n (from 1) is kept with probability 1 - rate i / n,
  for each example, and divided by this probability. All scales are drawn
  together: compiling one generator per cell would be slow.

  Args:
    key: random key.
    rate: probability to drop an operation of the last cell.
    shape: (cells, pairs, 2, b), the shape of the result.
  """
  depth = jnp.arange(1, shape[0] + 1, dtype=jnp.float32) / shape[0]
  keep = 1 - rate * depth.reshape(-1, 1, 1, 1)
  return jnp.where(jax.random.bernoulli(key, keep, shape), 1 / keep, 0.0)

"""Dot products of positional encodings depend on the offset only.

  python experiments/papers/position_offsets.py

The encoding of a position p has the pairs sin(w p), cos(w p) for d/2
frequencies w from 1 to nearly 1/10,000 (Vaswani et al. 2017). For d = 512 and
the positions 0 to 1,023, all dot products are computed, and for each offset k
the matrix M of the least squares PE(p) M = PE(p + k). Rotary positions (Su et
al. 2021), which jaxvision's ViT can use, rotate queries and keys by the same
angles. Random queries and keys are rotated to positions in a 14x14 grid.

How to read the answer: the claim "holds" if (a) the dot products of one offset
differ by less than 1e-9 of the squared length, which is d / 2, (b) M is the
block matrix of the rotations by k w up to 1e-6, and (c) rotated queries and
keys have the same product for all positions with one offset, up to 1e-5 of its
size. It "holds in part" if one or two of these are true.
"""

from typing import Any

import claims
import numpy as np

from jaxvision.layers import positions

CLAIM = claims.Claim(
  sentence="The dot product of two sinusoidal encodings depends on the offset "
  "only, and a shift is a rotation that does not depend on the position.",
  source="Vaswani et al. 2017, Attention Is All You Need, section 3.5",
  published="",
  data="none",
  untested="Whether a network uses it: experiments/papers/positions.py.",
)
_WIDTH, _POSITIONS, _OFFSETS = 512, 1024, (1, 5, 43, 100)


def encode(count: int, width: int) -> np.ndarray:
  """Returns the encodings of the positions 0, 1, ..., (count, width)."""
  frequencies = 10_000.0 ** (-np.arange(0, width, 2) / width)
  angles = np.arange(count)[:, None] * frequencies
  return np.stack([np.sin(angles), np.cos(angles)], -1).reshape(count, width)


def rotation(offset: int, width: int) -> np.ndarray:
  """Returns the matrix with PE(p) M = PE(p + offset)."""
  made = np.zeros((width, width))
  for i, w in enumerate(10_000.0 ** (-np.arange(0, width, 2) / width)):
    c, s = np.cos(offset * w), np.sin(offset * w)
    made[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[c, -s], [s, c]]
  return made


def measure(quick: bool) -> claims.Finding:
  """Computes the dot products, the rotations and rotary products."""
  del quick  # It takes seconds.
  encoded = encode(_POSITIONS, _WIDTH)
  products = encoded @ encoded.T
  spread = max(float(np.ptp(np.diag(products, k))) for k in range(512))
  length = float(np.abs(np.diag(products) - _WIDTH / 2).max())
  wrong = max(
    float(
      np.abs(
        encoded[: _POSITIONS - k] @ rotation(k, _WIDTH) - encoded[k:]
      ).max()
    )
    for k in _OFFSETS
  )
  rotary = _rotary_error()
  parts = (
    spread < 1e-9 * _WIDTH / 2 and length < 1e-9 * _WIDTH,
    wrong < 1e-6,
    rotary < 1e-5,
  )
  return claims.Finding(
    ours=f"spread within an offset {spread:.1g}; error of the rotation "
    f"{wrong:.1g}; relative error of rotary products {rotary:.1g}",
    verdict=claims.verdict(parts),
    seeds=0,
    figure=_draw(products),
  )


def _rotary_error(side: int = 14, width: int = 64) -> float:
  """The largest relative difference of products with one offset."""
  rng = np.random.default_rng(0)
  angles = positions.rotary((side, side), head_size=width)
  query, key = (
    np.asarray(
      positions.rotate(
        np.broadcast_to(each, (1, side * side, 1, width)), angles
      ),
      np.float64,
    )[0, :, 0]
    for each in rng.normal(size=(2, width)).astype(np.float32)
  )
  grid = (query @ key.T).reshape(side, side, side, side)
  size, worst = np.abs(grid).max(), 0.0
  for rows in range(4):
    for columns in range(4):
      same = grid[: side - rows, : side - columns, rows:, columns:]
      diagonal = np.einsum("ijij->ij", same)
      worst = max(worst, float(np.ptp(diagonal)) / size)
  return worst


def _draw(products: np.ndarray) -> Any:
  made, (left, right) = claims.figure(2)
  image = left.imshow(products[:128, :128], interpolation="nearest")
  made.colorbar(image, ax=left)
  left.set_xlabel("position")
  left.set_ylabel("position")
  right.plot(products[200, 200:300])
  right.set_xlabel("offset")
  right.set_ylabel("dot product")
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)

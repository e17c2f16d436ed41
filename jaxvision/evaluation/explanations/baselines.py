"""Maps that do not depend on the network, to compare the methods with."""

from collections.abc import Sequence

import numpy as np

NAMES = ("centre", "random")


def maps(
  name: str, positions: Sequence[int], shape: tuple[int, int], *, seed: int
) -> np.ndarray:
  """The maps of a baseline, (b, h, w) float32.

  Args:
    name: of `NAMES`.
    positions: (b,) of the examples in their split.
    shape: (h, w).
    seed: of the random maps.
  """
  if name == "random":
    return random(positions, shape, seed=seed)
  return np.broadcast_to(centre(shape), (len(positions), *shape))


def centre(shape: tuple[int, int]) -> np.ndarray:
  """A map (h, w) float32 that falls with the distance from the centre.

  A corner has -1. The centre, between pixels if the sides are even, has 0.
  """
  rows, columns = (np.linspace(-1, 1, size) for size in shape)
  distance = np.hypot(rows[:, None], columns[None]) / np.sqrt(2)
  return -distance.astype(np.float32)


def random(
  positions: Sequence[int], shape: tuple[int, int], *, seed: int
) -> np.ndarray:
  """Uniformly random maps (b, h, w) float32 in [0, 1).

  The map of an example depends on the seed and its position only.
  """
  drawn = (
    np.random.default_rng((seed, int(each))).random(shape, np.float32)
    for each in positions
  )
  return np.stack(list(drawn))

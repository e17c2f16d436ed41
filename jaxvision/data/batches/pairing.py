"""Partners: for each example, another image of its class.

In training a partner is drawn from the class with replacement, as in the code
of DAGAN's authors. So an example of a class of n is its own partner with
probability 1 / n. The draw is a hash of (seed, position), see `order`. In
evaluation the partner is the next example of the class, and the first one is
the partner of the last.
"""

import dataclasses

import numpy as np

from jaxvision.data import dataset
from jaxvision.data.batches import order

FIELD = "partner"
_LISTED = 3
# Numbers of a part and of an epoch that no mixture and no training has.
_STREAM = 2**32
_EPOCHS = 2**40


@dataclasses.dataclass(frozen=True)
class Partners:
  """The examples of each class.

  Attributes:
    members: (n,) int64, all examples, ordered by class.
    first: (n,) int64, where the class of each example begins in `members`.
    sizes: (n,) int64, the number of examples of the class of each example.
    places: (n,) int64, the place of each example in `members`.
  """

  members: np.ndarray
  first: np.ndarray
  sizes: np.ndarray
  places: np.ndarray

  def draw(
    self, indices: np.ndarray, positions: np.ndarray, *, seed: int | None
  ) -> np.ndarray:
    """The partners of examples, (rows,) int64.

    Args:
      indices: (rows,) of the examples; the number of all examples is padding,
        and its partner is padding.
      positions: (rows,) of the examples in training.
      seed: of the draws; None is evaluation.
    """
    count = len(self.members)
    known = np.minimum(indices, count - 1)
    first, sizes = self.first[known], self.sizes[known]
    if seed is None:
      steps = (self.places[known] - first + 1) % sizes
    else:
      steps = np.floor(order.jitter(seed, _STREAM, positions) * sizes)
    found = self.members[first + steps.astype(np.int64)]
    return np.where(indices < count, found, count)

  def others(self, index: int) -> list[int]:
    """The other examples of the class of an example, from the next one on."""
    first, size = self.first[index], self.sizes[index]
    steps = self.places[index] - first + np.arange(1, size)
    return self.members[first + steps % size].tolist()


def epochs(positions: np.ndarray) -> np.ndarray:
  """Numbers in place of the epochs, for the transforms of partners."""
  return _EPOCHS + positions


def make(of: dataset.Dataset) -> Partners:
  """The partners of a split; all of its labels are read.

  Raises:
    ValueError: labels are not classes, or a class has one example.
  """
  if of.label_kind != "classes":
    raise ValueError(
      f"the task asks for pairs of one class, and data.labels is "
      f"{of.label_kind!r}; it needs one class per image: data.labels='classes'"
    )
  labels = of.labels()
  classes, inverse, sizes = np.unique(
    labels, return_inverse=True, return_counts=True
  )
  if single := classes[sizes < 2].tolist():
    names = [of.class_names[i] for i in single[:_LISTED]]
    more = ", ..." if len(single) > _LISTED else ""
    raise ValueError(
      f"{len(single)} of the {len(classes)} classes in {of.split!r} of "
      f"{of.name} have one example ({', '.join(names)}{more}), and the task "
      "asks for pairs of one class; add an example to each, or choose a split "
      "without these classes"
    )
  members = np.argsort(labels, kind="stable")
  starts = np.cumsum(sizes) - sizes
  places = np.empty_like(members)
  places[members] = np.arange(len(members))
  return Partners(members, starts[inverse], sizes[inverse], places)

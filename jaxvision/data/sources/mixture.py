"""Weighted mixtures: training draws from several data sets by their weights.

Every range of training steps contains the sources in the proportions of the
weights, up to a few examples (`order`). A source repeats an example only after
all its examples were used. An epoch has as many examples as all sources
together.

Classes are joined by name: the classes of the first source keep their numbers,
and additional classes of the other sources follow in their order.
data.num_classes checks the result.
"""

import dataclasses
import logging
import math
from collections.abc import Sequence
from typing import Any

from jaxvision.data import dataset
from jaxvision.data.sources import labels, source

_EXPECTED = (
  "(weight, kind, name, split), as in (3.0, 'folder', 'photos', 'train')"
)


@dataclasses.dataclass(frozen=True)
class Part:
  """A source of a mixture.

  Attributes:
    weight: positive; the share is the weight divided by the sum of all weights.
    source: the data set.
    split: the part of the source that belongs to the split "train" of the
      mixture, in the slicing syntax of TFDS.
  """

  weight: float
  source: source.Source
  split: str


def parts(of: source.Source) -> list[Part]:
  """The listed sources of a mixture.

  Raises:
    ValueError: there are no sources, or an entry is invalid.
  """
  if not of.sources:
    raise ValueError(
      f"data.kind 'mixture' needs data.sources, a tuple of {_EXPECTED}"
    )
  return [_part(each, of) for each in of.sources]


def join_classes(members: Sequence[dataset.Dataset]) -> tuple[str, ...]:
  """The names of all classes without repeats, in order of first occurrence."""
  named, numbered = [], []
  for each in members:
    numbers = all(map(labels.is_number, each.class_names))
    (numbered if numbers else named).append(each)
  if named and numbered:
    logging.getLogger(__name__).warning(
      "the classes of %s are numbers, but those of %s have names: joined by "
      "name, they have no class in common; name the classes of both",
      numbered[0].name,
      named[0].name,
    )
  every = (name for each in members for name in each.class_names)
  return tuple(dict.fromkeys(every))


def mix(
  parts: Sequence[tuple[dataset.Dataset, float]],
  *,
  class_names: tuple[str, ...],
  split: str,
) -> dataset.Dataset:
  """Combines data sets into one, from which training draws by weights.

  Args:
    parts: (data set, weight).
    class_names: from `join_classes`.
    split: the name of the result.

  Returns:
    The examples of all data sets, one after another.
  """
  members = [
    dataset.relabel(each, class_names=class_names) for each, _ in parts
  ]
  joined = dataset.join(
    [(each, 0, each.num_examples) for each in members], split=split
  )
  sizes = [each.num_examples for each in members]
  weights = [weight for _, weight in parts]
  return dataclasses.replace(
    joined,
    name=" + ".join(each.name for each in members),
    mixture=tuple(zip(sizes, weights, strict=True)),
  )


def _part(entry: Any, of: source.Source) -> Part:
  wrong = ValueError(f"data.sources has {entry!r}; expected {_EXPECTED}")
  if not isinstance(entry, Sequence) or len(entry) != 4:
    raise wrong
  weight, kind, name, split = entry
  number = isinstance(weight, int | float) and not isinstance(weight, bool)
  if not number or not all(isinstance(each, str) for each in entry[1:]):
    raise wrong
  if not 0 < weight < math.inf:
    raise ValueError(
      f"data.sources has the weight {weight}; it must be above 0"
    )
  if kind == "mixture":
    raise ValueError("data.sources has a mixture; list its sources instead")
  whole = dataclasses.replace(
    of, kind=kind, name=name, num_classes=0, sources=()
  )
  return Part(weight, whole, split)

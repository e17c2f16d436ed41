"""Weighted mixtures: training draws from several data sets by their weights.

Every stretch of training has the shares of the weights, give or take a few
examples (`order`), and each source goes through all of its examples before it
repeats one. An epoch is as many examples as the sources have together.

Classes are joined by their names: those of the first source keep their
numbers, and what the others have more comes after them, in their order. Where
the result is not what was meant, data.num_classes says so.
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
  """One of the sources of a mixture.

  Attributes:
    weight: positive; its share is its weight by the sum of all.
    source: the data set.
    split: what the source gives to the split "train" of the mixture, in the
      slicing syntax of TFDS.
  """

  weight: float
  source: source.Source
  split: str


def parts(of: source.Source) -> list[Part]:
  """The sources that a mixture lists.

  Raises:
    ValueError: none, or something else.
  """
  if not of.sources:
    raise ValueError(
      f"data.kind 'mixture' needs data.sources, a tuple of {_EXPECTED}"
    )
  return [_part(each, of) for each in of.sources]


def join_classes(members: Sequence[dataset.Dataset]) -> tuple[str, ...]:
  """Every name once, where it comes first."""
  named, numbered = [], []
  for each in members:
    numbers = all(map(labels.is_number, each.class_names))
    (numbered if numbers else named).append(each)
  if named and numbered:
    logging.getLogger(__name__).warning(
      "the classes of %s are numbers, those of %s have names: joined by their "
      "names, they share no class; name the classes of both",
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
  """Data sets as one, from which training draws by their weights.

  Args:
    parts: (data set, weight).
    class_names: from `join_classes`.
    split: how the result is called.

  Returns:
    The examples of all, one data set after the other.
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

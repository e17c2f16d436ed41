"""ImageNet-9: nine classes that are made of 370 classes of ImageNet.

Xiao, Engstrom, Ilyas and Madry 2020 (arXiv 2006.09994); the map is that of
their repository MadryLab/backgrounds_challenge, in_to_in9.json. It lacks 171
(Italian greyhound) and 172 (whippet), although they are dogs, and 281 to 285
(cats), although they are carnivores. The classes of ImageNet are numbered in
the order of their WordNet ids.
"""

import re
from collections.abc import Sequence

import numpy as np

NUM_IMAGENET = 1000
# The last words of the published folders, such as "02_wheeled vehicle".
CLASSES = (
  *("dog", "bird", "vehicle", "reptile", "carnivore", "insect"),
  *("instrument", "primate", "fish"),
)
# The classes of ImageNet in each class: numbers, and ranges with both ends.
_RANGES = (
  "151-170 173-268",
  "7-24 87-100 127-146",
  "407-408 428 436 444 468 511 547 555 561 565 569 573 586 603 609 612 627 656 "
  "661 665 670-671 675 690 705 717 734 751 757 791 802-803 817 820 829 847 864 "
  "866-867 870 880",
  "33-68",
  "269-280 286-299 356-362 387-388",
  "300-326",
  "401-402 420 432 486 494 513 541 546 558 566 577 579 593-594 641-642 683-684 "
  "687 699 776 822 875 881 889",
  "365-384",
  "0-6 389-397",
)
_NUMBER = re.compile(r"^\d+_")
_SHOWN = 5  # classes in a message


def class_map() -> np.ndarray:
  """The class of ImageNet-9 of each class of ImageNet, (1000,) int32.

  -1 for the 630 classes that belong to none.
  """
  found = np.full(NUM_IMAGENET, -1, np.int32)
  for label, text in enumerate(_RANGES):
    for each in text.split():
      first, _, last = each.partition("-")
      found[int(first) : int(last or first) + 1] = label
  return found


def answer_map(network: Sequence[str], names: Sequence[str]) -> np.ndarray:
  """The label of each logit of a network in a data set, (k,) int32.

  -1, which equals no label, for a class that the data do not have. Names are
  compared as they are. If they differ, the number before a name of the data, as
  in "00_dog", does not count, and then not in the network either.

  - A network that knows all classes of the data: its classes are found by name.
  - ImageNet's 1000 classes, and data with the classes of ImageNet-9: the map
    above. The prediction is the largest of all 1000 logits.
  - A network whose classes have numbers as names: the order of the data.

  Args:
    network: the names of its classes.
    names: of the classes of the data, in the order of their labels.

  Raises:
    ValueError: the network does not know these classes.
  """
  for own, theirs in (
    (network, names),
    (network, _bare(names)),
    (_bare(network), _bare(names)),
  ):
    labels = {name: label for label, name in enumerate(theirs)}
    if len(labels) == len(theirs) and labels.keys() <= set(own):
      return np.asarray([labels.get(name, -1) for name in own], np.int32)
  if len(network) == NUM_IMAGENET and _are_nine(names):
    return class_map()
  if list(network) == [str(number) for number in range(len(names))]:
    return np.arange(len(network), dtype=np.int32)
  raise ValueError(
    f"the data have the classes {_listed(names)}, and the network "
    f"{_listed(network)}; expected a network with the same classes, or one of "
    f"ImageNet's {NUM_IMAGENET} for data with those of ImageNet-9: "
    f"{', '.join(CLASSES)}"
  )


def _bare(names: Sequence[str]) -> list[str]:
  """The names without the numbers before them."""
  return [_NUMBER.sub("", each) for each in names]


def _are_nine(names: Sequence[str]) -> bool:
  return len(names) == len(CLASSES) and all(
    name.endswith(known) for name, known in zip(names, CLASSES, strict=True)
  )


def _listed(names: Sequence[str]) -> str:
  more = f", ... ({len(names)})" if len(names) > _SHOWN else ""
  return ", ".join(names[:_SHOWN]) + more

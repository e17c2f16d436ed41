"""Which network a file holds, and who laid it out."""

import dataclasses
import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from jaxvision import models, spelling
from jaxvision.layers import hybrid_stem
from jaxvision.weights import bit, convnets, mixer, vit
from jaxvision.weights.layout import Layout

LAYOUTS: tuple[Layout, ...] = (
  *bit.LAYOUTS,
  *vit.LAYOUTS,
  *mixer.LAYOUTS,
  *convnets.LAYOUTS,
)
# Running averages are no parameters; positions are as many as patches.
_LEFT_OUT = re.compile(
  r".*(running_mean|running_var|/mean|/var|pos_emb\w*|position_emb\w*)$"
)
_CLASSES = 1000  # of the parameters that a ModelSpec counts


@dataclasses.dataclass(frozen=True)
class Recognized:
  """What a file turned out to be.

  Attributes:
    layout: who laid it out.
    names: from the key that the layout uses to that of the file.
    arrays: by the key that the layout uses.
  """

  layout: Layout
  names: dict[str, str]
  arrays: dict[str, np.ndarray]


def recognize(arrays: Mapping[str, np.ndarray], *, source: str) -> Recognized:
  """Finds the layout by the keys.

  Args:
    arrays: of a file, by its keys.
    source: what to call it in errors.

  Raises:
    ValueError: the keys are of no layout; shows some.
  """
  # The last that fits: special forms stand behind the plain ones.
  for layout in reversed(LAYOUTS):
    cleaned = {layout.clean(key): key for key in arrays}
    if any(re.fullmatch(layout.sign, key) for key in cleaned if key):
      cleaned.pop(None, None)
      found = {key: arrays[name] for key, name in cleaned.items()}
      return Recognized(layout, cleaned, found)
  raise ValueError(
    f"{source} is laid out like no file that is known here; it has "
    f"{len(arrays)} arrays: {', '.join(sorted(arrays)[:6])}, ..."
  )


def classes(found: Recognized) -> int | None:
  """Returns the length of the logits; None without a classifier."""
  bias = found.arrays.get(_head_keys(found.layout)[1])
  return None if bias is None else bias.size


def check_name(found: Recognized, name: str, *, source: str) -> None:
  """Raises a ValueError if a file is of another family than the model."""
  if name not in models.names():
    raise ValueError(spelling.unknown("model", name, models.names()))
  if name not in family(found.layout):
    raise ValueError(
      f"{source} holds no {name}: it is laid out as {found.layout.name} lay "
      f"out {', '.join(found.layout.models)}; {guess(found)}"
    )


def guess(found: Recognized) -> str:
  """Returns a sentence on which model it is."""
  (name, difference), *_ = candidates(found)
  if difference == 0:
    return f"by its number of parameters it is {name}"
  return (
    f"the nearest model is {name}, which has {abs(difference):,} parameters "
    f"{'more' if difference > 0 else 'fewer'}"
  )


def family(layout: Layout) -> list[str]:
  """Returns the models that a layout is for."""
  return [n for pattern in layout.models for n in models.names(pattern)]


def candidates(found: Recognized) -> list[tuple[str, int]]:
  """Returns the models of the family, the most similar first.

  Each with the parameters that it has more than the file, all without
  classifier, positions and running averages.
  """
  head = _head_keys(found.layout)
  body = sum(
    array.size
    for key, array in found.arrays.items()
    if key not in head and not _LEFT_OUT.match(key)
  )
  kernel, bias = (found.arrays.get(key) for key in head)
  # The width that the classifier reads.
  inputs = 0 if kernel is None or bias is None else kernel.size // bias.size
  differences = []
  for name in family(found.layout):
    own = models.spec(name).parameters - _CLASSES * (inputs + 1)
    own -= _positions(name)
    differences.append((name, own - body))
  return sorted(differences, key=lambda each: (abs(each[1]), each[0]))


def _head_keys(layout: Layout) -> tuple[str, str]:
  """Returns the keys of the classifier's kernel and bias."""
  head = f"params/{layout.head}"
  return (
    layout.place(f"{head}/kernel", (1, 1)).key,
    layout.place(f"{head}/bias", (1,)).key,
  )


def _positions(name: str) -> int:
  """Returns how many parameters are learned positions, at the native size."""
  if not name.startswith("vit_"):
    return 0
  model = models.create(name, num_classes=1)
  patches = (models.spec(name).image_size // stride(model)) ** 2
  return (patches + 1) * model.width


def stride(model: nn.Module) -> int:
  """Returns the pixels along a side for which a ViT has one token."""
  if model.stem_units is None:
    return model.patch_size
  return model.patch_size * hybrid_stem.stride(model.stem_units)

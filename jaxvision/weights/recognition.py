"""Which network a file holds, and who laid it out."""

import dataclasses
import logging
import re
from collections.abc import Iterable, Mapping

import flax.linen as nn

from jaxvision import files, lookup, models
from jaxvision.layers import hybrid_stem
from jaxvision.weights import wrappers
from jaxvision.weights.families import bit, convnets, mixer, vit
from jaxvision.weights.layout import Layout, Shaped
from jaxvision.weights.notes import Note

_LOGGER = logging.getLogger(__name__)

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
    arrays: shapes and types by the key that the layout uses.
    prefix: of the keys of the file, which is left out; mostly "".
  """

  layout: Layout
  names: dict[str, str]
  arrays: dict[str, Shaped]
  prefix: str = ""


def recognize(
  arrays: Mapping[str, Shaped], *, source: str, known: Layout | None = None
) -> Recognized:
  """Finds the layout by the keys.

  Args:
    arrays: shapes and types of a file, by its keys.
    source: what to call it in errors.
    known: the layout that the file states; None is by its keys.

  Raises:
    ValueError: the keys are of no layout; shows some. Or the file holds several
      networks.
  """
  try:
    prefix, passed = wrappers.find(arrays, lambda keys: bool(_fitting(keys)))
  except ValueError as error:
    raise ValueError(f"{source}: {error}") from error
  if prefix:
    _LOGGER.warning(
      "%s: the prefix %s of its keys is left out%s",
      *(source, files.printable(prefix)),
      f", and {len(passed)} arrays that have another" if passed else "",
    )
  # What has another prefix keeps it, and is left over.
  bare = {
    key.removeprefix(prefix): key for key in arrays if key not in set(passed)
  }
  fitting = [known] if known else _fitting(bare)
  if not fitting:
    shown = files.printable(", ".join(sorted(arrays)[:6]))
    raise ValueError(
      f"{source} is laid out like no file that is known here; it has "
      f"{len(arrays)} arrays: {shown}, ..."
    )
  cleaned = {fitting[0].clean(key): name for key, name in bare.items()}
  cleaned.pop(None, None)
  found = {key: arrays[name] for key, name in cleaned.items()}
  return Recognized(fitting[0], cleaned, found, prefix)


def _fitting(keys: Iterable[str]) -> list[Layout]:
  """Returns the layouts that have such keys, special forms first."""
  keys = list(keys)
  return [
    # Special forms stand behind the plain ones.
    layout
    for layout in reversed(LAYOUTS)
    if any(
      re.fullmatch(layout.sign, cleaned)
      for key in keys
      if (cleaned := layout.clean(key))
    )
  ]


def classes(found: Recognized) -> int | None:
  """Returns the length of the logits; None without a classifier."""
  kernel, bias = (found.arrays.get(key) for key in _head_keys(found.layout))
  if bias is not None:
    return bias.size
  if kernel is None or len(kernel.shape) < 2:
    return None
  # Where there is no bias, one of the axes is the classes'.
  outputs = found.layout.place(f"params/{found.layout.head}/kernel", (1, 2))
  return kernel.shape[outputs.shape.index(2)]


def check_name(found: Recognized, name: str, *, source: str) -> None:
  """Raises a ValueError if a file is of another family than the model."""
  if name not in models.names():
    raise ValueError(lookup.unknown("model", name, models.names()))
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


def stated(note: Note) -> Layout | None:
  """Returns the layout that a file says it has; None if it does not."""
  if note.model not in models.names():
    return None
  named = [each for each in layouts_of(note.model) if each.name == note.layout]
  return named[0] if named else None


def layouts_of(name: str) -> list[Layout]:
  """Returns the layouts of a model."""
  return [each for each in LAYOUTS if name in family(each)]


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
  known = kernel is not None and bias is not None and bias.size
  inputs = kernel.size // bias.size if known else 0
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

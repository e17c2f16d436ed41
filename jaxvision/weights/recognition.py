"""Recognition of the layout and the model of a weight file."""

import dataclasses
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from jaxvision import files, lookup, models
from jaxvision.weights import wrappers
from jaxvision.weights.families import bit, convnets, efficientnet, mixer, vit
from jaxvision.weights.layout import Layout, Shaped
from jaxvision.weights.notes import Note

_LOGGER = logging.getLogger(__name__)

LAYOUTS: tuple[Layout, ...] = (
  *bit.LAYOUTS,
  *vit.LAYOUTS,
  *mixer.LAYOUTS,
  *convnets.LAYOUTS,
  *efficientnet.LAYOUTS,
)
# Not counted as parameters: running averages, and positions (as patches vary).
_NOT_COUNTED = re.compile(
  r".*(running_mean|running_var|moving_mean|moving_variance|/mean|/var|"
  r"pos_emb\w*|position_emb\w*)$"
)
_LISTED = 6  # groups of keys in a message
_CLASSES = 1000  # classes in the parameter count of a ModelSpec


@dataclasses.dataclass(frozen=True)
class Recognized:
  """A file with a known layout.

  Attributes:
    layout: the layout.
    names: {key of the layout: key of the file}.
    arrays: {key of the layout: shape and type}.
    prefix: removed prefix of the keys of the file; mostly "".
  """

  layout: Layout
  names: dict[str, str]
  arrays: dict[str, Shaped]
  prefix: str = ""


def recognize(
  arrays: Mapping[str, Shaped],
  *,
  source: str,
  known: Layout | None = None,
  parts: Collection[str] = (),
) -> Recognized:
  """Recognises the layout of a file from its keys.

  Args:
    arrays: {key: shape and type} of the file.
    source: name of the file, for messages.
    known: the layout that the file states; None to recognise it.
    parts: names of nested dicts of the file.

  Raises:
    ValueError: the layout is unknown (the message shows some keys), or the file
      has several networks.
  """
  try:
    prefix, passed = wrappers.find(
      arrays, lambda keys: bool(_fitting(keys)), parts=parts
    )
  except ValueError as error:
    raise ValueError(f"{source}: {error}") from error
  said = []
  if prefix:
    said.append(f"the prefix {files.printable(prefix)} of its keys is removed")
  if passed:
    said.append(f"{len(passed)} other arrays are skipped ({_groups(passed)})")
  if said:
    _LOGGER.warning("%s: %s", source, ", and ".join(said))
  # Keys with another prefix keep it, and are unused.
  bare = {
    key.removeprefix(prefix): key for key in arrays if key not in set(passed)
  }
  fitting = [known] if known else _fitting(bare)
  if not fitting:
    shown = files.printable(", ".join(sorted(arrays)[:6]))
    raise ValueError(
      f"{source} has an unknown layout; it has {len(arrays)} arrays: {shown}, "
      "..."
    )
  cleaned = _cleaned(fitting[0], bare, source=source)
  found = {key: arrays[name] for key, name in cleaned.items()}
  return Recognized(fitting[0], cleaned, found, prefix)


def _cleaned(
  layout: Layout, bare: Mapping[str, str], *, source: str
) -> dict[str, str]:
  """Returns {key of the layout: key of the file}.

  Two keys can have the same key in the layout, as in TensorFlow an array and
  its moving average. The average, which has the longer key, is used.
  """
  used: dict[str, str] = {}
  skipped = 0
  for key in bare:
    cleaned = layout.clean(key)
    if cleaned is not None:
      skipped += cleaned in used
      used[cleaned] = max(used.get(cleaned, ""), key, key=len)
  if skipped:
    _LOGGER.warning(
      "%s: the moving averages of %d arrays are used, and these arrays are "
      "skipped",
      *(source, skipped),
    )
  return {cleaned: bare[key] for cleaned, key in used.items()}


def _groups(keys: Iterable[str]) -> str:
  """Returns the numbers of keys with the same first name."""
  counts = Counter(re.split("[./]", key)[0] for key in keys)
  listed = ", ".join(
    f"{files.printable(name)}: {count}"
    for name, count in counts.most_common(_LISTED)
  )
  return listed + (", ..." if len(counts) > _LISTED else "")


def _fitting(keys: Iterable[str]) -> list[Layout]:
  """Returns the layouts with such keys, special layouts first."""
  keys = list(keys)
  return [
    # In LAYOUTS, special layouts come after plain ones.
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
  # Without a bias, the place of the kernel shows the axis of the classes.
  outputs = found.layout.place(f"params/{found.layout.head}/kernel", (1, 2))
  return kernel.shape[outputs.shape.index(2)]


def check_name(found: Recognized, name: str, *, source: str) -> None:
  """Raises ValueError if the file and the model have different families."""
  if name not in models.names():
    raise ValueError(lookup.unknown("model", name, models.names()))
  if name not in family(found.layout):
    raise ValueError(
      f"{source} is not a {name}: it has the layout {found.layout.name} of "
      f"{', '.join(found.layout.models)}; {guess(found)}"
    )


def guess(found: Recognized) -> str:
  """Returns a sentence with the most similar model."""
  (name, difference), *_ = candidates(found)
  if difference == 0:
    return f"by its number of parameters it is {name}"
  return (
    f"the nearest model is {name}, which has {abs(difference):,} parameters "
    f"{'more' if difference > 0 else 'fewer'}"
  )


def stated(note: Note) -> Layout | None:
  """Returns the layout that the note states; None if it states none."""
  if note.model not in models.names():
    return None
  named = [each for each in layouts_of(note.model) if each.name == note.layout]
  return named[0] if named else None


def layouts_of(name: str) -> list[Layout]:
  """Returns the layouts of a model."""
  return [each for each in LAYOUTS if name in family(each)]


def family(layout: Layout) -> list[str]:
  """Returns the models of a layout."""
  return [n for pattern in layout.models for n in models.names(pattern)]


def candidates(found: Recognized) -> list[tuple[str, int]]:
  """Returns (model, difference of parameters) of the family, nearest first.

  A positive difference means that the model has more parameters than the file.
  Classifier, positions and running averages are not counted.
  """
  head = _head_keys(found.layout)
  body = sum(
    array.size
    for key, array in found.arrays.items()
    if key not in head and not _NOT_COUNTED.match(key)
  )
  kernel, bias = (found.arrays.get(key) for key in head)
  # Number of inputs of the classifier.
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
  """Returns the number of parameters of learned positions, at native size."""
  if not name.startswith("vit_"):
    return 0
  model = models.create(name, num_classes=1)
  patches = (models.spec(name).image_size // model.stride) ** 2
  return (patches + 1) * model.width

"""Class labels: numbers or names, the same for all splits of a data set.

Labels are integers from 0, the numbers of classes, or text, the names of
classes. Text is compared in its composed form (NFC), without surrounding space.
Class names must be distinct.
"""

import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

# {split: (n,) integers or text}
BySplit = Mapping[str, np.ndarray]
# (split, row) -> the position of the label, for messages
Locate = Callable[[str, int], str]

# Label numbers up to this one are always accepted. ImageNet-21k, the image data
# set with the most classes, has 21,843.
_PLAUSIBLE = 30_000
_PER_USED = 4  # maximum ratio of the number of classes to the used classes
_MOST = 10_000_000  # maximum number of classes
_MANY = 100  # with more classes, warn if fewer than half have an example
_LONGEST = 1000  # characters of a label
_LISTED = 5
_NUMBER = re.compile(r"[+-]?[0-9]+")
_NOT_NAMES = ("true", "false", "null")


def clean(text: str) -> str:
  """The text of a label or name in comparable form: composed and stripped."""
  return unicodedata.normalize("NFC", text.lstrip("\ufeff")).strip()


def is_number(text: str) -> bool:
  """Whether a text is an integer in decimal digits."""
  return _NUMBER.fullmatch(text) is not None


def why_none(text: str) -> str:
  """The reason why a clean text is not a label; empty if it is one."""
  if not text:
    return "is empty"
  if is_number(text):
    return ""
  if len(text) > _LONGEST:
    return f"has {len(text):,} characters"
  if any(unicodedata.category(each) in ("Cc", "Cs") for each in text):
    return f"is {text[:40]!r}, of several lines or with control characters"
  if text.lower() in _NOT_NAMES or text[0] in "[{" or _is_float(text):
    return f"is {text[:40]!r}"
  return ""


def check_names(names: Iterable[str], *, where: str) -> tuple[str, ...]:
  """Clean names of classes, in their order.

  Args:
    names: in the order of the labels.
    where: the origin of the names, for messages.

  Raises:
    ValueError: a name is empty or not text, or two names are equal.
  """
  cleaned = tuple(map(clean, names))
  first: dict[str, int] = {}
  for number, name in enumerate(cleaned):
    if not name or any(unicodedata.category(c) == "Cs" for c in name):
      raise ValueError(
        f"{where}: the name of class {number} is {name!r}; expected text in "
        "UTF-8 that is not empty"
      )
    if name in first:
      raise ValueError(
        f"{where}: the classes {first[name]} and {number} have the same name "
        f"{name!r}; give each class its own name"
      )
    first[name] = number
  return cleaned


def names_of(array: np.ndarray, *, where: str) -> tuple[str, ...]:
  """The class names in an array, (k,) text or numbers."""
  if array.ndim != 1 or array.dtype.kind not in "USTiu":
    raise ValueError(
      f"{where}: class_names are {array.dtype} of shape {array.shape}; "
      "expected text of shape (classes,)"
    )
  names = array.tolist()
  if array.dtype.kind == "S":
    try:
      names = [name.decode() for name in names]
    except UnicodeDecodeError as error:
      raise ValueError(f"{where}: class_names: {error}") from error
  return check_names(map(str, names), where=where)


def unify(labels: BySplit, *, where: str) -> dict[str, np.ndarray]:
  """Converts the labels of all splits to int64, or all to clean text.

  Raises:
    ValueError: labels have other types, or some splits have numbers and others
      text.
  """
  kinds = {
    split: _kind(each, f"{where}, split {split!r}")
    for split, each in labels.items()
  }
  if len(set(kinds.values())) > 1:
    written = ", ".join(f"{split}: {kind}" for split, kind in kinds.items())
    raise ValueError(
      f"{where}: some splits have numbers as labels, others text ({written}); "
      "use one of the two for all splits"
    )
  if "text" in kinds.values():
    return {split: _clean_all(each) for split, each in labels.items()}
  return {
    split: _integers(each, f"{where}, split {split!r}")
    for split, each in labels.items()
  }


def numerals(texts: BySplit, *, locate: Locate) -> dict[str, np.ndarray]:
  """Converts text labels to int64 if all of them are numbers.

  Warns if only a few of them are not numbers.

  Args:
    texts: the distinct labels of each split.
    locate: (split, index of the text) -> its position, for messages.

  Raises:
    ValueError: a number of more than 18 digits.
  """
  others = [
    (split, row)
    for split, each in texts.items()
    for row, text in enumerate(each.tolist())
    if not is_number(text)
  ]
  total = sum(len(each) for each in texts.values())
  if others:
    if total > len(others):
      split, row = others[0]
      logging.getLogger(__name__).warning(
        "%d of %d distinct labels are not numbers, such as %r (%s): all "
        "labels of all splits are treated as names of classes",
        len(others),
        total,
        str(texts[split][row]),
        locate(split, row),
      )
    return dict(texts)
  for split, each in texts.items():
    for row, text in enumerate(each.tolist()):
      if len(text) > 18:
        raise ValueError(_too_large(text, locate(split, row)))
  return {split: each.astype(np.int64) for split, each in texts.items()}


def name_classes(
  labels: BySplit, *, locate: Locate, num_classes: int = 0
) -> tuple[str, ...]:
  """The class names, if the data set does not provide them.

  Args:
    labels: of each split, from `unify` or `numerals`.
    locate: see above.
    num_classes: of integers; 0 uses the largest label.

  Returns:
    The distinct texts, sorted, or the numbers of the classes.

  Raises:
    ValueError: a text that is not a label, a negative number, or a number too
      large to be plausible.
  """
  if any(each.dtype.kind in "UT" for each in labels.values()):
    return _names(labels, locate)
  if num_classes > _MOST:
    raise ValueError(
      f"data.num_classes is {num_classes:,}; expected at most {_MOST:,}"
    )
  if num_classes:
    return tuple(map(str, range(num_classes)))
  every = np.unique(np.concatenate([each.ravel() for each in labels.values()]))
  count = int(every[-1]) + 1 if len(every) else 0
  if len(every) and every[0] < 0:
    where = locate(*_where(labels, int(every[0])))
    raise ValueError(
      f"{where}: the label is {every[0]}; labels must be numbered from 0, and "
      "examples without a label must be removed"
    )
  split, row = _where(labels, count - 1)
  if count > min(max(_PLAUSIBLE, _PER_USED * len(every)), _MOST):
    raise ValueError(_too_large(count - 1, locate(split, row), len(every)))
  if count > max(_MANY, 2 * len(every)):
    logging.getLogger(__name__).warning(
      "the largest label is %d (%s), which makes %d classes, but only %d of "
      "them have an example; if this label is wrong, correct it or set "
      "data.num_classes",
      count - 1,
      locate(split, row),
      count,
      len(every),
    )
  return tuple(map(str, range(count)))


def number(
  labels: np.ndarray,
  *,
  class_names: Sequence[str],
  where: str,
  locate: Callable[[int], str] | None = None,
) -> np.ndarray:
  """Converts labels to the numbers of their classes.

  Args:
    labels: (n,) integers or clean text.
    class_names: the known classes.
    where: the origin of the labels, for messages.
    locate: row -> the position of the label; None gives the example number.

  Returns:
    (n,) int64.

  Raises:
    ValueError: a label is not a known class.
  """
  locate = locate or "example {}".format
  if labels.dtype.kind in "UT":
    numbers = {name: number for number, name in enumerate(class_names)}
    texts = [str(text) for text in labels.tolist()]
    found = np.asarray([numbers.get(text, -1) for text in texts], np.int64)
    wrong = np.flatnonzero(found < 0)
    if wrong.size:
      unknown = sorted({texts[row] for row in wrong.tolist()})
      raise ValueError(
        f"{where}: the labels {unknown[:_LISTED]} are not among the classes "
        f"{list(class_names[:20])} ({locate(int(wrong[0]))}); correct the "
        "labels or class_names"
      )
    return found
  wrong = np.flatnonzero((labels < 0) | (labels >= len(class_names)))
  if wrong.size:
    raise ValueError(
      f"{where}: label {labels[wrong[0]]} of {locate(int(wrong[0]))} is "
      f"outside the {len(class_names)} classes 0..{len(class_names) - 1} "
      f"({wrong.size} such labels); correct the labels, class_names or "
      "data.num_classes"
    )
  return labels.astype(np.int64)


def _names(labels: BySplit, locate: Locate) -> tuple[str, ...]:
  for split, each in labels.items():
    different, rows = np.unique(each, return_index=True)
    for text, row in zip(different.tolist(), rows.tolist(), strict=True):
      if why := why_none(text):
        raise ValueError(
          f"{locate(split, row)}: the label {why}; expected an integer from 0 "
          "or the name of a class"
        )
  return tuple(sorted({t for each in labels.values() for t in each.tolist()}))


def _kind(labels: np.ndarray, where: str) -> str:
  if labels.dtype.kind in "UT":
    return "text"
  if labels.dtype.kind not in "iu":
    raise ValueError(
      f"{where}: labels are {labels.dtype}; expected integers, or text"
    )
  return "numbers"


def _clean_all(labels: np.ndarray) -> np.ndarray:
  different, places = np.unique(labels, return_inverse=True)
  cleaned = np.asarray([clean(text) for text in different.tolist()], np.str_)
  return cleaned[places].reshape(labels.shape) if len(different) else labels


def _integers(labels: np.ndarray, where: str) -> np.ndarray:
  if labels.dtype.kind == "u" and labels.size:
    largest = labels.max()
    if largest > np.iinfo(np.int64).max:
      raise ValueError(_too_large(largest, where))
  return labels.astype(np.int64)


def _where(labels: BySplit, value: int) -> tuple[str, int]:
  for split, each in labels.items():
    rows = np.flatnonzero(each == value)
    if rows.size:
      return split, int(rows[0])
  return next(iter(labels)), 0


def _too_large(label: object, where: str, used: int = 0) -> str:
  counted = f", but only {used} distinct labels are used" if used else ""
  return (
    f"{where}: the label {label} would need as many classes{counted}; correct "
    "it, or set data.num_classes if there are this many"
  )


def _is_float(text: str) -> bool:
  try:
    float(text)
  except ValueError:
    return False
  return True

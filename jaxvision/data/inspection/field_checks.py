"""Checks of the fields of a data set: masks and captions."""

import numpy as np

from jaxvision.data import dataset, decoding
from jaxvision.data.inspection import survey
from jaxvision.data.inspection.finding import Finding

_LISTED = 3


def check_fields(surveys: list[survey.Survey]) -> list[Finding]:
  """Masks that cannot be read or have another size, and empty texts."""
  findings = []
  for each in surveys:
    for name, field in each.split.fields().items():
      if wrong := _problems(each, field):
        shown = list(wrong.items())[:_LISTED]
        listed = "; ".join(f"{id_}: {why}" for id_, why in shown)
        text = (
          f"the {name} of {len(wrong)} of {len(each.indices):,} examples of "
          f"{each.split.split} is wrong: {listed}"
        )
        remedy = f"correct them, or use tasks without the field {name!r}"
        findings.append(Finding("warning", text, remedy))
  return findings


def _problems(each: survey.Survey, field: dataset.Field) -> dict[str, str]:
  """id -> what is wrong with the field of an example whose image is right."""
  found = {}
  for row, index in enumerate(each.indices.tolist()):
    height, width = each.sizes[row].tolist()
    reason = _problem(field, index, (height, width)) if height else ""
    if reason:
      found[each.split.ids([index])[0]] = reason
  return found


def _problem(field: dataset.Field, index: int, size: tuple[int, int]) -> str:
  try:
    (value,) = field.read([index])
    if field.kind == "text":
      return "" if value.strip() else "an empty text"
    if field.kind == "array":
      return "" if np.isfinite(value).all() else f"the numbers are {value}"
    mask = decoding.as_mask(value)
  except (OSError, ValueError) as error:
    return str(error)
  if mask.shape[:2] == size:
    return ""
  return f"{mask.shape[0]}x{mask.shape[1]} pixels of an image of " + "x".join(
    map(str, size)
  )

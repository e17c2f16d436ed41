"""Checks for problems of a data set: in its files, images and classes.

A check is a function from surveys, one per split, to findings. The limits are
heuristics: a finding deserves a look but is not always an error.
"""

import os
from collections.abc import Callable, Sequence

import numpy as np

from jaxvision.data import sources
from jaxvision.data.inspection import (
  field_checks,
  finding,
  integrity,
  survey,
)
from jaxvision.data.sources import prepared

Finding = finding.Finding
Surveys = Sequence[survey.Survey]

_SAMPLED = 256  # images of each large split that are examined by default
_ALL_BELOW = 20_000  # smaller splits are always examined completely
_LISTED = 3  # images or classes in one finding
_TINY, _HUGE = 16, 4096  # pixels of a side
_WASTEFUL = 1_000_000  # pixels of a typical image, far more than models use
_TOLERATED = 0.01  # fraction of a split's images that another split repeats
_IMBALANCE = 10  # ratio of the largest class to the smallest class


def diagnose(
  of: sources.Source, *, channels: int, every: bool = False
) -> list[Finding]:
  """Examines a data set.

  Args:
    of: the data set.
    channels: of the decoded images, 3 or 1.
    every: examines all images instead of a sample of large splits.

  Returns:
    The findings, the most severe first.
  """
  findings = []
  if of.kind == "tfds":
    try:
      found = prepared.find(of.name, data_dir=of.data_dir)
    except (OSError, ValueError) as error:
      return [Finding("error", str(error))]
    findings = integrity.check_files(found)
  if not any(each.severity == "error" for each in findings):
    findings += _examine(of, channels, every)
  rank = finding.SEVERITIES.index
  return sorted(findings, key=lambda each: rank(each.severity))


def _examine(of: sources.Source, channels: int, every: bool) -> list[Finding]:
  try:
    splits = [
      sources.open_dataset(of, split) for split in sources.split_sizes(of)
    ]
    surveys = [
      survey.make_survey(
        split,
        most=None if every or split.num_examples < _ALL_BELOW else _SAMPLED,
        channels=channels,
        threads=min(8, os.cpu_count() or 1),
      )
      for split in splits
    ]
  except (OSError, ValueError) as error:
    return [Finding("error", str(error))]
  return [each for check in CHECKS for each in check(surveys)]


def check_readable(surveys: Surveys) -> list[Finding]:
  """Images that cannot be decoded."""
  return [
    Finding(
      "error",
      f"{len(each.unreadable)} of {len(each.indices):,} images of "
      f"{each.split.split} cannot be read: {_listed(each.unreadable)}",
      "replace or remove them; runs skip them up to the fraction "
      "data.max_unreadable",
    )
    for each in surveys
    if each.unreadable
  ]


def check_profiles(surveys: Surveys) -> list[Finding]:
  """Damaged colour profiles, of which other programs warn."""
  return [
    Finding(
      "note",
      f"{len(each.broken_profiles)} files of {each.split.split} have a broken "
      f"colour profile: {_shortened(each.broken_profiles)}",
      "nothing: profiles are not applied, pixels are used as stored",
    )
    for each in surveys
    if each.broken_profiles
  ]


def check_labels(surveys: Surveys) -> list[Finding]:
  """Labels outside the classes, and splits without examples of a class."""
  findings = []
  for each in surveys:
    names = each.split.class_names
    if each.split.label_kind in ("numbers", "none"):
      continue
    wrong = np.flatnonzero((each.labels < 0) | (each.labels >= len(names)))
    if each.split.label_kind == "classes" and wrong.size:
      first = each.split.ids(wrong[:1].tolist())[0]
      text = (
        f"{wrong.size} examples of {each.split.split} have labels outside the "
        f"{len(names)} classes, such as {first} ({each.labels[wrong[0]]})"
      )
      remedy = "if the labels are not published, use another split"
      findings.append(Finding("error", text, remedy))
      continue
    empty = np.flatnonzero(_counts(each) == 0)
    if empty.size:
      listed = ", ".join(names[i] for i in empty[:_LISTED].tolist())
      text = (
        f"{empty.size} of {len(names)} classes have no example in "
        f"{each.split.split}: {listed}"
      )
      remedy = "add examples, or evaluate only the classes with examples"
      findings.append(Finding("warning", text, remedy))
  return findings


def check_balance(surveys: Surveys) -> list[Finding]:
  """Classes with many more examples than others."""
  findings = []
  for each in surveys:
    if each.split.label_kind in ("numbers", "none"):
      continue
    counts = _counts(each)
    there = counts[counts > 0]
    least, most = there.min(initial=counts.sum()), there.max(initial=0)
    if most > _IMBALANCE * least:
      names = each.split.class_names
      rarest = names[int(np.where(counts > 0, counts, most).argmin())]
      text = (
        f"the classes of {each.split.split} have between {least:,} "
        f"({rarest}) and {most:,} ({names[int(counts.argmax())]}) examples"
      )
      remedy = "use the balanced accuracy in addition to top1"
      findings.append(Finding("warning", text, remedy))
  return findings


def check_sizes(surveys: Surveys) -> list[Finding]:
  """Images far smaller or larger than the others, or than models need."""
  findings = []
  for each in surveys:
    readable = each.sizes[:, 0] > 0
    typical = np.median(each.sizes[readable], axis=0) if readable.any() else 0
    tiny = readable & (each.sizes.min(axis=1) < _TINY) & (np.min(typical) >= 32)
    huge = each.sizes.max(axis=1) > _HUGE
    for rows, limit in ((tiny, f"below {_TINY}"), (huge, f"over {_HUGE}")):
      if rows.any():
        sides = {
          each.split.ids([int(each.indices[row])])[0]: "x".join(
            map(str, each.sizes[row])
          )
          for row in np.flatnonzero(rows)[:_LISTED]
        }
        text = (
          f"{rows.sum()} of {len(rows):,} images of {each.split.split} have a "
          f"side {limit} pixels: {_listed(sides)}"
        )
        remedy = "check whether these images are correct"
        findings.append(Finding("warning", text, remedy))
  return findings


def check_duplicates(surveys: Surveys) -> list[Finding]:
  """Files or pixels that occur in two splits, or twice in one."""
  findings = []
  for number, one in enumerate(surveys):
    for other in surveys[number + 1 :]:
      both = np.isin(one.hashes, other.hashes) & (one.num_bytes > 0)
      if both.any():
        names = one.split.ids(one.indices[both][:_LISTED].tolist())
        text = (
          f"{both.sum()} images of {one.split.split} are also in "
          f"{other.split.split}: {', '.join(names)}"
        )
        remedy = (
          f"remove them from {one.split.split}: metrics on training images "
          "do not measure generalization"
        )
        # Published data sets have a few duplicates.
        severity = "error" if both.mean() > _TOLERATED else "warning"
        findings.append(Finding(severity, text, remedy))
    findings += _check_repeated(one)
  if any(len(each.indices) < each.split.num_examples for each in surveys):
    text = "only a sample was examined; duplicates need all images"
    findings.append(Finding("note", text, "examine all images with --all"))
  return findings


def _check_repeated(each: survey.Survey) -> list[Finding]:
  """Duplicates within a split."""
  labels = each.labels[each.indices]
  _, first, places = np.unique(
    each.hashes, return_index=True, return_inverse=True
  )
  first = first[places]
  again = (first != np.arange(len(first))) & (each.num_bytes > 0)
  differs = (labels != labels[first]).reshape(len(first), -1).any(axis=1)
  contradicts = again & differs
  if not again.any():
    return []
  name = each.split.split
  shown = contradicts if contradicts.any() else again
  names = each.split.ids(each.indices[shown][:_LISTED].tolist())
  text = (
    f"{again.sum()} images of {name} occur more than once, "
    f"{contradicts.sum()} of them with different labels: {', '.join(names)}"
  )
  severity = "warning" if contradicts.any() else "note"
  return [Finding(severity, text, "keep one of each, with the correct label")]


def describe_speed(surveys: Surveys) -> list[Finding]:
  """The speed of reading and decoding the images."""
  count = sum(len(each.indices) for each in surveys)
  seconds = sum(each.seconds for each in surveys)
  sizes = np.concatenate([each.sizes for each in surveys])
  height, width = np.median(sizes, axis=0).astype(int).tolist()
  text = (
    f"{count:,} images of typically {height}x{width} pixels read and decoded "
    f"at {count / seconds:,.0f} images/s"
  )
  remedy = ""
  if height * width > _WASTEFUL:
    remedy = (
      "they are much larger than models need: prepare them at a smaller size, "
      "with `jaxvision data prepare ... --resize_small=512`"
    )
  return [Finding("note", text, remedy)]


CHECKS: tuple[Callable[[Surveys], list[Finding]], ...] = (
  check_readable,
  check_profiles,
  check_labels,
  check_balance,
  check_sizes,
  check_duplicates,
  field_checks.check_fields,
  describe_speed,
)


def _counts(each: survey.Survey) -> np.ndarray:
  """(k,) number of examples of each class; ignores labels outside of them."""
  names = each.split.class_names
  if each.split.label_kind == "sets":
    return each.labels.sum(axis=0, dtype=np.int64)
  known = each.labels[(each.labels >= 0) & (each.labels < len(names))]
  return np.bincount(known, minlength=len(names))


def _shortened(names: Sequence[str]) -> str:
  return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")


def _listed(reasons: dict[str, str]) -> str:
  shown = [f"{name} ({why})" for name, why in list(reasons.items())[:_LISTED]]
  return ", ".join(shown) + (", ..." if len(reasons) > _LISTED else "")

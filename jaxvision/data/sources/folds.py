"""Folds of cross-validation: parts of a split of which one is held out.

The fold of an example depends on the split alone: on its labels and its order.
So all seeds and all settings of a run share the folds.
"""

import logging

import numpy as np

from jaxvision.data import dataset
from jaxvision.data.sources import label_sets

# Of the shuffle. Another seed would change the folds of all existing runs.
_SEED = 0
_LISTED = 5
_LOGGER = logging.getLogger(__name__)


def hold_out(
  of: dataset.Dataset, *, fold: int, folds: int
) -> tuple[dataset.Dataset, dataset.Dataset]:
  """Splits a data set into the examples outside and inside of a fold.

  The folds are stratified: each has the share of each class, up to one example.
  Sets of classes are stratified by the rarest class of the set. Folds of data
  with numbers as labels, or without labels, are random and of equal size. The
  sources of a mixture are stratified too.

  Args:
    of: the split; its labels are read.
    fold: number of the fold, 0 to folds - 1.
    folds: number of folds, at least 2.

  Returns:
    The examples outside of the fold, and those inside, in the order of the
    split. A mixture draws the examples outside by the weights of its sources.

  Raises:
    ValueError: there is no such fold, the split has fewer examples than folds,
      its labels do not belong to its examples, or a source of a mixture has no
      example outside of the fold.
  """
  if not 0 <= fold < folds or folds < 2:
    raise ValueError(
      f"fold {fold} of {folds}: expected at least 2 folds, and the number of "
      "one of them, which begin at 0"
    )
  if of.num_examples < folds:
    raise ValueError(
      f"{of.split!r} of {of.name} has {of.num_examples} examples, too few for "
      f"{folds} folds; use at most {of.num_examples} folds"
    )
  inside = assign(_strata(of, folds), folds=folds) == fold
  name = f"fold {fold} of {folds}"
  outside = dataset.choose(
    of, np.flatnonzero(~inside), split=f"{of.split}, without {name}"
  )
  if not all(size for size, _ in outside.mixture):
    raise ValueError(
      f"a source of {of.name} has all of its examples in {name}, so that "
      "training cannot draw from it; use a larger source, or other folds"
    )
  held = dataset.choose(of, np.flatnonzero(inside), split=f"{of.split}, {name}")
  return outside, held


def assign(strata: np.ndarray, *, folds: int) -> np.ndarray:
  """The fold of each example.

  The examples are shuffled, ordered by stratum, and dealt to the folds in turn.
  So the numbers of examples of two folds differ by at most one, in total and in
  each stratum.

  Args:
    strata: (n,) int.
    folds: number of folds.

  Returns:
    (n,) int64.
  """
  rng = np.random.Generator(np.random.Philox(_SEED))
  shuffled = rng.permutation(len(strata))
  order = shuffled[np.argsort(strata[shuffled], kind="stable")]
  found = np.empty(len(strata), np.int64)
  found[order] = np.arange(len(strata)) % folds
  return found


def _strata(of: dataset.Dataset, folds: int) -> np.ndarray:
  """(n,) int64: the class and, within it, the source of a mixture."""
  sizes = [size for size, _ in of.mixture] or [of.num_examples]
  sources = np.repeat(np.arange(len(sizes)), sizes)
  return _classes(of, folds) * len(sizes) + sources


def _classes(of: dataset.Dataset, folds: int) -> np.ndarray:
  """(n,) int64: the class of each example; 0 if there are no classes."""
  if of.label_kind not in ("classes", "sets"):
    return np.zeros(of.num_examples, np.int64)
  labels = of.labels()
  if len(labels) != of.num_examples:
    raise ValueError(
      f"{of.split!r} of {of.name} has {of.num_examples} examples, but "
      f"{len(labels)} labels; folds need the label of each example: correct "
      "the function `labels` of the data set"
    )
  if of.label_kind == "sets":
    return label_sets.strata(labels)
  _warn_of_rare(of, labels, folds)
  return labels.astype(np.int64)


def _warn_of_rare(of: dataset.Dataset, labels: np.ndarray, folds: int) -> None:
  """Warns of classes that some folds do not contain."""
  known = labels[(labels >= 0) & (labels < len(of.class_names))]
  counts = np.bincount(known, minlength=len(of.class_names))
  rare = np.flatnonzero((counts > 0) & (counts < folds)).tolist()
  if rare:
    names = ", ".join(of.class_names[label] for label in rare[:_LISTED])
    _LOGGER.warning(
      "%d classes of %r have fewer examples than there are folds (%d), so some "
      "folds do not contain them: %s%s",
      len(rare),
      of.split,
      folds,
      names,
      ", ..." if len(rare) > _LISTED else "",
    )

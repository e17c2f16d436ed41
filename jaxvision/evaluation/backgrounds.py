"""How much a classifier relies on backgrounds: "Noise or Signal".

Xiao, Engstrom, Ilyas and Madry 2020 (arXiv 2006.09994). The suite measures the
accuracy on each variant of a data set. The gap, Mixed-Same minus Mixed-Rand, is
what the background adds to the accuracy if the foreground is there.

An image of Original, Mixed-Rand (its foreground alone) and Only-BG-T (its
background alone) is in one of five categories (Table 3), by which of the three
predictions are correct:

  bg_required      the image and the background, not the foreground
  bg_fools         the foreground alone
  bg_fg_required   the image alone
  bg_fg_fools      the foreground and the background, not the image
  bg_irrelevant    the image and the foreground, or neither of them
"""

import collections
import dataclasses
import functools
import logging
import math
import pathlib
import re
from collections.abc import Callable, Mapping, Set
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import data, parallel
from jaxvision.evaluation import imagenet9
from jaxvision.evaluation.network import Evaluate, Network, Outcome, Suite
from jaxvision.lookup import ranges
from jaxvision.parallel import sharding

Tree = Any

_LOGGER = logging.getLogger(__name__)
_SAME, _RANDOM = "mixed_same", "mixed_rand"
# Those that decide the category: full image, foreground, background.
_DECIDING = ("original", _RANDOM, "only_bg_t")
# Which predictions are correct: full image, foreground, background.
CATEGORIES = {
  "bg_required": (True, False, True),
  "bg_fools": (False, True, False),
  "bg_fg_required": (True, False, False),
  "bg_fg_fools": (False, True, True),
}
IRRELEVANT = "bg_irrelevant"
# The answer of a model whose logits are not finite.
OVERFLOWN = -2
# The published name of a mixed image is that of its foreground and background.
_MIXED = re.compile(r"(?P<folder>.*/)fg_(?P<foreground>.+)_bg_.+")


@dataclasses.dataclass(frozen=True)
class Predictions:
  """The predictions for a variant.

  Attributes:
    names: of the images, (n,): class folder and file without ending, as in
      "00_dog/n02085620_7".
    labels: (n,) int32.
    answers: (n,) int32, in the labels of the data; -1 is none of them.
  """

  names: tuple[str, ...]
  labels: np.ndarray
  answers: np.ndarray

  @property
  def correct(self) -> np.ndarray:
    """(n,) bool."""
    return self.answers == self.labels

  @property
  def accuracy(self) -> float:
    """The share of correct predictions; NaN if the model overflows."""
    if (self.answers == OVERFLOWN).any():
      return math.nan
    return float(self.correct.mean())


def suite(
  root: str, *, split: str = "validation", batch_size: ranges.Count = 64
) -> Suite:
  """The suite on a folder of variants, as `data.open_variant` reads them.

  Metrics: the accuracy of each variant, "bg_gap", and the share of each
  category. The gap and the categories need their variants. Images are resized
  to the input of the network, without a crop: published images are crops.

  Args:
    root: the folder of the variants.
    split: "train", "validation" or "test".
    batch_size: examples per batch; rounded up to a multiple of the devices.

  Raises:
    FileNotFoundError: the folder has no variant.
    ValueError: the network does not have the classes of the data.
  """

  def make(network: Network) -> Evaluate:
    opened = open_variants(root, split)
    batches = {
      name: make_batches(each, network, batch_size)
      for name, each in opened.items()
    }
    (names,) = {each.class_names for each in opened.values()}
    read = make_reader(
      network, imagenet9.answer_map(network.class_names, names)
    )
    return functools.partial(_evaluate, read, batches)

  return make


def open_variants(root: str, split: str) -> dict[str, data.Dataset]:
  """The variants of a folder; warns of those that are missing.

  Raises:
    FileNotFoundError: the folder has no variant.
    ValueError: two variants have different classes.
  """
  folder = pathlib.Path(root).expanduser()
  there = data.variants_of(folder, split=split)
  if missing := [each for each in data.VARIANTS if each not in there]:
    _LOGGER.warning(
      "%s has no folders of %s with the split %s; they are not measured",
      folder,
      ", ".join(missing),
      split,
    )
  opened = {
    each: data.open_variant(folder, each, split=split) for each in there
  }
  first, *others = opened
  for each in others:
    if opened[each].class_names != opened[first].class_names:
      raise ValueError(
        f"{first} and {each} of {folder} have different classes; every variant "
        "needs the same class folders"
      )
  return opened


def make_batches(
  split: data.Dataset, network: Network, batch_size: int
) -> data.Batches:
  """The images of a split, resized to the input of a network."""
  height, width, channels = network.image_shape
  size = whole_batch(batch_size, network)
  return data.make_batches(
    split,
    batch_size=size,
    transforms=(f"resize(({height}, {width}))",),
    channels=channels,
    rows=parallel.local_rows(size, network.mesh),
  )


def whole_batch(batch_size: int, network: Network) -> int:
  """The batch size, rounded up to a multiple of the devices."""
  devices = network.mesh.size
  return -(-batch_size // devices) * devices


def make_predict(
  network: Network, answers: np.ndarray
) -> Callable[[Tree, jax.Array], jax.Array]:
  """Makes predict(variables, images (b, h, w, c) uint8) -> labels (b,) int32.

  The label is OVERFLOWN if the logits are not finite.

  Args:
    network: the network.
    answers: (k,) the label of each logit; -1 is no label.

  Raises:
    ValueError: the model does not return k logits.
  """

  def predict(variables: Tree, images: jax.Array) -> jax.Array:
    pixels = data.normalize(images, network.normalization)
    with sharding.batch_split(len(images), network.mesh):
      logits = network.model.apply(variables, pixels, train=False)
    shape = getattr(logits, "shape", type(logits).__name__)
    if shape != (len(images), len(answers)):
      raise ValueError(
        f"the model returns {shape} for {len(images)} images; expected logits "
        f"{(len(images), len(answers))}: give a classifier"
      )
    found = jnp.asarray(answers)[jnp.argmax(logits, axis=-1)]
    return jnp.where(jnp.isfinite(logits).all(axis=-1), found, OVERFLOWN)

  return predict


def make_reader(
  network: Network, answers: np.ndarray
) -> Callable[[Tree, data.Batches], Predictions]:
  """Makes read(variables, batches) -> the predictions, in order.

  Unreadable images are left out; the batches warn of them.
  """
  predict = make_predict(network, answers)

  @functools.partial(jax.jit, out_shardings=parallel.replicated(network.mesh))
  def measure(variables: Tree, batch: Tree) -> Tree:
    return predict(variables, batch["image"]), batch["label"], batch["mask"]

  def read(variables: Tree, batches: data.Batches) -> Predictions:
    parts, pending = [], None
    for batch in batches.iterate(0, batches.num_batches):
      measured = measure(variables, parallel.put_batch(batch, network.mesh))
      # Fetches the previous batch while this one is computed.
      parts += [jax.device_get(pending)] if pending else []
      pending = measured
    parts.append(jax.device_get(pending))
    found, labels, mask = map(np.concatenate, zip(*parts, strict=True))
    of = batches.examples.dataset
    rows = np.flatnonzero(mask > 0)
    names = tuple(map(_name, of.ids(rows.tolist())))
    return Predictions(names, labels[rows], found[rows])

  return read


def _name(path: str) -> str:
  """The class folder and the file without ending."""
  found = pathlib.PurePath(path)
  return f"{found.parent.name}/{found.stem}"


def _evaluate(
  read: Callable[[Tree, data.Batches], Predictions],
  batches: Mapping[str, data.Batches],
  variables: Tree,
) -> Outcome:
  found = {name: read(variables, each) for name, each in batches.items()}
  metrics = {name: each.accuracy for name, each in found.items()}
  details = {"images": {name: len(each.names) for name, each in found.items()}}
  if _SAME in found and _RANDOM in found:
    metrics["bg_gap"] = metrics[_SAME] - metrics[_RANDOM]
  if set(_DECIDING) <= set(found):
    full, foreground, background = _joined([found[name] for name in _DECIDING])
    details["categorized"] = len(full)
    if len(full):
      metrics |= categories(full, foreground, background)
  return Outcome(metrics, details)


def _joined(found: list[Predictions]) -> list[np.ndarray]:
  """Whether the predictions for the images of all variants are correct."""
  originals = set(found[0].names)
  by_name = [_by_name(each, originals) for each in found]
  shared = [name for name in by_name[0] if all(name in d for d in by_name)]
  if left := len(originals.union(*by_name)) - len(shared):
    _LOGGER.warning(
      "%d images are not in all of %s, or share a name; they have no category",
      left,
      ", ".join(_DECIDING),
    )
  return [np.asarray([each[name] for name in shared], bool) for each in by_name]


def _by_name(found: Predictions, originals: Set[str]) -> dict[str, bool]:
  """Whether the prediction is correct, by the name of the original image.

  Images that share a name are left out.
  """
  names = []
  for name in found.names:
    mixed = None if name in originals else _MIXED.fullmatch(name)
    names.append(mixed["folder"] + mixed["foreground"] if mixed else name)
  counts = collections.Counter(names)
  pairs = zip(names, found.correct.tolist(), strict=True)
  return {name: correct for name, correct in pairs if counts[name] == 1}


def categories(
  full: np.ndarray, foreground: np.ndarray, background: np.ndarray
) -> dict[str, float]:
  """The share of the images in each category; the shares sum to 1.

  Args:
    full, foreground, background: (n,) bool, whether the predictions for the
      image, its foreground and its background are correct; n is at least 1.
  """
  shares = {
    name: float(((full == a) & (foreground == b) & (background == c)).mean())
    for name, (a, b, c) in CATEGORIES.items()
  }
  return {**shares, IRRELEVANT: float((full == foreground).mean())}

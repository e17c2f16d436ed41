"""The challenge of adversarial backgrounds, after "Noise or Signal".

Xiao et al. 2020, section 3, and challenge_eval.py of the repository
MadryLab/backgrounds_challenge. Each foreground is pasted on every Only-BG-T
image of the split, also on those of its own class. A foreground is vulnerable
if any of the images is not classified as the foreground. The accuracy of the
challenge is the share of the foregrounds that are not vulnerable.

The paper also counts foregrounds that are classified as the class of the
background. These counts are the "attacks" below.
"""

import dataclasses
import functools
import logging
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import data, lookup, parallel
from jaxvision.evaluation import backgrounds, imagenet9
from jaxvision.evaluation.network import Evaluate, Network, Outcome, Suite
from jaxvision.lookup import ranges

Tree = Any
# pairs (n, 2) of a foreground and a background -> labels (n,)
PredictPairs = Callable[[np.ndarray], np.ndarray]

_LOGGER = logging.getLogger(__name__)
_FIELD, _FOREGROUNDS, _BACKGROUNDS = (
  "segmentation_mask",
  "original",
  "only_bg_t",
)
_HALF = 128  # masks are 0 or 255
NUMBERS = ("all", "accuracy")


@dataclasses.dataclass(frozen=True)
class Cuts:
  """The foregrounds and the backgrounds.

  Attributes:
    images: (f, h, w, c) uint8, with the foregrounds.
    masks: (f, h, w, 1) bool.
    labels: (f,) of the foregrounds.
    behind: (b, h, w, c) uint8, the backgrounds.
    behind_labels: (b,) of the backgrounds.
    behind_names: of the files of the backgrounds.
  """

  images: np.ndarray
  masks: np.ndarray
  labels: np.ndarray
  behind: np.ndarray
  behind_labels: np.ndarray
  behind_names: tuple[str, ...]


def suite(
  root: str,
  *,
  split: str = "validation",
  batch_size: ranges.Count = 64,
  numbers: Literal["all", "accuracy"] = "all",
) -> Suite:
  """The challenge on a folder of variants, as `data.open_variant` reads them.

  It costs one forward pass for each pair of a foreground and a background. All
  images stay on the devices, where the pairs are pasted.

  Metrics: "accuracy"; "attacked", the share of the foregrounds that any
  background of another class turns into its own class; for each class,
  "attacked_by/CLASS", the same for the backgrounds of this class and the
  foregrounds of the others, and "best_background/CLASS", for the best single
  background of the class.

  Args:
    root: the folder of the variants, with "original", its masks and
      "only_bg_t".
    split: "train", "validation" or "test".
    batch_size: pairs per batch; rounded up to a multiple of the devices.
    numbers: "accuracy" measures the accuracy only. A foreground then leaves as
      soon as it is vulnerable, which is much faster.

  Raises:
    FileNotFoundError: a variant does not exist.
    ValueError: there are no masks, or the network does not have the classes of
      the data.
  """
  if numbers not in NUMBERS:
    raise ValueError(lookup.unknown("numbers", numbers, NUMBERS))

  def make(network: Network) -> Evaluate:
    names, cuts = _load(root, split, network, batch_size)
    answers = imagenet9.answer_map(network.class_names, names)
    of_pairs = make_predict_pairs(network, answers, cuts, batch_size=batch_size)

    def evaluate(variables: Tree) -> Outcome:
      overflown = []

      def predict(pairs: np.ndarray) -> np.ndarray:
        labels = of_pairs(variables, pairs)
        overflown.append((labels == backgrounds.OVERFLOWN).any())
        return labels

      if numbers == "accuracy":
        vulnerable = find_vulnerable(predict, cuts, pairs=batch_size)
        found = Outcome({"accuracy": 1 - float(vulnerable.mean())}, {})
      else:
        found = summarize(predict_all(predict, cuts), cuts, names)
      metrics = found.metrics
      if any(overflown):
        metrics = dict.fromkeys(metrics, math.nan)
      return Outcome(metrics, {**_sizes(cuts), **found.details})

    return evaluate

  return make


def _sizes(cuts: Cuts) -> dict[str, int]:
  return {"foregrounds": len(cuts.labels), "backgrounds": len(cuts.behind)}


def _load(
  root: str, split: str, network: Network, batch_size: int
) -> tuple[tuple[str, ...], Cuts]:
  """The names of the classes, and the images."""
  folder = pathlib.Path(root).expanduser()
  originals, behind = (
    data.open_variant(folder, name, split=split)
    for name in (_FOREGROUNDS, _BACKGROUNDS)
  )
  if _FIELD not in originals.fields():
    raise ValueError(
      f"{folder} has no masks of the foregrounds; expected fg_mask/"
      "SPLIT/CLASS/NAME.npy beside original/SPLIT/CLASS/NAME.JPEG"
    )
  if originals.class_names != behind.class_names:
    raise ValueError(
      f"{_FOREGROUNDS} and {_BACKGROUNDS} of {folder} have different classes; "
      "both need the same class folders"
    )
  shape = (*network.image_shape[:2], 1)
  masked = backgrounds.make_batches(originals, network, batch_size)
  masked = masked.with_fields({_FIELD: (shape, "uint8")})
  first = _readable(masked)
  second = _readable(backgrounds.make_batches(behind, network, batch_size))
  names = behind.ids(second["index"].tolist())
  masks = first[_FIELD] >= _HALF
  if empty := int((~masks.any(axis=(1, 2, 3))).sum()):
    _LOGGER.warning(
      "%d of %d foregrounds of %s have no pixel at %dx%d; their images show "
      "the backgrounds alone: check the masks, or use a network with a larger "
      "input",
      empty,
      len(masks),
      folder,
      *shape[:2],
    )
  return originals.class_names, Cuts(
    images=first["image"],
    masks=masks,
    labels=first["label"],
    behind=second["image"],
    behind_labels=second["label"],
    behind_names=tuple(str(pathlib.PurePath(name).name) for name in names),
  )


def _readable(batches: data.Batches) -> dict[str, np.ndarray]:
  """The readable examples of a split, and their indices."""
  stored = batches.resident()
  rows = np.flatnonzero(stored["mask"] > 0)
  return {**{k: each[rows] for k, each in stored.items()}, "index": rows}


def make_predict_pairs(
  network: Network, answers: np.ndarray, cuts: Cuts, *, batch_size: int
) -> Callable[[Tree, np.ndarray], np.ndarray]:
  """Makes predict(variables, pairs (n, 2)) -> labels (n,) int32.

  A pair is the number of a foreground and that of a background. Pairs are
  pasted and classified in one compiled program of a fixed batch size.
  """
  predict, mesh = backgrounds.make_predict(network, answers), network.mesh
  everywhere = parallel.replicated(mesh)
  size = backgrounds.whole_batch(batch_size, network)
  rows = parallel.local_rows(size, mesh)
  stored = jax.device_put((cuts.images, cuts.masks, cuts.behind), everywhere)

  @functools.partial(jax.jit, out_shardings=everywhere)
  def measure(variables: Tree, stored: Tree, pairs: jax.Array) -> jax.Array:
    images, masks, behind = stored
    first, second = pairs[:, 0], pairs[:, 1]
    pasted = jnp.where(masks[first], images[first], behind[second])
    return predict(variables, pasted)

  def of_pairs(variables: Tree, pairs: np.ndarray) -> np.ndarray:
    found, pending = [], None
    for start in range(0, len(pairs), size):
      batch = np.zeros((size, 2), np.int32)
      part = pairs[start : start + size]
      batch[: len(part)] = part
      measured = measure(
        variables, stored, parallel.put_batch(batch[rows], mesh)
      )
      # Fetches the previous batch while this one is computed.
      found += [] if pending is None else [np.asarray(pending)]
      pending = measured
    return np.concatenate([*found, np.asarray(pending)])[: len(pairs)]

  return of_pairs


def predict_all(predict: PredictPairs, cuts: Cuts) -> np.ndarray:
  """The predictions for all pairs, (f, b) int16."""
  shape = len(cuts.labels), len(cuts.behind)
  numbers = np.arange(shape[0] * shape[1], dtype=np.int32)
  pairs = np.stack(np.divmod(numbers, np.int32(shape[1])), axis=1)
  return predict(pairs).astype(np.int16).reshape(shape)


def find_vulnerable(
  predict: PredictPairs, cuts: Cuts, *, pairs: int
) -> np.ndarray:
  """Which foregrounds are vulnerable, (f,) bool.

  Args:
    predict: of pairs.
    cuts: foregrounds and backgrounds.
    pairs: how many are predicted before foregrounds leave, at least; each
      remaining foreground is in one of them.
  """
  vulnerable = np.zeros(len(cuts.labels), bool)
  first = 0
  while first < len(cuts.behind) and not vulnerable.all():
    rows = np.flatnonzero(~vulnerable)
    last = min(first + max(1, pairs // len(rows)), len(cuts.behind))
    grid = np.meshgrid(rows, np.arange(first, last), indexing="ij")
    answers = predict(np.stack([each.ravel() for each in grid], axis=1))
    wrong = answers.reshape(len(rows), -1) != cuts.labels[rows, None]
    vulnerable[rows] = wrong.any(axis=1)
    first = last
  return vulnerable


def summarize(
  answers: np.ndarray, cuts: Cuts, class_names: tuple[str, ...]
) -> Outcome:
  """The numbers of the challenge from the predictions of all pairs.

  Args:
    answers: (f, b), from `predict_all`; -1 is none of the classes.
    cuts: foregrounds and backgrounds.
    class_names: of the data.
  """
  own, behind = cuts.labels[:, None], cuts.behind_labels[None]
  attacks = (answers == behind) & (own != behind)
  metrics = {
    "accuracy": 1 - float((answers != own).any(axis=1).mean()),
    "attacked": float(attacks.any(axis=1).mean()),
  }
  best = {}
  for label, name, others, share in _by_class(attacks, cuts, class_names):
    metrics[f"attacked_by/{name}"] = float(others.any(axis=1).mean())
    metrics[f"best_background/{name}"] = float(share.max())
    places = np.flatnonzero(cuts.behind_labels == label)
    best[name] = cuts.behind_names[places[share.argmax()]]
  return Outcome(metrics, {"best_backgrounds": best})


def _by_class(
  attacks: np.ndarray, cuts: Cuts, class_names: tuple[str, ...]
) -> Iterator[tuple[int, str, np.ndarray, np.ndarray]]:
  """Label, name, attacks on foregrounds of others, and their mean (b,)."""
  for label, name in enumerate(class_names):
    others = attacks[cuts.labels != label][:, cuts.behind_labels == label]
    if others.size:
      yield label, name, others, others.mean(axis=0)

"""The predictions of the final evaluation, for the report of a run.

predictions.npz in the folder of a classifier has, for n examples of the split,

  positions            (n,) int64, indices in the split
  labels               (n,) int64
  probabilities        (n, k) float32
  losses               (n,) float32, the negative log probability of the label

The examples are all of a split if these are at most 4 million probabilities
(16 MB), else evenly spaced ones. Of them, m at most 500 are shown with their
pictures (6 MB):

  sample               (m,) int64, indices of the n examples
  sample_reasons       (m,) int64, why: an index of `REASONS`
  sample_images        (m, h, w, c) uint8, the longer side at most 64 pixels
  sample_ids           (m,) str
  embedding            (m, 2) float32, the first two principal components of the
                       logits
  embedding_shares     (2,) float32, their shares of the variance
"""

import pathlib

import numpy as np
import scipy.special
from PIL import Image

from jaxvision import metrics
from jaxvision.metrics import principal_components
from jaxvision.runs import workdir as workdirs
from jaxvision.training.setup import Parts

FILE = "predictions.npz"
MOST_NUMBERS = 4_000_000
MOST_PICTURES = 500
REASONS = ("confident mistake", "uncertain", "random")
_SIDE = 64  # pixels


def write(
  folder: pathlib.Path, parts: Parts, outputs: metrics.Outputs, *, role: str
) -> None:
  """Writes the predictions of a run; call it in one process.

  Args:
    folder: of the run.
    parts: of the run.
    outputs: labels (n,) and logits (n, k) of the final evaluation, or (n, 2, k)
      of a student and its teachers, which are left out. So are examples whose
      logits are not finite.
    role: of the evaluated split.
  """
  logits = outputs.outputs
  if logits.ndim == 3:
    logits = logits[:, 0]
  finite = np.isfinite(logits).all(axis=1)
  if not finite.any():
    return
  positions, labels = outputs.positions[finite], outputs.labels[finite]
  logits = logits[finite].astype(np.float64)
  logs = scipy.special.log_softmax(logits, axis=1)
  sample, reasons = choose(np.exp(logs), labels)
  places, shares = principal_components.fit(logits)
  chosen = positions[sample]
  images = parts.batches[role].read(chosen)["image"]
  workdirs.write_arrays(
    folder / FILE,
    positions=positions,
    labels=labels.astype(np.int64),
    probabilities=np.exp(logs).astype(np.float32),
    losses=-logs[np.arange(len(labels)), labels].astype(np.float32),
    sample=sample,
    sample_reasons=reasons,
    sample_images=np.stack([_reduced(image) for image in images]),
    sample_ids=np.asarray(parts.splits[role].ids(chosen.tolist()), np.str_),
    embedding=places[sample].astype(np.float32),
    embedding_shares=shares.astype(np.float32),
  )


def choose(
  probabilities: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """The examples to show: confident mistakes, uncertain ones, random ones.

  At most three tenths are mistakes, the most confident first, and as many have
  the smallest margins between their first two classes. The others are random;
  they do not depend on the predictions.

  Args:
    probabilities: (n, k).
    labels: (n,) int.

  Returns:
    The indices (m,) of the examples, at most `MOST_PICTURES`, and the indices
    (m,) of their reasons.
  """
  count, some = len(labels), 3 * MOST_PICTURES // 10
  ordered = np.sort(probabilities, axis=1)
  sure = np.argsort(-ordered[:, -1], kind="stable")
  wrong = sure[(probabilities.argmax(axis=1) != labels)[sure]][:some]
  margins = ordered[:, -1] - ordered[:, -2:-1].sum(axis=1)
  close = np.argsort(margins, kind="stable")
  close = close[~np.isin(close, wrong)][:some]
  others = np.random.default_rng(0).permutation(count)
  others = others[~np.isin(others, [*wrong, *close])]
  others = others[: MOST_PICTURES - len(wrong) - len(close)]
  groups = (wrong, close, np.sort(others))
  reasons = np.repeat(np.arange(len(groups)), [len(each) for each in groups])
  return np.concatenate(groups).astype(np.int64), reasons


def _reduced(image: np.ndarray) -> np.ndarray:
  """(h, w, 1 or 3) uint8, reduced; other channels are shown as their mean."""
  if image.shape[-1] not in (1, 3):
    image = image.mean(axis=-1, keepdims=True).astype(np.uint8)
  height, width, channels = image.shape
  scale = _SIDE / max(height, width)
  if scale >= 1:
    return image
  size = max(1, round(width * scale)), max(1, round(height * scale))
  picture = Image.fromarray(image[..., 0] if channels == 1 else image)
  reduced = np.asarray(picture.resize(size, Image.Resampling.BOX))
  return reduced.reshape(*reduced.shape[:2], channels)

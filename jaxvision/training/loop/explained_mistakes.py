"""Where the network looked in the mistakes that the report shows.

explanations.npz in the folder of the run has, for the first n mistakes of
evaluation.npz:

  method               the method of the maps
  predicted, true      (n, h, w, 3) uint8, the maps of the predicted and of the
                       true class over the image
  limit                a sentence, if the costs are too high for all of them
  problem              why the maps failed; "" if they did not

Maps are an addition to the report: a failure is logged and recorded, and the
run finishes.
"""

import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxvision import data, interpret
from jaxvision.runs import workdir as workdirs
from jaxvision.training.setup import Parts, explained

Tree = Any

_LOGGER = logging.getLogger(__name__)
FILE = "explanations.npz"

# The limit of "auto": some seconds on a core.
MOST_FLOPS = 1e12
# There are two maps, each of a forward pass and a gradient, which costs two.
_PASSES = 6
_TOGETHER = 8  # images, so that every run of a model compiles one shape


def write(
  folder: pathlib.Path,
  parts: Parts,
  variables: Tree,
  mistakes: Mapping[str, np.ndarray],
  *,
  flops: float,
) -> None:
  """Writes the maps of the mistakes of a run.

  Args:
    folder: of the run.
    parts: of the run.
    variables: of the model, in numpy arrays; None if none is explained.
    mistakes: the arrays of evaluation.npz.
    flops: of a forward pass of one image.
  """
  count = len(mistakes["mistake_labels"])
  mapped = number(parts, count, flops=flops)
  found = {"method": "", "predicted": (), "true": (), "problem": ""}
  found["limit"] = _limit(flops, mapped, count)
  if found["limit"]:
    _LOGGER.info("%s", found["limit"])
  if mapped:
    try:
      found |= _explained(parts, variables, mistakes, mapped)
    except Exception as error:  # of any model and method; the run is finished
      _LOGGER.warning("the mistakes have no heat maps: %s", error)
      found["problem"] = str(error) or type(error).__name__
  workdirs.write_arrays(folder / FILE, **found)


def number(parts: Parts, count: int, *, flops: float) -> int:
  """The number of mistakes that are explained, of `count`."""
  if not parts.explain:
    return 0
  return affordable(flops, count) if parts.explain == explained.AUTO else count


def affordable(flops: float, count: int) -> int:
  """The number of mistakes that "auto" explains, at most `count`."""
  return min(count, int(MOST_FLOPS // (_PASSES * max(flops, 1))))


def _limit(flops: float, mapped: int, count: int) -> str:
  if mapped == count:
    return ""
  return (
    f"{mapped} of {count} mistakes have heat maps: those of a mistake take "
    f"{_PASSES * flops:.2g} FLOPs, and the limit is {MOST_FLOPS:.2g}. Set "
    'evaluate.explain to a method, such as "gradcam", for all of them.'
  )


def _explained(
  parts: Parts,
  variables: Tree,
  mistakes: Mapping[str, np.ndarray],
  count: int,
) -> dict[str, Any]:
  """The method and the pictures of the first mistakes."""
  images = mistakes["mistake_images"][:count]
  method = parts.explain
  if method == explained.AUTO:
    method = interpret.default_method(
      parts.model,
      image_shape=images.shape[1:],
      preferred=interpret.PREFERRED_BY_CLASS,
    )
  targets = [
    mistakes[name][:count] for name in ("mistake_predictions", "mistake_labels")
  ]
  # One by one, so that nothing is compiled for the number of mistakes.
  normalized = [data.normalize(each, parts.normalization) for each in images]
  maps = interpret.attribute(
    method,
    parts.model,
    jax.device_put(variables),
    np.stack(normalized * 2),
    np.concatenate(targets),
    batch_size=_TOGETHER,
  )
  shown = _shown(images)
  return {
    "method": method,
    "predicted": interpret.overlay(shown, maps[:count]),
    "true": interpret.overlay(shown, maps[count:]),
  }


def _shown(images: np.ndarray) -> np.ndarray:
  """Images with 1 or 3 channels; others are the mean over channels."""
  if images.shape[-1] in (1, 3):
    return images
  return images.mean(axis=-1, keepdims=True).astype(np.uint8)

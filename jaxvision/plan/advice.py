"""What to change so that a step fits, tried by compiling, and how far it goes.

Changes are made one after another, each beside those before that have saved
memory, from what costs nothing to what costs time, until the step fits. None
changes what is learnt, except for the precision and, with batch normalisation
or mixup, accumulation: docs/scaling.md has the prices.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jaxvision.config import ConfigDict
from jaxvision.plan import compilation

Changes = Mapping[str, Any]
Measure = Callable[[ConfigDict], compilation.Figures]

_WORTH = 0.98  # A change that leaves more than this of the memory is no use.
_CLOSE = 1.25  # Ratio of batches between which it is not searched further.


@dataclasses.dataclass(frozen=True)
class Trial:
  """A config that was compiled.

  Attributes:
    changes: by key, against the config of the run.
    figures: what came of it.
  """

  changes: dict[str, Any]
  figures: compilation.Figures


def changed(config: ConfigDict, changes: Changes) -> ConfigDict:
  """Returns a config with other values of some dotted keys."""
  values = config.to_dict()
  for key, value in changes.items():
    group, name = key.split(".")
    values[group][name] = value
  return type(config)(values)


def until_it_fits(
  config: ConfigDict,
  first: compilation.Figures,
  measure: Measure,
  *,
  tries: int,
) -> list[Trial]:
  """Returns what was tried; the last one fits, if one does.

  Args:
    config: of a step that does not fit.
    first: its figures.
    measure: compiles another.
    tries: compilations at most.
  """
  kept, best, trials = {}, first.total, []
  for change in _changes(config, first):
    if len(trials) == tries:
      break
    tried = {**kept, **change}
    try:
      figures = measure(changed(config, tried))
    except ValueError:
      continue  # The model has no blocks, or the batch no such parts.
    trials.append(Trial(tried, figures))
    if figures.fits:
      break
    if figures.total < _WORTH * best:
      kept, best = tried, figures.total
  return trials


def _changes(
  config: ConfigDict, first: compilation.Figures
) -> Iterator[Changes]:
  mesh, train = first.mesh, config.train
  if mesh["data"] > 1:
    yield {"mesh.fsdp": mesh["data"] * mesh["fsdp"], "mesh.data": 1}
  if config.precision.compute == "float32":
    yield {"precision.compute": "bfloat16"}
  if train.remat == "none":
    yield {"train.remat": "products"}
  if train.remat != "blocks":
    yield {"train.remat": "blocks"}
  devices = mesh["replica"] * mesh["data"] * mesh["fsdp"]
  parts = 2 * train.accumulate
  while train.batch_size % (parts * devices) == 0:
    yield {"train.accumulate": parts}
    parts *= 2


def largest_batch(
  config: ConfigDict,
  first: compilation.Figures,
  measure: Measure,
  *,
  tries: int,
) -> list[Trial]:
  """Returns the batches that were tried, in search of the largest that fits.

  The first is where the memory would end if what is not held all the time grew
  with the batch; then what is in the middle between one that fits and one that
  does not, until they are a quarter apart.

  Args:
    config: of the run.
    first: its figures, of a device whose capacity is known.
    measure: compiles another.
    tries: compilations at most.
  """
  devices = first.mesh["replica"] * first.mesh["data"] * first.mesh["fsdp"]
  unit = devices * config.train.accumulate
  known = {first.batch_size // unit: first}
  trials = []
  while len(trials) < tries and (count := _next(known)):
    change = {"train.batch_size": count * unit}
    known[count] = measure(changed(config, change))
    trials.append(Trial(change, known[count]))
  return trials


def _next(known: Mapping[int, compilation.Figures]) -> int:
  """The number of units to try next; 0 where the search is over."""
  fits = max((count for count in known if known[count].fits), default=0)
  least = min((count for count in known if not known[count].fits), default=0)
  if least == 1 or (least and fits and least <= max(_CLOSE * fits, fits + 1)):
    return 0
  if fits and least:
    return (fits + least) // 2
  if least:
    return min(max(_estimate(known[least], least), 1), least - 1)
  # Once by estimate, then whether that was all, then faster.
  steps = {1: max(_estimate(known[fits], fits), fits + 1)}
  steps[2] = max(math.ceil(_CLOSE * fits), fits + 1)
  return steps.get(len(known), 2 * fits)


def _estimate(figures: compilation.Figures, count: int) -> int:
  """How many units would fill the memory, if each took as much as here."""
  growing = figures.state["batch"] + figures.temporaries
  fixed = figures.total - growing
  return int((figures.capacity - fixed) * count / max(growing, 1))

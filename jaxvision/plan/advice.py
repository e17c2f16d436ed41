"""What to change so that a step fits, tried by compiling, and how far it goes.

Changes are made one after another, each beside those before that have saved
memory, from what costs nothing to what costs time, until the step fits. None
changes what is learnt, except for the precision and, with batch normalisation
or mixup, accumulation: docs/scaling.md has the prices. A variant that cannot be
compiled is left out, with its reason.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from jaxvision.config import ConfigDict
from jaxvision.plan import compilation

Changes = Mapping[str, Any]
Measure = Callable[[ConfigDict], compilation.Figures]

_WORTH = 0.98  # A change that leaves more than this of the memory is no use.
_CLOSE = 1.25  # Ratio of batches between which it is not searched further.


@dataclasses.dataclass(frozen=True)
class Trial:
  """A variant of the config of the run.

  Attributes:
    changes: by key, against the config of the run.
    figures: of its compiled step; None where it could not be compiled.
    reason: why it could not be compiled; "" where it was.
  """

  changes: dict[str, Any]
  figures: compilation.Figures | None
  reason: str = ""

  @property
  def fits(self) -> bool:
    """Whether it was compiled and the device has the memory."""
    return self.figures is not None and self.figures.fits


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
  """Returns what was tried, also what could not be; the last fits, if one does.

  Args:
    config: of a step that does not fit.
    first: its figures.
    measure: compiles another.
    tries: compilations at most.
  """
  kept, best, trials = {}, first.total, []
  for change in _changes(config, first):
    if sum(each.figures is not None for each in trials) == tries:
      break
    trial = _try(config, {**kept, **change}, measure)
    trials.append(trial)
    if trial.fits:
      break
    if trial.figures and trial.figures.total < _WORTH * best:
      kept, best = trial.changes, trial.figures.total
  return trials


def _try(
  config: ConfigDict, changes: dict[str, Any], measure: Measure
) -> Trial:
  """One variant; that it cannot be must not hide the others."""
  try:
    return Trial(changes, measure(changed(config, changes)))
  except (ValueError, jax.errors.JaxRuntimeError) as error:
    # A model without blocks, a run shorter than its warm-up, a compiler that
    # fails.
    return Trial(changes, None, str(error))


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
  known = {first.batch_size // unit: Trial({}, first)}
  while _compiled(known) <= tries and (count := _next(known)):
    known[count] = _try(config, {"train.batch_size": count * unit}, measure)
  return list(known.values())[1:]


def _compiled(known: Mapping[int, Trial]) -> int:
  return sum(each.figures is not None for each in known.values())


def _next(known: Mapping[int, Trial]) -> int:
  """The number of units to try next; 0 where the search is over.

  A batch that cannot be, for instance one of which the run has too few steps
  for its warm-up, bounds the search like one that does not fit.
  """
  fits = max((count for count in known if known[count].fits), default=0)
  least = min((count for count in known if not known[count].fits), default=0)
  if least == 1 or (least and fits and least <= max(_CLOSE * fits, fits + 1)):
    return 0
  if fits and least:
    return (fits + least) // 2
  if least:
    figures = known[least].figures
    guess = _estimate(figures, least) if figures else least // 2
    return min(max(guess, 1), least - 1)
  # Once by estimate, then whether that was all, then faster.
  steps = {1: max(_estimate(known[fits].figures, fits), fits + 1)}
  steps[2] = max(math.ceil(_CLOSE * fits), fits + 1)
  return steps.get(len(known), 2 * fits)


def _estimate(figures: compilation.Figures, count: int) -> int:
  """How many units would fill the memory, if each took as much as here."""
  growing = figures.state["batch"] + figures.temporaries
  fixed = figures.total - growing
  return int((figures.capacity - fixed) * count / max(growing, 1))

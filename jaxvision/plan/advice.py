"""Advice: changes that make a step fit, and the largest batch that fits.

Each change is compiled. Changes are tried one after another, from free changes
to slow ones, until the step fits. A change that saves memory is kept for the
next trials. No change affects the result of the training, except precision,
and, with batch normalisation or mixup, accumulation; docs/scaling.md has the
costs. A variant that does not compile is listed with the reason.
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

_WORTH = 0.98  # A change must reduce the memory below this fraction.
_CLOSE = 1.25  # The search for a batch stops at this ratio of the bounds.


@dataclasses.dataclass(frozen=True)
class Trial:
  """A variant of the config of the run.

  Attributes:
    changes: {key: value} on top of the config of the run.
    figures: figures of the compiled step; None if it did not compile.
    reason: why it did not compile; "" if it did.
  """

  changes: dict[str, Any]
  figures: compilation.Figures | None
  reason: str = ""

  @property
  def fits(self) -> bool:
    """Whether the step compiled and fits in the memory of the device."""
    return self.figures is not None and self.figures.fits


def changed(config: ConfigDict, changes: Changes) -> ConfigDict:
  """Returns a config with other values for some dotted keys."""
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
  """Tries changes until the step fits; the last trial fits if any does.

  Args:
    config: the config of a step that does not fit.
    first: the figures of the step.
    measure: compiles the step of a config and returns its figures.
    tries: maximum number of compilations.
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
  """Compiles one variant; an error is recorded, and other variants follow."""
  try:
    return Trial(changes, measure(changed(config, changes)))
  except (ValueError, jax.errors.JaxRuntimeError) as error:
    # For example a model without blocks, or a run shorter than its warm-up.
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
  """Searches the largest batch that fits, and returns the trials.

  The first batch is an estimate: batch and temporaries grow in proportion to
  the batch size. Then bisection, until the bounds are within a factor of 1.25.

  Args:
    config: the config of the run.
    first: the figures of the run; the capacity of the device is known.
    measure: compiles the step of a config and returns its figures.
    tries: maximum number of compilations.
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
  """The number of units to try next; 0 at the end of the search.

  An invalid batch, for example one with too few steps for the warm-up, bounds
  the search like a batch that does not fit.
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
  # First the estimate, then slightly more, then twice as many each time.
  steps = {1: max(_estimate(known[fits].figures, fits), fits + 1)}
  steps[2] = max(math.ceil(_CLOSE * fits), fits + 1)
  return steps.get(len(known), 2 * fits)


def _estimate(figures: compilation.Figures, count: int) -> int:
  """The number of units that fill the memory, at the memory per unit here."""
  growing = figures.state["batch"] + figures.temporaries
  fixed = figures.total - growing
  return int((figures.capacity - fixed) * count / max(growing, 1))

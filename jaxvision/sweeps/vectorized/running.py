"""Trials of a sweep as runs, alone or together, and what may come of them."""

import contextlib
import logging
import pathlib
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax

from jaxvision import config as configs
from jaxvision import files, parallel, sweeps, training, user_code
from jaxvision.processes import preemption
from jaxvision.runs import workdir as workdirs
from jaxvision.sweeps.vectorized import shared_programs, stacked, together
from jaxvision.sweeps.vectorized.shared_programs import Trace
from jaxvision.training.loop import train_loop
from jaxvision.training.setup import assembly, data_record
from jaxvision.xla import cache

# What XLA says when a device has no memory left.
_NO_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory")
_LONGEST_REASON = 500
_LOGGER = logging.getLogger(__name__)


def run(recipe: str, **arguments: Any) -> sweeps.Outcome:
  """Trains, and says how it went; failures are outcomes, too.

  Args:
    recipe: of `training.train`.
    **arguments: of `training.train`.

  Raises:
    train_loop.Preempted: the run was asked to stop, and is saved.
    sweep.Lost: another worker has the trial now.
    Exception: the disk is full, which is the fault of no trial.
  """
  try:
    # The storage has given the trial to this worker alone.
    training.train(recipe, claimed=True, **arguments)
  except train_loop.Ended as end:
    return sweeps.Outcome("pruned", str(end))
  except (train_loop.Preempted, sweeps.Lost):
    raise
  except Exception as error:
    if files.disk_is_full(error):
      raise
    _LOGGER.exception("the trial in %s failed", arguments["workdir"])
    return sweeps.Outcome("failed", reason(error))
  return sweeps.Outcome("complete")


def run_together(
  recipe: str,
  *,
  workdirs: Sequence[pathlib.Path],
  overrides: Sequence[Mapping[str, Any]],
  watch: together.Watch,
  copies: Mapping[str, user_code.Bundle] | None = None,
) -> list[sweeps.Outcome | None]:
  """Trains as many of some trials as can share their programs.

  Args:
    recipe: of all.
    workdirs, overrides: of each.
    watch: of `together.train`, by the place in these lists.
    copies: of the code of the sweep, as for `training.train`.

  Returns:
    How each went; None for those that are to be run alone, whatever the reason,
    which is then found there, too.

  Raises:
    train_loop.Preempted: asked to stop; all are saved.
  """
  cache.cache_compilations()
  prepared = _prepare(recipe, overrides, copies)
  outcomes: list[sweeps.Outcome | None] = [None] * len(workdirs)
  with preemption.requested([signal.SIGTERM]) as should_stop:
    for group in _groups(prepared):
      members = [
        _member(*prepared[i], workdirs[i], recipe, overrides[i]) for i in group
      ]
      try:
        with _held([workdirs[i] for i in group]):
          endings = together.train(
            members,
            watch=lambda told, group=group: _by_group(watch, told, group),
            should_stop=should_stop,
          )
      except jax.errors.JaxRuntimeError as error:
        if not _no_memory(error):
          raise
        _LOGGER.warning("no memory for %d trials at once", len(group))
        continue
      for place, ending in endings.items():
        outcomes[group[place]] = _outcome(ending)
  return outcomes


@contextlib.contextmanager
def _held(folders: Sequence[pathlib.Path]) -> Iterator[None]:
  with contextlib.ExitStack() as stack:
    for folder in folders:
      stack.enter_context(workdirs.held(folder, claimed=True))
    yield


def _prepare(
  recipe: str,
  overrides: Sequence[Mapping[str, Any]],
  copies: Mapping[str, user_code.Bundle] | None,
) -> dict[int, tuple[assembly.Parts, Trace]]:
  """The parts and programs of those that can share; the others are left out."""
  prepared, splits = {}, None
  for i, each in enumerate(overrides):
    try:
      config = configs.load(recipe, each, copies=copies)
      if why := stacked.why_alone(config):
        _LOGGER.info("a trial is run alone: %s", why)
        continue
      splits = splits or assembly.open_splits(config)
      parts = assembly.prepare(config, splits)
      prepared[i] = parts, shared_programs.trace(parts)
    except (ValueError, OSError) as error:
      _LOGGER.info("a trial is run alone: %s", error)
  return prepared


def _groups(
  prepared: Mapping[int, tuple[assembly.Parts, Trace]],
) -> list[list[int]]:
  """Those that share their data and their programs, two at least."""
  found: list[list[int]] = []
  for i, (parts, trace) in prepared.items():
    for group in found:
      first, trace_of_first = prepared[group[0]]
      if stacked.sees_same(first, parts) and shared_programs.is_alike(
        trace_of_first, trace
      ):
        group.append(i)
        break
    else:
      found.append([i])
  return [group for group in found if len(group) > 1]


def _member(
  parts: assembly.Parts,
  trace: Trace,
  workdir: pathlib.Path,
  recipe: str,
  overrides: Mapping[str, Any],
) -> together.Member:
  workdirs.claim(
    workdir, config=parts.config.to_dict(), recipe=recipe, overrides=overrides
  )
  data_record.check(workdir, parts.splits)
  workdirs.add_environment(
    workdir,
    step=0,
    devices=parallel.describe(parts.mesh),
    backend=jax.default_backend(),
  )
  return together.Member(parts, trace, workdir)


def _by_group(
  watch: together.Watch,
  told: Mapping[int, tuple[int, int, together.Values]],
  group: Sequence[int],
) -> dict[int, str]:
  """What is watched by the place in a group, by that among all."""
  reasons = watch({group[place]: each for place, each in told.items()})
  return {group.index(i): reason for i, reason in reasons.items()}


def _outcome(ending: together.Ending) -> sweeps.Outcome:
  if ending.kind == "finished":
    return sweeps.Outcome("complete")
  if ending.kind == "ended":
    return sweeps.Outcome("pruned", ending.reason)
  return sweeps.Outcome("failed", f"diverged: {ending.reason}")


def reason(error: Exception) -> str:
  """Why a trial failed, in a line."""
  text = " ".join(str(error).split())[:_LONGEST_REASON]
  if isinstance(error, train_loop.Diverged):
    return f"diverged: {text}"
  if _no_memory(error):
    return f"out of memory: {text}"
  return f"{type(error).__name__}: {text}"


def _no_memory(error: Exception) -> bool:
  words = any(word in str(error) for word in _NO_MEMORY)
  return words or isinstance(error, MemoryError)

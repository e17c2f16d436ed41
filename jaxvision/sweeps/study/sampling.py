"""The point of a claimed trial: its planned picks, and TPE for the others."""

import zlib
from collections.abc import Sequence
from typing import Any

from jaxvision.sweeps.experiment import space
from jaxvision.sweeps.experiment.axes import Choice, Range, Space
from jaxvision.sweeps.study import storage


def is_ready(frozen: Any, trials: Sequence[Any]) -> bool:
  """Whether a trial can run: no older duplicate, and its leader has picks."""
  before = frozen.user_attrs.get("succeeds")
  duplicates = (
    each
    for each in trials[: frozen.number]
    if before is not None and each.user_attrs.get("succeeds") == before
  )
  if any(duplicates):
    return False
  leader = frozen.user_attrs.get("leader")
  return leader is None or bool(_picks_of(leader, trials))


def fixed(frozen: Any) -> dict[str, Any]:
  """The planned picks of a trial, and those of its earlier attempts."""
  return dict(frozen.system_attrs.get("fixed_params", {}))


def propose(
  opened: Any,
  name: str,
  key: int,
  frozen: Any,
  trials: Sequence[Any],
  *,
  search_space: Space,
  seed: int,
) -> space.Point:
  """Returns the point of a trial; TPE draws the picks that are not fixed.

  Args:
    opened: the storage.
    name: name of the study.
    key: id of the trial in the storage.
    frozen: the trial before the claim.
    trials: all trials.
    search_space: the search space.
    seed: seed of the draws.
  """
  optuna = storage.import_optuna()
  # The seed depends on the number of the trial, not on the worker.
  own_seed = zlib.crc32(f"{seed} {frozen.number}".encode())
  sampler = optuna.samplers.TPESampler(seed=own_seed, constant_liar=True)
  leader = frozen.user_attrs.get("leader")
  copied = {} if leader is None else _picks_of(leader, trials)
  opened.set_trial_system_attr(key, "fixed_params", {**copied, **fixed(frozen)})
  # An open study caches trials; a newly loaded one reads the current trials.
  now = optuna.load_study(study_name=name, storage=opened, sampler=sampler)
  now.get_trials(deepcopy=False)
  handle = optuna.trial.Trial(now, key)

  def pick(name: str, axis: Range | Choice) -> Any:
    if isinstance(axis, Choice):
      return handle.suggest_categorical(name, axis.labels)
    suggest = handle.suggest_int if axis.whole else handle.suggest_float
    return suggest(name, axis.low, axis.high, log=axis.log)

  point = space.resolve(search_space, pick)
  opened.set_trial_user_attr(key, "picked", True)
  return point


def _picks_of(number: int, trials: Sequence[Any]) -> dict[str, Any]:
  """The picks of a leader or of its later attempt; {} before the draw."""
  for frozen in trials:
    if frozen.user_attrs["origin"] == number and frozen.user_attrs.get(
      "picked"
    ):
      return dict(frozen.params)
  return {}

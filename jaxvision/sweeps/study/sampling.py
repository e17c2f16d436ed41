"""What a claimed trial tries: what its plan says, and TPE for the rest."""

import zlib
from collections.abc import Sequence
from typing import Any

from jaxvision.sweeps.experiment import space
from jaxvision.sweeps.experiment.axes import Choice, Range, Space
from jaxvision.sweeps.study import storage


def is_ready(frozen: Any, trials: Sequence[Any]) -> bool:
  """Whether it may be run: no elder twin, and its leader has its picks."""
  before = frozen.user_attrs.get("succeeds")
  twins = (
    each
    for each in trials[: frozen.number]
    if before is not None and each.user_attrs.get("succeeds") == before
  )
  if any(twins):
    return False
  leader = frozen.user_attrs.get("leader")
  return leader is None or bool(_picks_of(leader, trials))


def fixed(frozen: Any) -> dict[str, Any]:
  """The picks that a trial was planned with, or has inherited."""
  return dict(frozen.system_attrs.get("fixed_params", {}))


def propose(
  opened: Any,
  name: str,
  key: int,
  frozen: Any,
  trials: Sequence[Any],
  *,
  what: Space,
  seed: int,
) -> space.Point:
  """The point of a trial; what is not fixed is drawn by TPE.

  Args:
    opened: the storage.
    name: of the study.
    key: of the trial in the storage.
    frozen: the trial as it was before it was claimed.
    trials: all of them.
    what: the space.
    seed: of what is drawn.
  """
  optuna = storage.engine()
  # By the number: it does not matter who runs a trial.
  own_seed = zlib.crc32(f"{seed} {frozen.number}".encode())
  sampler = optuna.samplers.TPESampler(seed=own_seed, constant_liar=True)
  leader = frozen.user_attrs.get("leader")
  led = {} if leader is None else _picks_of(leader, trials)
  opened.set_trial_system_attr(key, "fixed_params", {**led, **fixed(frozen)})
  # An open study keeps the trials it has seen; a new one sees those of now.
  now = optuna.load_study(study_name=name, storage=opened, sampler=sampler)
  now.get_trials(deepcopy=False)
  handle = optuna.trial.Trial(now, key)

  def pick(name: str, axis: Range | Choice) -> Any:
    if isinstance(axis, Choice):
      return handle.suggest_categorical(name, axis.labels)
    suggest = handle.suggest_int if axis.whole else handle.suggest_float
    return suggest(name, axis.low, axis.high, log=axis.log)

  point = space.resolve(what, pick)
  opened.set_trial_user_attr(key, "picked", True)
  return point


def _picks_of(number: int, trials: Sequence[Any]) -> dict[str, Any]:
  """What a leader, or a successor of it, has picked; {} before it has."""
  for frozen in trials:
    if frozen.user_attrs["origin"] == number and frozen.user_attrs.get(
      "picked"
    ):
      return dict(frozen.params)
  return {}

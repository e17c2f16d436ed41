"""The point of a claimed trial: its planned picks, and draws of the others.

TPE draws in Optuna. The other searchers that learn propose from the history.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvision.sweeps.experiment import proposals, space
from jaxvision.sweeps.experiment.axes import Choice, Range, Space
from jaxvision.sweeps.experiment.proposals import Search
from jaxvision.sweeps.study import history, storage


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
  opened: Any, key: int, handle: Any, *, search: Search
) -> dict[str, Any]:
  """Returns the child of a claimed trial; proposes and stores it if needed.

  The caller excludes other workers: they would propose the same child from the
  same history. The child is stored in one write. It is kept if its worker dies,
  so the next worker trains the same child.

  Args:
    opened: the storage.
    key: id of the trial in the storage.
    handle: the study of Optuna.
    search: the search.

  Returns:
    The number, the picks and the notes of the child; {} for a follower, which
    copies the picks of its leader.
  """
  frozen = opened.get_trial(key)
  if "leader" in frozen.user_attrs:
    return {}
  if found := frozen.user_attrs.get(history.PROPOSAL):
    return dict(found)
  ended, running = history.children(
    frozen,
    handle.get_trials(deepcopy=False),
    of=search,
    sign=1 if handle.direction.name == "MAXIMIZE" else -1,
  )
  child = proposals.propose(
    search, history.crossed(frozen, search), ended, running
  )
  found = {
    "number": child.number,
    "picks": list(child.picks),
    "notes": dict(child.notes),
  }
  opened.set_trial_user_attr(key, history.PROPOSAL, found)
  return found


def point(
  opened: Any,
  name: str,
  key: int,
  frozen: Any,
  trials: Sequence[Any],
  *,
  search_space: Space,
  seed: int,
  proposed: Mapping[str, Any],
) -> space.Point:
  """Returns the point of a trial; TPE draws the picks that are not known.

  Args:
    opened: the storage.
    name: name of the study.
    key: id of the trial in the storage.
    frozen: the trial before the claim.
    trials: all trials.
    search_space: the search space.
    seed: seed of the draws.
    proposed: picks that a searcher has proposed.
  """
  optuna = storage.import_optuna()
  # The seed depends on the number of the trial, not on the worker.
  own_seed = zlib.crc32(f"{seed} {frozen.number}".encode())
  sampler = optuna.samplers.TPESampler(seed=own_seed, constant_liar=True)
  leader = frozen.user_attrs.get("leader")
  copied = {} if leader is None else _picks_of(leader, trials)
  known = {**copied, **fixed(frozen), **proposed}
  opened.set_trial_system_attr(key, "fixed_params", known)
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

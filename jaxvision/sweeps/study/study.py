"""The trials of a sweep in a storage that all its workers share: Optuna's.

All trials are there from the beginning, waiting; a worker claims one, and the
storage lets only one of them have it. While it works it sends heartbeats. A
trial whose heart has stopped is failed by whoever notices, and one that has
failed without a reason gets a successor, with the same picks and the same
number: `Trial.number` is that of the first of them, and names the run's folder.
Two workers may make a successor at once; only the older can be claimed. So a
worker may be killed between any two lines here, and nothing is lost or run
twice.
"""

import contextlib
import dataclasses
import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jaxvision.sweeps.experiment import pruning, space
from jaxvision.sweeps.experiment.axes import Space
from jaxvision.sweeps.experiment.searchers import Planned
from jaxvision.sweeps.study import sampling, storage

# A trial whose workers were killed so often is not tried again.
MOST_ATTEMPTS = 5
# States of a trial, and the words of the storage for them.
_STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
ENDED = tuple(_STATES)


@dataclasses.dataclass(frozen=True)
class Study:
  """An open study.

  Attributes:
    handle: Optuna's study.
    storage: Optuna's storage.
    space: what is tried.
    seed: of what is drawn.
    beat: seconds between heartbeats.
    alone: a context in which no other worker changes the study.
  """

  handle: Any
  storage: Any
  space: Space
  seed: int
  beat: float
  alone: Callable[[], contextlib.AbstractContextManager[Any]]


@dataclasses.dataclass(frozen=True)
class Trial:
  """A claimed trial.

  Attributes:
    key: of the storage.
    number: of the first attempt, which names the folder.
    attempt: 1, and one more for each worker that was killed with it.
    point: the config it tries.
  """

  key: int
  number: int
  attempt: int
  point: space.Point


@dataclasses.dataclass(frozen=True)
class Standing:
  """How a trial stands: its latest attempt.

  Attributes:
    number, attempt: as of `Trial`.
    state: "waiting", "running", or one of `finish`.
    value: of the objective, or None.
    curve: progress in thousandths -> value of the metric.
    began: when it was claimed, seconds since 1970; None before that.
    seconds: from the claim to the end; None before that.
  """

  number: int
  attempt: int
  state: str
  value: float | None
  curve: Mapping[int, float]
  began: float | None
  seconds: float | None


def open_study(
  url: str | pathlib.Path,
  *,
  name: str,
  goal: str,
  plan: Sequence[Planned],
  what: Space,
  seed: int,
  grace: float,
  lock: Callable[[], contextlib.AbstractContextManager[Any]],
  recall: Callable[[int], Mapping[str, Any]] = lambda _: {},
) -> Study:
  """Opens a study, and makes it and its trials if they are not there.

  Args:
    url: of `storage.open_storage`.
    name: of the study in the storage.
    goal: "maximize" or "minimize".
    plan: its trials.
    what: the space they are from.
    seed: of what is drawn.
    grace: seconds without a heartbeat after which a worker counts as dead.
    lock: a context that one worker at a time is in. The caller is in it now.
    recall: the picks of a trial by its number, {} if there are none: of trials
      that were begun with another storage, which is lost.

  Raises:
    ValueError: Optuna is not installed, or the storage cannot be reached.
  """
  optuna = storage.engine()
  beat = max(1, round(grace / 4))
  opened = storage.open_storage(
    url, beat=beat, grace=max(beat + 1, round(grace))
  )
  handle = optuna.create_study(
    storage=opened,
    study_name=name,
    direction=goal,
    load_if_exists=True,
    pruner=optuna.pruners.NopPruner(),
  )
  there = len(handle.get_trials(deepcopy=False))
  for number, planned in enumerate(plan[there:], there):
    attributes = {"origin": number, "attempt": 1}
    if planned.leader is not None:
      attributes["leader"] = planned.leader
    picks = {**planned.picks, **recall(number)}
    handle.enqueue_trial(picks, user_attrs=attributes)
  # SQLite has no locks of rows, which Optuna counts on: two workers would have
  # the same trial. Its workers are on one machine, where files can be locked.
  alone = lock if storage.is_sqlite(url) else contextlib.nullcontext
  return Study(handle, opened, what, seed, beat, alone)


def claim(study: Study) -> Trial | None:
  """Takes the next trial that waits; None if there is none now."""
  heal(study)
  trials = study.handle.get_trials(deepcopy=False)
  # Those that were begun come before those that were not.
  for frozen in sorted(trials, key=_origin):
    if frozen.state.name == "WAITING" and sampling.is_ready(frozen, trials):
      key = _key(study, frozen.number)
      if _take(study, key):
        return Trial(
          key=key,
          number=_origin(frozen),
          attempt=frozen.user_attrs["attempt"],
          point=sampling.propose(
            study.storage,
            study.handle.study_name,
            key,
            frozen,
            trials,
            what=study.space,
            seed=study.seed,
          ),
        )
  return None


def _take(study: Study, key: int) -> bool:
  """Whether this worker, and no other, has a trial now."""
  # First its heart, so that no moment is without one.
  study.storage.record_heartbeat(key)
  with study.alone():
    return study.storage.set_trial_state_values(key, _state("RUNNING"))


def heal(study: Study) -> None:
  """Ends the trials of dead workers, and lets them be taken up."""
  optuna = storage.engine()
  with storage.without_warnings(), study.alone():
    optuna.storages.fail_stale_trials(study.handle)
  for frozen in _latest(study.handle.get_trials(deepcopy=False)):
    if frozen.state.name != "FAIL" or "reason" in frozen.user_attrs:
      continue
    attributes = dict(frozen.user_attrs)
    released = attributes.pop("released", False)
    attributes["attempt"] += not released
    attributes["succeeds"] = frozen.number
    study.handle.add_trial(
      optuna.trial.create_trial(
        state=_state("WAITING"),
        system_attrs={
          "fixed_params": {**sampling.fixed(frozen), **frozen.params},
        },
        user_attrs=attributes,
        intermediate_values=dict(frozen.intermediate_values),
      )
    )


@contextlib.contextmanager
def beating(study: Study, trials: Sequence[Trial]) -> Iterator[None]:
  """Sends heartbeats of trials meanwhile."""
  stop = threading.Event()

  def beat() -> None:
    while not stop.wait(study.beat):
      # A storage that is away for a moment is asked again.
      with contextlib.suppress(Exception):
        for trial in trials:
          study.storage.record_heartbeat(trial.key)

  thread = threading.Thread(target=beat, daemon=True)
  thread.start()
  try:
    yield
  finally:
    stop.set()
    thread.join()


def report(study: Study, trial: Trial, progress: int, value: float) -> bool:
  """Notes a value of the metric; False if the trial is not ours any more."""
  with _ours(study) as mine:
    study.storage.set_trial_intermediate_value(trial.key, progress, value)
  return bool(mine)


def finish(
  study: Study,
  trial: Trial,
  state: str,
  *,
  value: float | None = None,
  reason: str = "",
) -> bool:
  """Ends a trial, for ever; False if it was not ours any more.

  Args:
    study: of the trial.
    trial: claimed.
    state: "complete", "pruned" or "failed".
    value: of the objective, where there is one.
    reason: why it did not complete.
  """
  with _ours(study) as mine:
    if state != "complete":
      study.storage.set_trial_user_attr(trial.key, "reason", reason)
    values = None if value is None else [value]
    study.storage.set_trial_state_values(
      trial.key, _state(_STATES[state]), values
    )
  return bool(mine)


def release(study: Study, trial: Trial) -> None:
  """Gives a trial back: another worker goes on with it."""
  with _ours(study):
    study.storage.set_trial_user_attr(trial.key, "released", True)
    study.storage.set_trial_state_values(trial.key, _state("FAIL"))


def is_ours(study: Study, trial: Trial) -> bool:
  """Whether a claimed trial has not been given to another worker."""
  return study.storage.get_trial(trial.key).state.name == "RUNNING"


def standings(study: Study) -> list[Standing]:
  """How all trials stand, by their number."""
  latest = _latest(study.handle.get_trials(deepcopy=False))
  return sorted(map(_standing, latest), key=lambda each: each.number)


def curves(study: Study, *, but: Sequence[Trial]) -> list[pruning.Curve]:
  """The values of the metric in all other trials."""
  own = {trial.number for trial in but}
  return [s.curve for s in standings(study) if s.number not in own]


def is_over(study: Study) -> bool:
  """Whether all trials have ended."""
  return all(each.state in ENDED for each in standings(study))


@contextlib.contextmanager
def _ours(study: Study) -> Iterator[list[bool]]:
  """[True] if the trial could be changed, [] if another has ended it."""
  optuna, mine = storage.engine(), [True]
  try:
    with study.alone():
      yield mine
  except optuna.exceptions.UpdateFinishedTrialError:
    mine.clear()


def _state(name: str) -> Any:
  return storage.engine().trial.TrialState[name]


def _key(study: Study, number: int) -> int:
  of_study = study.storage.get_study_id_from_name(study.handle.study_name)
  return study.storage.get_trial_id_from_study_id_trial_number(of_study, number)


def _origin(frozen: Any) -> int:
  return frozen.user_attrs["origin"]


def _latest(trials: Sequence[Any]) -> list[Any]:
  """The last attempt of each trial; of two that succeed one, the older."""
  latest, succeeded = {}, set()
  for frozen in trials:
    before = frozen.user_attrs.get("succeeds")
    if before is None or before not in succeeded:
      latest[_origin(frozen)] = frozen
      succeeded.add(before)
  return list(latest.values())


def _standing(frozen: Any) -> Standing:
  words = {word: state for state, word in _STATES.items()}
  state = words.get(frozen.state.name, frozen.state.name.lower())
  if state == "failed" and "reason" not in frozen.user_attrs:
    state = "waiting"  # for the worker that takes it up
  duration = frozen.duration
  return Standing(
    number=_origin(frozen),
    attempt=frozen.user_attrs["attempt"],
    state=state,
    value=frozen.value if state == "complete" else None,
    curve=dict(frozen.intermediate_values),
    began=frozen.datetime_start and frozen.datetime_start.timestamp(),
    seconds=duration.total_seconds() if duration else None,
  )

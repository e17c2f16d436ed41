"""A study: the trials of a sweep in an Optuna storage that all workers share.

All trials are created at the start, in the state "waiting". A worker claims a
trial; the storage gives a trial to one worker only. The worker sends heartbeats
while it trains. A trial without heartbeats is marked as failed by any other
worker. A trial that failed without a reason is retried: a new Optuna trial with
the same picks and the same `Trial.number` succeeds it. `Trial.number` is the
number of the first attempt and names the run folder. Two workers may create a
successor at the same time; only the older one can be claimed. A worker can be
killed between any two lines of this file: no trial is lost or run twice.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jaxvision.sweeps.experiment import proposals, pruning, space
from jaxvision.sweeps.experiment.axes import Space
from jaxvision.sweeps.experiment.proposals import Search
from jaxvision.sweeps.experiment.searchers import Planned
from jaxvision.sweeps.study import heartbeats as beats
from jaxvision.sweeps.study import history, sampling, storage

# A trial fails after this number of killed workers.
MOST_ATTEMPTS = 5
# State of a trial -> its name in the storage.
_STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
ENDED = tuple(_STATES)


@dataclasses.dataclass(frozen=True)
class Study:
  """An open study.

  Attributes:
    handle: Optuna's study.
    storage: Optuna's storage.
    space: the search space.
    seed: seed of the draws.
    beat: seconds between heartbeats.
    exclusive: a context in which no other worker changes the study.
    lock: a context that one worker at a time can enter.
    search: the search of a searcher that proposes from the history; None for
      other searchers.
  """

  handle: Any
  storage: Any
  space: Space
  seed: int
  beat: float
  exclusive: Callable[[], contextlib.AbstractContextManager[Any]]
  lock: Callable[[], contextlib.AbstractContextManager[Any]]
  search: Search | None = None


@dataclasses.dataclass(frozen=True)
class Trial:
  """A claimed trial.

  Attributes:
    key: id in the storage.
    number: number of the first attempt; it names the run folder.
    attempt: 1 plus the number of workers that were killed during the trial.
    point: the config of the trial.
    proposal: number, picks and notes of the child, as `sampling.propose`
      returns them; {} if no searcher has proposed it.
  """

  key: int
  number: int
  attempt: int
  point: space.Point
  proposal: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class TrialStatus:
  """The status of a trial: its latest attempt.

  Attributes:
    number, attempt: as in `Trial`.
    state: "waiting", "running", "complete", "pruned" or "failed".
    value: value of the objective; None if the trial is not complete.
    curve: {progress in thousandths: value of the metric}.
    began: time of the claim in seconds since 1970; None before the claim.
    seconds: time from the claim to the end; None before the end.
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
  search_space: Space,
  seed: int,
  grace: float,
  lock: Callable[[], contextlib.AbstractContextManager[Any]],
  recall: Callable[[int], Mapping[str, Any]] = lambda _: {},
  search: Search | None = None,
) -> Study:
  """Opens a study; creates the study and its trials if they do not exist.

  Args:
    url: as for `storage.open_storage`.
    name: name of the study in the storage.
    goal: "maximize" or "minimize".
    plan: the planned trials.
    search_space: the search space.
    seed: seed of the draws.
    grace: seconds without a heartbeat after which a worker is assumed dead.
    lock: a context that one worker at a time can enter. The caller holds it.
    recall: maps the number of a trial to the record in its folder, or {}. The
      picks and the proposal in it restore the trials of a lost storage.
    search: the search of a searcher that proposes from the history.

  Raises:
    ValueError: Optuna is not installed, or the storage does not open.
  """
  optuna = storage.import_optuna()
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
  existing = len(handle.get_trials(deepcopy=False))
  for number, planned in enumerate(plan[existing:], existing):
    attributes = {"origin": number, "attempt": 1}
    if planned.leader is not None:
      attributes["leader"] = planned.leader
    known = recall(number)
    if known.get(history.PROPOSAL):
      attributes[history.PROPOSAL] = known[history.PROPOSAL]
    picks = {**planned.picks, **known.get("picks", {})}
    handle.enqueue_trial(picks, user_attrs=attributes)
  # Optuna relies on row locks, which SQLite lacks: two workers could claim the
  # same trial. Workers with SQLite share one machine, so a file lock works.
  exclusive = lock if storage.is_sqlite(url) else contextlib.nullcontext
  return Study(
    *(handle, opened, search_space, seed, beat, exclusive, lock, search)
  )


def claim(study: Study) -> Trial | None:
  """Claims the next waiting trial; None if no trial is waiting now."""
  requeue_dead(study)
  trials = study.handle.get_trials(deepcopy=False)
  # Lower numbers come first, so retries come before new trials.
  for frozen in sorted(trials, key=history.origin):
    if frozen.state.name == "WAITING" and sampling.is_ready(frozen, trials):
      key = _key(study, frozen.number)
      if _take(study, key):
        # A controller may compute for some seconds before its first proposal.
        with beats.sent(study.storage, [key], seconds=study.beat):
          return _decide(study, key, frozen, trials)
  return None


def _decide(
  study: Study, key: int, frozen: Any, trials: Sequence[Any]
) -> Trial:
  """Returns a claimed trial with its point."""
  proposal, proposed = {}, {}
  if study.search:
    with study.lock():
      proposal = sampling.propose(
        study.storage, key, study.handle, search=study.search
      )
  if proposal:
    proposed = proposals.labels(study.search, proposal["picks"])
  point = sampling.point(
    *(study.storage, study.handle.study_name, key, frozen, trials),
    search_space=study.space,
    seed=study.seed,
    proposed=proposed,
  )
  return Trial(
    key=key,
    number=history.origin(frozen),
    attempt=frozen.user_attrs["attempt"],
    point=point,
    proposal=proposal,
  )


def _take(study: Study, key: int) -> bool:
  """Claims a trial; False if another worker has claimed it."""
  # Send a heartbeat first: a running trial must never be without one.
  study.storage.record_heartbeat(key)
  with study.exclusive():
    return study.storage.set_trial_state_values(key, _state("RUNNING"))


def requeue_dead(study: Study) -> None:
  """Marks the trials of dead workers as failed, and queues them again."""
  optuna = storage.import_optuna()
  with storage.without_warnings(), study.exclusive():
    optuna.storages.fail_stale_trials(study.handle)
  for frozen in history.latest(study.handle.get_trials(deepcopy=False)):
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


def heartbeats(
  study: Study, trials: Sequence[Trial]
) -> contextlib.AbstractContextManager[None]:
  """A context that sends heartbeats for trials while it is open."""
  keys = [trial.key for trial in trials]
  return beats.sent(study.storage, keys, seconds=study.beat)


def report(study: Study, trial: Trial, progress: int, value: float) -> bool:
  """Stores a value of the metric; False if another worker has the trial."""
  with _if_running(study) as mine:
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
  """Sets the final state of a trial; False if another worker has the trial.

  Args:
    study: the study of the trial.
    trial: a trial that this worker claimed.
    state: "complete", "pruned" or "failed".
    value: value of the objective; None if there is none.
    reason: why the trial did not complete.
  """
  with _if_running(study) as mine:
    if state != "complete":
      study.storage.set_trial_user_attr(trial.key, "reason", reason)
    values = None if value is None else [value]
    study.storage.set_trial_state_values(
      trial.key, _state(_STATES[state]), values
    )
  return bool(mine)


def release(study: Study, trial: Trial) -> None:
  """Returns a trial to the queue; another worker resumes it."""
  with _if_running(study):
    study.storage.set_trial_user_attr(trial.key, "released", True)
    study.storage.set_trial_state_values(trial.key, _state("FAIL"))


def is_running(study: Study, trial: Trial) -> bool:
  """Whether no other worker has taken over a claimed trial."""
  return study.storage.get_trial(trial.key).state.name == "RUNNING"


def statuses(study: Study) -> list[TrialStatus]:
  """The status of all trials, ordered by number."""
  latest = history.latest(study.handle.get_trials(deepcopy=False))
  return sorted(map(_status, latest), key=lambda each: each.number)


def curves(study: Study, *, but: Sequence[Trial]) -> list[pruning.Curve]:
  """The curves of all trials except `but`."""
  own = {trial.number for trial in but}
  return [s.curve for s in statuses(study) if s.number not in own]


def is_over(study: Study) -> bool:
  """Whether all trials have ended."""
  return all(each.state in ENDED for each in statuses(study))


@contextlib.contextmanager
def _if_running(study: Study) -> Iterator[list[bool]]:
  """Yields a list: [True], or [] if the trial had ended before the change."""
  optuna, mine = storage.import_optuna(), [True]
  try:
    with study.exclusive():
      yield mine
  except optuna.exceptions.UpdateFinishedTrialError:
    mine.clear()


def _state(name: str) -> Any:
  return storage.import_optuna().trial.TrialState[name]


def _key(study: Study, number: int) -> int:
  of_study = study.storage.get_study_id_from_name(study.handle.study_name)
  return study.storage.get_trial_id_from_study_id_trial_number(of_study, number)


def _status(frozen: Any) -> TrialStatus:
  names = {name: state for state, name in _STATES.items()}
  state = names.get(frozen.state.name, frozen.state.name.lower())
  if state == "failed" and "reason" not in frozen.user_attrs:
    state = "waiting"  # for a retry
  duration = frozen.duration
  return TrialStatus(
    number=history.origin(frozen),
    attempt=frozen.user_attrs["attempt"],
    state=state,
    value=frozen.value if state == "complete" else None,
    curve=dict(frozen.intermediate_values),
    began=frozen.datetime_start and frozen.datetime_start.timestamp(),
    seconds=duration.total_seconds() if duration else None,
  )

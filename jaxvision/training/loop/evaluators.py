"""The evaluations of a run, by the prefix of their metrics.

"validation" and "test" evaluate the task on that split. "validation_ema" and
"test_ema" evaluate the moving average. Probes evaluate the features on the
validation split, with the moving average if the run has one. Suites evaluate
the same variables on data of their own.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jaxvision import metrics
from jaxvision.evaluation import evaluator, network, probes, suites
from jaxvision.tasks import contract
from jaxvision.training.setup import Parts
from jaxvision.training.step import TrainState

_LOGGER = logging.getLogger(__name__)

Evaluators = Mapping[str, Callable[..., metrics.Evaluation]]
Measures = Mapping[str, Callable[[TrainState], Mapping[str, float]]]


def make_evaluators(
  parts: Parts,
  *,
  interruptible: Callable[[Iterator[Any]], Iterator[Any]] = iter,
) -> Evaluators:
  """The evaluations by name: "validation", "test", and "..._ema" if averaged.

  An evaluation takes a state, `limit`, the number of batches (None means all),
  and `keep`, the most numbers of outputs that it returns. `interruptible`
  iterates over the batches. If it raises an exception, the evaluation ends.
  """
  found = {}
  for role, batches in parts.batches.items():
    if role == "train":
      continue
    evaluate = evaluator.make_evaluator(
      parts.task.evaluate,
      batches,
      parts.mesh,
      finish=parts.task.finish,
      merge=parts.task.merge,
      rank=parts.task.rank,
      placement=parts.placement,
      constants=parts.task.constants,
      interruptible=interruptible,
    )
    found[role] = _of("variables", evaluate)
    if parts.averaged:
      found[f"{role}_ema"] = _of("ema", evaluate)
  return found


def _of(name: str, evaluate: Callable[..., metrics.Evaluation]):
  """The evaluation of one attribute of the state: "variables" or "ema"."""
  return lambda state, limit=None, keep=0: evaluate(
    getattr(state, name), limit, keep
  )


def warm_up(evaluators: Evaluators, state: TrainState) -> None:
  """Compiles the regular evaluations by evaluating one batch.

  A compilation may take minutes and cannot be interrupted. It is done early,
  when little progress is unsaved. A lack of memory is also found early.
  """
  for evaluate in _of_validation(evaluators).values():
    evaluate(state, limit=1)


def make_measures(parts: Parts, evaluators: Evaluators) -> Measures:
  """The regular evaluations by name: state -> metrics.

  They are the evaluations on the validation split, the probes and the suites. A
  probe is fitted to the training split without augmentation.

  Raises:
    FileNotFoundError: the data of a suite do not exist.
    ValueError: an unknown probe, layer or suite; probes or suites without a
      validation split, or of a generator; data of a suite that do not fit to
      the run.
  """
  measures = {
    name: _measured(name, evaluate, parts.task.problem)
    for name, evaluate in _of_validation(evaluators).items()
  }
  if not (parts.probes or parts.suites):
    return measures
  parts.task.check_features()
  _check_validation(parts)
  name = "validation_ema" if parts.averaged else "validation"
  probe = _make_probes(parts) if parts.probes else lambda variables: {}
  suite = suites.make_evaluator(parts.suites, _network(parts))

  def measure(state: TrainState) -> dict[str, float]:
    variables = state.ema if parts.averaged else state.variables
    variables = contract.of_model(parts.task, variables)
    found = _flat(probe(variables)) | suites.flat(suite(variables))
    return measures[name](state) | found

  return {**measures, name: measure}


def _check_validation(parts: Parts) -> None:
  """Raises ValueError for probes or suites without a validation split."""
  calls = {"evaluate.probes": parts.probes, "evaluate.suites": parts.suites}
  for key, given in calls.items():
    if given and "validation" not in parts.splits:
      raise ValueError(
        f"{key} {given} are measured with the validation split, and "
        f"data.validation is empty; name a split, or leave {key} out"
      )


def _network(parts: Parts) -> network.Network:
  """The network of a run, as suites see it."""
  return network.Network(
    model=parts.model,
    class_names=parts.class_names,
    image_shape=parts.batches["validation"].image_shape,
    normalization=parts.normalization,
    mesh=parts.mesh,
    labels=parts.splits["validation"].label_kind,
  )


def _measured(
  name: str,
  evaluate: Callable[..., metrics.Evaluation],
  problem: Callable[[Mapping[str, float]], str],
) -> Callable[[TrainState], Mapping[str, float]]:
  """The metrics of an evaluation; logs the problem that they show."""

  def measure(state: TrainState) -> Mapping[str, float]:
    found = evaluate(state).metrics
    if text := problem(found):
      _LOGGER.warning("%s: %s", name, text)
    return found

  return measure


def _of_validation(evaluators: Evaluators) -> Evaluators:
  return {
    name: evaluate
    for name, evaluate in evaluators.items()
    if name.startswith("validation")
  }


def _make_probes(parts: Parts):
  return probes.make_evaluator(
    parts.probes,
    parts.model,
    parts.fitted,
    parts.batches["validation"],
    num_classes=len(parts.class_names),
    normalization=parts.normalization,
    mesh=parts.mesh,
  )


def _flat(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
  """{probe: {metric: value}} -> {"probe/metric": value}."""
  return {
    f"{probe}/{metric}": value
    for probe, values in found.items()
    for metric, value in values.items()
  }

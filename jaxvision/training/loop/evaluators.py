"""What a run measures of its state, by the name that the metrics have.

"validation" and "test" are classification on that split; "..._ema" the same of
the moving average. Probes of the features belong to the validation split and to
the average where there is one, for that is what a run is judged by.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jaxvision import data
from jaxvision.evaluation import classification, probes
from jaxvision.training.setup import assembly
from jaxvision.training.step import forward
from jaxvision.training.step.train_step import TrainState

Evaluators = Mapping[str, Callable[..., classification.Evaluation]]
Measures = Mapping[str, Callable[[TrainState], Mapping[str, float]]]


def make_evaluators(
  parts: assembly.Parts,
  *,
  watched: Callable[[Iterator[Any]], Iterator[Any]] = iter,
) -> Evaluators:
  """By name: "validation", "test", and "..._ema" where there is an average.

  Each takes a state, and `limit`: of how many batches, all without it. They
  come through `watched`; what it raises ends the evaluation.
  """
  task_sums = forward.make_task_sums(parts.config, parts.model, mesh=parts.mesh)
  evaluators = {}
  for role, batches in parts.batches.items():
    if role != "train":
      evaluate = classification.make_evaluator(
        task_sums,
        batches,
        parts.mesh,
        placement=parts.config.data.placement,
        watched=watched,
      )
      evaluators[role] = lambda state, limit=None, f=evaluate: f(
        state.variables, limit
      )
      if parts.config.ema.decay:
        evaluators[f"{role}_ema"] = lambda state, limit=None, f=evaluate: f(
          state.ema, limit
        )
  return evaluators


def warm_up(evaluators: Evaluators, state: TrainState) -> None:
  """Compiles what is run every evaluate.every, by measuring one batch.

  Compiling takes minutes at times and cannot be interrupted: better early,
  while little is unsaved. What does not fit in memory is known then, too.
  """
  for evaluate in _of_validation(evaluators).values():
    evaluate(state, limit=1)


def make_measures(parts: assembly.Parts, evaluators: Evaluators) -> Measures:
  """What is measured every evaluate.every: by name, state -> metrics.

  Of the evaluators those of the validation split, and the probes that
  evaluate.probes names, fitted to the training split without augmentation.

  Raises:
    ValueError: an unknown probe or layer, or probes without a validation split.
  """
  measures = {
    name: lambda state, f=evaluate: f(state).metrics
    for name, evaluate in _of_validation(evaluators).items()
  }
  names = tuple(parts.config.evaluate.probes)
  if not names:
    return measures
  if "validation" not in parts.splits:
    raise ValueError(
      f"evaluate.probes {names} are measured on the validation split, and "
      "data.validation is empty; name a split, or leave the probes out"
    )
  averaged = parts.config.ema.decay > 0
  name = "validation_ema" if averaged else "validation"
  probe = _make_probes(parts, names)

  def measure(state: TrainState) -> dict[str, float]:
    variables = state.ema if averaged else state.variables
    return measures[name](state) | _flat(probe(variables))

  return {**measures, name: measure}


def _of_validation(evaluators: Evaluators) -> Evaluators:
  return {
    name: evaluate
    for name, evaluate in evaluators.items()
    if name.startswith("validation")
  }


def _make_probes(parts: assembly.Parts, names: tuple[str, ...]):
  split, of_data = parts.splits["train"], parts.config.data
  return probes.make_evaluator(
    names,
    parts.model,
    assembly.make_batches(parts.config, split, train=False, mesh=parts.mesh),
    parts.batches["validation"],
    num_classes=len(split.class_names),
    normalization=data.Normalization(of_data.mean, of_data.std),
    mesh=parts.mesh,
  )


def _flat(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
  """{probe: {metric: value}} -> {"probe/metric": value}."""
  return {
    f"{probe}/{metric}": value
    for probe, metrics in found.items()
    for metric, value in metrics.items()
  }

"""The measures of a method of attribution on some images."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxvision import interpret
from jaxvision.evaluation.explanations import (
  baselines,
  perturbation,
  pointing_game,
  randomization,
)
from jaxvision.evaluation.explanations.examples import Examples
from jaxvision.evaluation.network import Network

Tree = Any
# (variables, targets (b,)) -> maps (b, h, w)
Explain = Callable[[Tree, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Settings:
  """How methods are judged; see `comparison.suite` for the meaning.

  Attributes:
    methods: calls of methods, and names of baselines.
    measures: of `comparison.MEASURES`.
    step: of the curves, in pixels; None for the default.
    tolerance: of the pointing game, in pixels.
    smoothing: of the maps in the pointing game, a share of the longer side.
    foreground: least and largest value of a mask on the object.
    seed: of random maps and layers.
  """

  methods: tuple[str, ...]
  measures: tuple[str, ...]
  step: int | None
  tolerance: int
  smoothing: float
  foreground: tuple[int, int]
  seed: int


@dataclasses.dataclass(frozen=True)
class Trained:
  """A network with everything that the measures need of it.

  Attributes:
    network: the network.
    variables: of its model.
    drawn: new initial variables; None without the sanity check.
    stages: the layers that are random in each stage of the sanity check.
    answers: (k,) the label in the data of each logit; None without the pointing
      game.
  """

  network: Network
  variables: Tree
  drawn: Tree = None
  stages: Sequence[Sequence[str]] = ()
  answers: np.ndarray | None = None


def measure(
  method: str, of: Trained, examples: Examples, settings: Settings
) -> dict[str, np.ndarray]:
  """The values of a method for each image, by measure.

  All are (b,), except "sanity" (stages, b). "constant" is 1 for maps of one
  value.
  """
  explain = _make_explain(method, of, examples, settings)
  predicted = examples.logits.argmax(axis=1)
  maps = explain(of.variables, predicted)
  found = {"constant": np.ptp(maps, axis=(1, 2)) == 0}
  for form in ("deletion", "insertion"):
    if form in settings.measures:
      curves = perturbation.curves(
        of.network.model,
        of.variables,
        examples.images,
        maps,
        predicted,
        form=form,
        step=settings.step,
      )
      found[form] = perturbation.area(curves)
  if "pointing" in settings.measures:
    targets = targets_of(examples.labels, of.answers, logits=examples.logits)
    of_labels = pointing_game.smoothed(
      explain(of.variables, targets), share=settings.smoothing
    )
    found["pointing"] = pointing_game.hits(of_labels, examples.regions)
  if "sanity" in settings.measures:
    found["sanity"] = randomization.correlations(
      lambda changed: explain(changed, predicted),
      of.variables,
      of.drawn,
      of.stages,
      maps=maps,
    )
  return found


def targets_of(
  labels: np.ndarray, answers: np.ndarray, *, logits: np.ndarray
) -> np.ndarray:
  """The class of the network that belongs to each label, (b,) int.

  If several classes of the network are one class of the data, it is the one
  with the largest logit. A label that the network lacks gives class 0.

  Args:
    labels: (b,) of the data.
    answers: (k,), the label of each class of the network.
    logits: (b, k).
  """
  own = answers[None] == labels[:, None]
  return np.where(own, logits, -np.inf).argmax(axis=1)


def _make_explain(
  method: str, of: Trained, examples: Examples, settings: Settings
) -> Explain:
  if method in baselines.NAMES:
    maps = baselines.maps(
      method,
      examples.positions,
      of.network.image_shape[:2],
      seed=settings.seed,
    )
    return lambda variables, targets: maps
  images = jnp.asarray(examples.images)

  def explain(variables: Tree, targets: np.ndarray) -> np.ndarray:
    return interpret.attribute(
      method, of.network.model, variables, images, targets
    )

  return explain

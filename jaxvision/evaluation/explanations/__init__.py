"""Judging of heat maps: deletion, insertion, pointing game, sanity check."""

from jaxvision.evaluation.explanations.comparison import MEASURES, suite

__all__ = [
  "MEASURES",
  "baselines",
  "comparison",
  "judging",
  "object_regions",
  "perturbation",
  "pointing_game",
  "randomization",
  "suite",
]

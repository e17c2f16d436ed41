"""Probes: simple classifiers on the features of a frozen model.

`fewshot`, `knn`, `discriminant` and `logistic` share two functions,

  fit(features (n, d), labels (n,), *, num_classes, ...) -> tree
  predict(tree, features (m, d)) -> logits (m, num_classes)

and `visual_words` computes features from pixels.
"""

from jaxvision.evaluation.probes.probe import make_evaluator, run

__all__ = [
  "discriminant",
  "features",
  "fewshot",
  "knn",
  "logistic",
  "make_evaluator",
  "run",
  "visual_words",
]

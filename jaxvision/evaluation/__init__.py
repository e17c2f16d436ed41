"""What a set of variables is worth, measured on a split.

`fewshot`, `knn`, `discriminant` and `logistic` are classifiers on top of
features that stay as they are; each has the same two functions,

  fit(features (n, d), labels (n,), *, num_classes, ...) -> tree
  predict(tree, features (m, d)) -> logits (m, num_classes)

and `visual_words` makes features of pixels.
"""

from jaxvision.evaluation import (
  classification,
  discriminant,
  fewshot,
  knn,
  logistic,
  visual_words,
)

__all__ = [
  "classification",
  "discriminant",
  "fewshot",
  "knn",
  "logistic",
  "visual_words",
]

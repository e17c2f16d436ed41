"""Logistic regression, LDA, QDA or kNN: which one wins where?

  python experiments/papers/classical_scenarios.py

The six simulated scenarios of James et al., An Introduction to Statistical
Learning (ISLR), section 4.5 (4.4 in the first edition): two classes, two
predictors, 100 training sets of 20 examples of each class, and a large test set
(1,000 of each class here).

  1  Gaussians without correlation, equal covariances
  2  the same, with the correlation -0.5
  3  t distribution with four degrees of freedom, without correlation
  4  Gaussians, correlation 0.5 in one class and -0.5 in the other
  5  no correlation; the label is drawn by a logistic function of the squares
     and the product of the predictors
  6  the same with "an even more complicated non-linear function": here the
     logistic function of 3 sin(2 x1) - 3 sin(2 x2) + x1 x2

ISLR does not print the means and the coefficients. Here the means of 1 to 4 are
(0, 0) and (1, 1), and the coefficients of 5 are -2 + x1^2 + x2^2 + x1 x2. kNN
has K = 1, and K of 1, 3, 5, ..., 29 by five-fold cross-validation ("kNN-CV").
The other methods are those of jaxvision.evaluation.probes.

How to read the answer: the mean error over the 100 sets, with paired intervals
(Student's t, 95 %; Holm over the statements). The claim has six statements of
the book; one is true if the interval of the difference excludes 0:

  1  LDA has less error than QDA and than kNN-1
  2  the same
  3  logistic regression has less error than QDA
  4  QDA has the least error of all
  5  QDA has less error than LDA and than logistic regression
  6  kNN-CV has the least error of all, and kNN-1 more than kNN-CV

It "holds" if all six are true, "holds in part" if at least three are.
"""

import functools
from collections.abc import Mapping
from typing import Any

import claims
import jax.numpy as jnp
import numpy as np

CLAIM = claims.Claim(
  sentence="LDA and logistic regression win where the boundary is linear, QDA "
  "where it is quadratic, and kNN with the right K where it is more "
  "complicated.",
  source="James et al., An Introduction to Statistical Learning, Figures 4.10 "
  "and 4.11",
  published="box plots without numbers",
  data="six simulated scenarios",
  untested="The coefficients of the book, which it does not print.",
)
METHODS = ("kNN-1", "kNN-CV", "LDA", "logistic", "QDA")
_SETS, _EXAMPLES, _TESTS = 100, 20, 1000
_NEIGHBOURS, _FOLDS = tuple(range(1, 30, 2)), 5
# scenario -> pairs (method with less error, method with more error)
STATEMENTS: Mapping[int, tuple[tuple[str, str], ...]] = {
  1: (("LDA", "QDA"), ("LDA", "kNN-1")),
  2: (("LDA", "QDA"), ("LDA", "kNN-1")),
  3: (("logistic", "QDA"),),
  4: tuple(("QDA", other) for other in METHODS if other != "QDA"),
  5: (("QDA", "LDA"), ("QDA", "logistic")),
  6: tuple(("kNN-CV", other) for other in METHODS if other != "kNN-CV"),
}


def draw(
  scenario: int, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the predictors (2 count, 2) and the labels (2 count,)."""
  if scenario >= 5:
    return _draw_labels(scenario, count, rng)
  labels = np.repeat((0, 1), count)
  correlations = {2: (-0.5, -0.5), 4: (0.5, -0.5)}.get(scenario, (0.0, 0.0))
  parts = []
  for label, r in enumerate(correlations):
    x = rng.multivariate_normal((0, 0), [[1, r], [r, 1]], size=count)
    if scenario == 3:
      x = rng.standard_t(4, size=(count, 2))
    parts.append(x + label)
  return np.concatenate(parts), labels


def _draw_labels(
  scenario: int, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Predictors first, then labels; drawn until both classes are complete."""
  x = rng.normal(size=(40 * count, 2))
  a, b = x.T
  score = -2 + a**2 + b**2 + a * b
  if scenario == 6:
    score = 3 * np.sin(2 * a) - 3 * np.sin(2 * b) + a * b
  labels = (rng.random(len(x)) < 1 / (1 + np.exp(-score))).astype(int)
  chosen = np.concatenate([np.flatnonzero(labels == k)[:count] for k in (0, 1)])
  return x[chosen], labels[chosen]


def errors(scenario: int, seed: int) -> dict[str, float]:
  """Returns {method: test error} for one training set."""
  rng = np.random.default_rng((scenario, seed))
  train, test = (draw(scenario, n, rng) for n in (_EXAMPLES, _TESTS))
  found = {
    "kNN-1": _nearest(*train, *test, 1),
    "kNN-CV": _nearest(*train, *test, _best_k(*train, rng)),
  }
  for method in METHODS[2:]:
    predict = _fit(method, *train)
    found[method] = float((predict(test[0]) != test[1]).mean())
  return found


def _fit(method: str, x: np.ndarray, labels: np.ndarray) -> Any:
  """Returns the function that predicts the classes of a fitted method."""
  from jaxvision.evaluation.probes import discriminant, logistic

  if method == "logistic":
    module, options = logistic, {"strength": 1e-6}
  else:
    kind = {"LDA": "linear", "QDA": "quadratic"}[method]
    module, options = discriminant, {"kind": kind, "shrinkage": 0.0}
  features = jnp.asarray(x, jnp.float32)
  tree = module.fit(features, jnp.asarray(labels), num_classes=2, **options)
  predict = functools.partial(module.predict, tree)
  return lambda x: np.asarray(predict(jnp.asarray(x, jnp.float32))).argmax(1)


def _nearest(x, labels, queries, truth, k: int) -> float:
  distances = ((queries[:, None] - x[None]) ** 2).sum(-1)
  nearest = labels[np.argsort(distances, axis=1, kind="stable")[:, :k]]
  return float(((nearest.mean(axis=1) > 0.5) != truth).mean())


def _best_k(x, labels, rng: np.random.Generator) -> int:
  folds = np.array_split(rng.permutation(len(x)), _FOLDS)
  totals = []
  for k in _NEIGHBOURS:
    wrong = []
    for fold in folds:
      kept = np.setdiff1d(np.arange(len(x)), fold)
      wrong.append(_nearest(x[kept], labels[kept], x[fold], labels[fold], k))
    totals.append(np.mean(wrong))
  return _NEIGHBOURS[int(np.argmin(totals))]


def measure(quick: bool) -> claims.Finding:
  """Fits all methods to all sets of all scenarios."""
  from scipy import stats

  from jaxvision.report import significance

  sets = 5 if quick else _SETS
  found = {
    scenario: {
      method: np.array([each[method] for each in of_sets]) for method in METHODS
    }
    for scenario in STATEMENTS
    for of_sets in [[errors(scenario, seed) for seed in range(sets)]]
  }
  pairs = [(s, *pair) for s, each in STATEMENTS.items() for pair in each]
  values = [
    float(stats.ttest_rel(found[s][less], found[s][more]).pvalue)
    for s, less, more in pairs
  ]
  true = dict.fromkeys(STATEMENTS, True)
  for (s, less, more), p in zip(pairs, significance.holm(values), strict=True):
    true[s] &= bool(p < 0.05 and found[s][less].mean() < found[s][more].mean())
  number = sum(true.values())
  verdict = "holds in part" if number >= 3 else "does not hold"
  return claims.Finding(
    ours=f"true: {number} of 6 ("
    + ", ".join(str(s) for s, each in true.items() if each)
    + "); least mean error: "
    + ", ".join(_best(s, each) for s, each in found.items()),
    verdict="holds" if number == 6 else verdict,
    seeds=sets,
    figure=_draw(found),
  )


def _best(scenario: int, found: Mapping[str, np.ndarray]) -> str:
  name = min(found, key=lambda method: found[method].mean())
  return f"{scenario} {name} {100 * found[name].mean():.1f} %"


def _draw(found: Mapping[int, Mapping[str, np.ndarray]]) -> Any:
  made, panels = claims.figure(6, width=1.8)
  for axes, (scenario, each) in zip(panels, found.items(), strict=True):
    axes.boxplot(list(each.values()), showfliers=False)
    axes.set_xticks(range(1, 6), METHODS, rotation=90, fontsize=7)
    axes.set_title(f"scenario {scenario}", fontsize=8)
  panels[0].set_ylabel("test error")
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)

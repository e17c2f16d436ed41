"""Accuracy hides a rare class; precision, recall and F1 show it.

  python experiments/papers/rare_classes.py

1,000 examples have one feature. A share of them is of the rare class, whose
feature is a Gaussian around 2; the others are around 0. Logistic regression
(scikit-learn) is fitted to as many other examples, and a trivial rule predicts
the common class for all. jaxvision's metrics of both are compared, 20 seeds for
each of five shares. The metrics themselves are checked against scikit-learn's.

How to read the answer: the claim "holds" if (a) at a share of 1 %, the accuracy
of the trivial rule is within one point of the regression's, (b) its recall and
F1 of the rare class are 0 and those of the regression are not (the interval of
the mean is above 0), (c) with the share, the regression's recall rises while
its accuracy falls (Spearman over the means), and (d) all metrics equal
scikit-learn's up to 1e-6. It "holds in part" if (d) and one more are true.
"""

from typing import Any

import claims
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.metrics import classification, confusion

CLAIM = claims.Claim(
  sentence="Where a class is rare, accuracy rewards a rule that never predicts "
  "it; precision, recall and F1 of the class do not.",
  source="Reviews of metrics; Powers 2011, Evaluation: from precision, recall "
  "and F-measure to ROC",
  published="",
  data="Gaussians",
  untested="Costs of the two kinds of errors, which decide in practice.",
)
SHARES = (0.01, 0.02, 0.05, 0.1, 0.3)
_EXAMPLES, _SEEDS = 1000, 20
_NAMES = ("accuracy", "precision", "recall", "f1")


def draw(share: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
  """Returns the features (n, 1) and the labels (n,); 1 is the rare class."""
  labels = np.zeros(_EXAMPLES, int)
  labels[: round(share * _EXAMPLES)] = 1
  return rng.normal(2.0 * labels)[:, None], labels


def score(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
  """Returns accuracy, and precision, recall and F1 of the rare class."""
  sums = classification.sums(
    jnp.asarray(logits), jax.nn.one_hot(labels, 2), jnp.ones(len(labels))
  )
  of_classes = confusion.class_scores(np.asarray(sums["confusion"]))
  rare = {name: float(getattr(of_classes, name)[1]) for name in _NAMES[1:]}
  return {"accuracy": classification.finish(sums)["top1"], **rare}


def error_of(logits: np.ndarray, labels: np.ndarray) -> float:
  """The largest difference of `score` from scikit-learn's metrics.

  Ours are NaN where they are undefined, 0 / 0, and theirs are 0 there.
  """
  from sklearn import metrics

  guesses = logits.argmax(axis=1)
  precision, recall, f1, _ = metrics.precision_recall_fscore_support(
    labels, guesses, average="binary", zero_division=0.0
  )
  accuracy = metrics.accuracy_score(labels, guesses)
  theirs = dict(zip(_NAMES, (accuracy, precision, recall, f1), strict=True))
  ours = score(logits, labels)
  return max(abs(np.nan_to_num(ours[n]) - theirs[n]) for n in _NAMES)


def measure(quick: bool) -> claims.Finding:
  """Scores the rule and the regression for all shares and seeds."""
  from scipy import stats
  from sklearn import linear_model

  seeds = 4 if quick else _SEEDS
  found: dict[str, dict[float, list[dict[str, float]]]] = {
    "rule": {share: [] for share in SHARES},
    "regression": {share: [] for share in SHARES},
  }
  errors = []
  for share in SHARES:
    for seed in range(seeds):
      rng = np.random.default_rng((seed, round(1000 * share)))
      fitted = linear_model.LogisticRegression().fit(*draw(share, rng))
      features, labels = draw(share, rng)
      rule = np.tile([1.0, 0.0], (_EXAMPLES, 1))
      regression = np.log(fitted.predict_proba(features))
      for name, logits in (("rule", rule), ("regression", regression)):
        found[name][share].append(score(logits, labels))
        errors.append(error_of(logits, labels))
  means = {
    who: {
      key: [
        claims.mean_and_half([e[key] for e in each]) for each in shares.values()
      ]
      for key in _NAMES
    }
    for who, shares in found.items()
  }
  rule, own = means["rule"], means["regression"]
  gap = own["accuracy"][0][0] - rule["accuracy"][0][0]
  slopes = {
    key: stats.spearmanr(SHARES, [mean for mean, _ in own[key]]).statistic
    for key in ("recall", "accuracy")
  }
  parts = (
    abs(gap) <= 0.01,
    all(rule[k][0][0] == 0 and own[k][0][0] > own[k][0][1] for k in _NAMES[2:]),
    slopes["recall"] > 0 > slopes["accuracy"],
  )
  exact = max(errors) < 1e-6
  verdict = "holds in part" if exact and any(parts) else "does not hold"
  return claims.Finding(
    ours=f"at 1 %: accuracy {rule['accuracy'][0][0]:.1%} (rule) and "
    f"{own['accuracy'][0][0]:.1%} (regression); recall 0 and "
    f"{own['recall'][0][0]:.0%} \u00b1 {own['recall'][0][1]:.0%}",
    verdict="holds" if exact and all(parts) else verdict,
    seeds=seeds,
    figure=_draw(means),
  )


def _draw(means: Any) -> Any:
  made, panels = claims.figure(2)
  for axes, (who, each) in zip(panels, means.items(), strict=True):
    for name in _NAMES:
      values, halves = zip(*each[name], strict=True)
      axes.errorbar(SHARES, values, halves, label=name, capsize=2)
    axes.set_xscale("log")
    axes.set_xlabel("share of the rare class")
    axes.set_title({"rule": "always common"}.get(who, who), fontsize=9)
  panels[0].legend(fontsize=7)
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)

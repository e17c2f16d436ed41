"""ROC and precision by recall are those of scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from jaxvision.metrics import operating_curves


@pytest.mark.parametrize("ties", [False, True])
def test_curves_are_those_of_scikit_learn(ties):
  rng = np.random.default_rng(0)
  positive = rng.random(200) < 0.3
  scores = rng.normal(size=200) + positive
  scores = scores.round(1) if ties else scores
  found = operating_curves.operating_curves(scores, positive)
  rate, recall, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
  np.testing.assert_allclose(found.false_positive_rate, rate)
  np.testing.assert_allclose(found.recall, recall)
  precision, recall, _ = metrics.precision_recall_curve(positive, scores)
  np.testing.assert_allclose(found.precision, precision[::-1])
  np.testing.assert_allclose(found.recall, recall[::-1])
  assert found.area == pytest.approx(metrics.roc_auc_score(positive, scores))
  assert found.average_precision == pytest.approx(
    metrics.average_precision_score(positive, scores)
  )


@pytest.mark.parametrize("only", [False, True])
def test_one_class_alone_has_no_curves(only):
  scores, positive = np.arange(3.0), np.full(3, only)
  assert operating_curves.operating_curves(scores, positive) is None

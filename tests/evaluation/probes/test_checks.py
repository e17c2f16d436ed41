"""Tests of jaxvision.evaluation.probes.checks."""

import jax
import numpy as np
import pytest

from jaxvision.evaluation.probes import checks

FEATURES = np.ones((4, 2), np.float32)
LABELS = np.asarray([0, 1, 2, 2])


def test_valid_examples_pass():
  checks.check(FEATURES, LABELS, num_classes=3)
  checks.check_classes(LABELS, num_classes=3)


@pytest.mark.parametrize(
  ("features", "labels", "num_classes", "problem"),
  [
    (np.ones((4, 2, 1)), LABELS, 3, r"features have shape \(4, 2, 1\)"),
    (np.ones((0, 2)), LABELS[:0], 3, r"at least one example"),
    (FEATURES, LABELS[:3], 3, r"labels have shape \(3,\), features \(4, 2\)"),
    (
      FEATURES,
      LABELS * 1.0,
      3,
      "labels are float64; they must be integer classes",
    ),
    (FEATURES, LABELS, 2, r"in \[0, 2\], outside the 2 classes"),
    (FEATURES, LABELS - 1, 3, r"in \[-1, 1\], outside the 3 classes"),
    (FEATURES, LABELS * 0, 1, "num_classes is 1; there must be at least 2"),
    (FEATURES * np.inf, LABELS, 3, "4 of 4 examples .*, the first in row 0"),
  ],
)
def test_invalid_examples_are_errors(features, labels, num_classes, problem):
  with pytest.raises(ValueError, match=problem):
    checks.check(features, labels, num_classes=num_classes)


def test_names_the_classes_with_too_few_examples():
  with pytest.raises(ValueError, match=r"2 of 3 .* class 0 \(1\), 1 \(1\);"):
    checks.check_classes(LABELS, num_classes=3, at_least=2)
  with pytest.raises(ValueError, match=r"6 of 9 .*, 7 \(0\), \.\.\.;"):
    checks.check_classes(LABELS, num_classes=9)


def test_values_that_do_not_exist_yet_pass_but_shapes_do_not():
  @jax.jit
  def traced(features, labels):
    checks.check(features, labels, num_classes=2)
    checks.check_classes(labels, num_classes=9)
    return 0

  traced(FEATURES * np.nan, LABELS)
  with pytest.raises(ValueError, match="one label per example"):
    traced(FEATURES, LABELS[:3])

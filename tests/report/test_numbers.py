"""Numbers are formatted for readers, and never as 'nan'."""

import numpy as np
import pytest

from jaxvision.report import numbers


@pytest.mark.parametrize(
  ("written", "expected"),
  [
    (numbers.percent(0.98611), "98.61%"),
    (numbers.significant(0.0123456), "0.01235"),
    (numbers.integer(np.int64(1797)), "1,797"),
    (numbers.magnitude(1_234_567), "1.23 M"),
    (numbers.magnitude(25_557_032, unit="B"), "25.6 MB"),
    (numbers.magnitude(650), "650"),
    (numbers.duration(12.34), "12.3 s"),
    (numbers.duration(59.99), "60 s"),
    (numbers.duration(3725), "1 h 2 min"),
    (numbers.duration(92), "1 min 32 s"),
    (numbers.metric("top1", np.float32(0.5)), "50.00%"),
    (numbers.metric("loss", 0.5), "0.5"),
    (numbers.metric("subset_accuracy", 0.5), "50.00%"),
    (numbers.metric("exact_match", 0.5), "50.00%"),
    (numbers.duration(4.83e-5), "0.0483 ms"),
  ],
)
def test_formatting(written, expected):
  assert written == expected


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["percent", "significant", "integer"])
def test_no_number_is_a_dash(name, value):
  assert getattr(numbers, name)(value) == numbers.NOTHING
  assert numbers.magnitude(value) == numbers.NOTHING
  assert numbers.duration(value) == numbers.NOTHING

"""Numbers are written as people read them, and never as 'nan'."""

import numpy as np
import pytest

from jaxvision.analysis import formats


@pytest.mark.parametrize(
  ("written", "expected"),
  [
    (formats.percent(0.98611), "98.61%"),
    (formats.significant(0.0123456), "0.01235"),
    (formats.integer(np.int64(1797)), "1,797"),
    (formats.magnitude(1_234_567), "1.23 M"),
    (formats.magnitude(25_557_032, unit="B"), "25.6 MB"),
    (formats.magnitude(650), "650"),
    (formats.duration(12.34), "12.3 s"),
    (formats.duration(59.99), "60 s"),
    (formats.duration(3725), "1 h 2 min"),
    (formats.duration(92), "1 min 32 s"),
    (formats.metric("top1", np.float32(0.5)), "50.00%"),
    (formats.metric("loss", 0.5), "0.5"),
  ],
)
def test_written_as(written, expected):
  assert written == expected


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["percent", "significant", "integer"])
def test_no_number_is_a_dash(name, value):
  assert getattr(formats, name)(value) == formats.NOTHING
  assert formats.magnitude(value) == formats.NOTHING
  assert formats.duration(value) == formats.NOTHING

"""Curves of the best children agree with a slow obvious version."""

import math

import numpy as np
import pytest
from scipy import stats

from jaxvision.report import search_progress
from jaxvision.report.search_progress import Found, Progress
from jaxvision.runs.search_folder import Child, Part


def _slow(children, top, sign):
  means = []
  for n in range(1, len(children) + 1):
    first = {}
    for identity, value in children[:n]:
      if value is not None:
        first.setdefault(identity, value)
    best = sorted(first.values(), key=lambda value: -sign * value)[:top]
    means.append(np.mean(best) if len(best) == top else math.nan)
  return means


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("top", [1, 3])
def test_means_of_the_best_different_children(top, sign):
  rng = np.random.default_rng(0)
  children = [
    (int(rng.integers(30)), None if rng.random() < 0.3 else rng.normal())
    for _ in range(60)
  ]
  found = search_progress.means_of_best(children, top=top, sign=sign)
  np.testing.assert_allclose(found, _slow(children, top, sign), rtol=1e-12)


def _search(values):
  part = Part("random-0", "random", 0, None)
  return [
    Found(part, Child(i, "complete", value, ()), i)
    for i, value in enumerate(values)
  ]


def test_mean_and_interval_are_over_the_searches_of_so_many_children():
  values = ([0.1, 0.4, 0.2], [0.3, 0.2, 0.5], [0.2])
  found = search_progress.measure(
    [_search(each) for each in values], top=1, sign=1
  )
  assert found.searches.tolist() == [3, 2, 2]
  np.testing.assert_allclose(found.mean, [0.2, 0.35, 0.45])
  first = stats.t.interval(0.95, 2, 0.2, stats.sem([0.1, 0.3, 0.2]))
  assert found.mean[0] + found.half[0] == pytest.approx(first[1])
  assert search_progress.last(found) == (found.mean[0], found.half[0])
  alone = search_progress.measure([_search([0.1, 0.3])], top=1, sign=1)
  assert np.isnan(alone.half).all()
  nothing = search_progress.measure([], top=1, sign=1)
  assert isinstance(nothing, Progress)
  assert np.isnan(search_progress.last(nothing)).all()

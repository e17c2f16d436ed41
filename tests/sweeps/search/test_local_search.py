"""Local search equals a climb that keeps its state."""

import numpy as np
import pytest
import searched_spaces
from searched_spaces import COUNTS

from jaxvision.sweeps import search
from jaxvision.sweeps.search import local_search


def _climbs(value, *, children, seed):
  """The search with loops and state instead of the history."""
  known, found = {}, []

  def ask(picks):
    known[picks] = value(picks)
    found.append(picks)
    if len(found) == children:
      raise StopIteration

  try:
    while True:
      rng = np.random.default_rng([seed, len(found)])
      here = tuple(map(int, rng.integers(0, COUNTS)))
      while here in known:
        here = tuple(map(int, rng.integers(0, COUNTS)))
      ask(here)
      improved = True
      while improved:
        improved = False
        for neighbour in local_search._neighbours(here, COUNTS, seed):
          if neighbour not in known:
            ask(neighbour)
          if known[neighbour] > known[here]:
            here, improved = neighbour, True
            break
  except StopIteration:
    return found


@pytest.mark.parametrize("seed", range(5))
def test_it_equals_a_search_that_keeps_its_state(seed):
  value = searched_spaces.values(seed).get
  found = searched_spaces.run(
    local_search.local_search(), value, children=50, seed=seed
  )
  assert [c.picks for c in found] == _climbs(value, children=50, seed=seed)


def test_the_neighbours_are_all_points_with_one_other_label():
  for seed in range(3):
    found = local_search._neighbours((1, 2, 0, 2), COUNTS, seed)
    expected = [
      point
      for point in searched_spaces.POINTS
      if sum(a != b for a, b in zip(point, (1, 2, 0, 2), strict=True)) == 1
    ]
    assert sorted(found) == sorted(expected)
  orders = {local_search._neighbours((1, 2, 0, 2), COUNTS, s) for s in range(9)}
  assert len(orders) > 1


def test_a_smooth_space_is_climbed_without_a_restart():
  found = searched_spaces.run(
    local_search.local_search(), searched_spaces.smooth, children=25
  )
  top = next(c for c in found if c.value == 1)
  assert top.notes == {"start": 0}
  # No climb is longer than all neighbours of one point per decision.
  assert top.number <= len(COUNTS) * sum(n - 1 for n in COUNTS)


def test_workers_share_a_climb_and_start_others_if_they_must():
  start = search.Child(0, (0, 0, 0, 0), 0.5, {"start": 0})
  running = []
  for number in range(1, 12):
    proposal = local_search.propose(
      COUNTS, [start], running, seed=0, number=number
    )
    running.append(search.Child(number, proposal.picks, notes=proposal.notes))
  neighbours = sum(n - 1 for n in COUNTS)
  assert [c.notes["start"] for c in running[:neighbours]] == [0] * neighbours
  # All neighbours run, so the others are starts.
  others = running[neighbours:]
  assert [c.notes["start"] for c in others] == [c.number for c in others]


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_start_that_runs_or_failed_has_no_neighbours(value):
  start = search.Child(0, (0, 0, 0, 0), value, {"start": 0})
  history = ([], [start]) if np.isnan(value) else ([start], [])
  proposal = local_search.propose(COUNTS, *history, seed=0, number=1)
  assert proposal.notes == {"start": 1}

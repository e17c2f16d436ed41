"""What holds for every searcher."""

import math
import subprocess
import sys

import numpy as np
import pytest
import searched_spaces
from searched_spaces import COUNTS

from jaxvision import sweeps
from jaxvision.sweeps import search

SMALL = {
  "controller": {"batch": 4, "units": 8, "epochs": 2},
  "evolution": {"population": 5, "sample": 2},
  "local_search": {},
  "reinforce": {"batch": 4, "units": 8},
}


@pytest.fixture(params=search.SEARCHERS)
def searcher(request):
  return search.SEARCHERS[request.param](**SMALL[request.param])


def test_every_searcher_has_a_case():
  assert set(SMALL) == set(search.SEARCHERS)


def test_a_search_that_is_cut_anywhere_continues_as_if_it_was_not(searcher):
  value = searched_spaces.values().get
  whole = searched_spaces.run(searcher, value, children=22)
  for cut in (1, 3, 4, 5, 13, 21):
    # Another search in between replaces what the process remembers.
    searched_spaces.run(searcher, lambda _: 0.5, children=9)
    again = searched_spaces.run(searcher, value, children=22, ended=whole[:cut])
    assert again == whole


def test_other_seeds_give_other_searches(searcher):
  value = searched_spaces.values().get
  picks = {
    tuple(
      c.picks
      for c in searched_spaces.run(searcher, value, children=12, seed=seed)
    )
    for seed in range(3)
  }
  assert len(picks) == 3


def test_the_whole_space_is_searched_without_repetition(searcher):
  """Except for rare draws: a searcher accepts its last draw."""
  value = searched_spaces.values().get
  children = searched_spaces.run(searcher, value, children=60)
  assert len({child.picks for child in children}) == 60


def test_a_space_that_is_used_up_gives_children_again(searcher):
  children = searched_spaces.run(
    searcher, lambda _: 0.5, children=7, counts=(2, 1, 2)
  )
  assert {child.picks for child in children} == {
    (0, 0, 0),
    (0, 0, 1),
    (1, 0, 0),
    (1, 0, 1),
  }


def test_equivalent_children_are_proposed_once(searcher):
  """The last decision does not matter, so there are 24 different children."""
  ended = []
  value = searched_spaces.values().get
  for number in range(20):
    proposal = searcher.propose(
      COUNTS, ended, [], seed=0, number=number, identify=lambda p: p[:3]
    )
    ended.append(
      search.Child(
        number, proposal.picks, value(proposal.picks), proposal.notes
      )
    )
  assert len({child.picks[:3] for child in ended}) == 20


def test_running_children_are_not_proposed_again(searcher):
  ended = searched_spaces.run(
    searcher, searched_spaces.values().get, children=9
  )
  running = []
  for number in range(9, 25):
    proposal = searcher.propose(COUNTS, ended, running, seed=0, number=number)
    running.append(search.Child(number, proposal.picks, notes=proposal.notes))
  assert len({child.picks for child in [*ended, *running]}) == 25


def test_the_known_children_depend_on_no_value(searcher):
  count = searcher.known
  values = searched_spaces.values()
  one, other = (
    searched_spaces.run(searcher, value, children=count)
    for value in (values.get, lambda picks: -values[picks])
  )
  assert [c.picks for c in one] == [c.picks for c in other]
  running = []
  for number in range(count):
    proposal = searcher.propose(COUNTS, [], running, seed=0, number=number)
    running.append(search.Child(number, proposal.picks, notes=proposal.notes))
  assert [c.picks for c in one] == [c.picks for c in running]


def test_a_search_in_which_all_children_fail_goes_on(searcher):
  children = searched_spaces.run(searcher, lambda _: -np.inf, children=15)
  assert len({child.picks for child in children}) == 15


@pytest.mark.parametrize("name", ["evolution", "local_search"])
def test_a_learning_search_beats_the_expectation_of_random_search(name):
  """On a smooth space of 4,096 points; random draws are without replacement."""
  searcher = search.SEARCHERS[name](**SMALL[name])
  best = [
    max(
      child.value
      for child in searched_spaces.run(
        searcher,
        searched_spaces.smooth,
        children=60,
        seed=seed,
        counts=(4,) * 6,
      )
    )
    for seed in range(5)
  ]
  # k of 6 labels are 0 in comb(6, k) 3^(6 - k) points.
  points = [math.comb(6, k) * 3 ** (6 - k) for k in range(7)]
  below = [sum(points[:k]) for k in range(7)]
  # The expectation of the best of 60: the sum of P(best has at least k zeros).
  chances = [
    1 - math.comb(below[k], 60) / math.comb(4**6, 60) for k in range(1, 7)
  ]
  assert np.mean(best) > sum(chances) / 6 + 0.15


def test_the_door_needs_no_jax():
  code = (
    "import sys\nfrom jaxvision.sweeps import search\n"
    "search.SEARCHERS['controller']()\n"
    "print('jax' in sys.modules)"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == "False"
  assert "search" in sweeps.__all__

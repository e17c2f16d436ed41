"""Regularised evolution equals the pseudo-code of its paper."""

import collections

import numpy as np
import pytest
import searched_spaces
from scipy import stats
from searched_spaces import COUNTS

from jaxvision.sweeps import search
from jaxvision.sweeps.search import evolution


def _algorithm_1(value, *, cycles, population, sample, seed):
  """Real et al. 2019, algorithm 1, line by line, with the same draws."""
  history = []
  members = collections.deque()
  while len(history) < cycles:
    rng = np.random.default_rng([seed, len(history)])
    known = [picks for picks, _ in history]
    while True:  # the paper does not ask for new children
      if len(history) < population:
        picks = tuple(rng.integers(0, COUNTS))
      else:
        drawn = [
          members[rng_i] for rng_i in rng.integers(0, population, sample)
        ]
        parent, best = drawn[0]
        for candidate, accuracy in drawn[1:]:
          if accuracy > best:
            parent, best = candidate, accuracy
        picks = list(parent)
        place = rng.integers(0, len(COUNTS))
        others = [i for i in range(COUNTS[place]) if i != picks[place]]
        picks[place] = others[rng.integers(0, len(others))]
        picks = tuple(picks)
      if picks not in known:
        break
    members.append((picks, value(picks)))
    history.append((picks, value(picks)))
    if len(members) > population:
      members.popleft()
  return [tuple(map(int, picks)) for picks, _ in history]


@pytest.mark.parametrize(("population", "sample"), [(4, 2), (10, 3), (1, 1)])
def test_it_equals_the_pseudo_code(population, sample):
  value = searched_spaces.values().get
  searcher = evolution.evolution(population=population, sample=sample)
  found = searched_spaces.run(searcher, value, children=40, seed=3)
  expected = _algorithm_1(
    value, cycles=40, population=population, sample=sample, seed=3
  )
  assert [child.picks for child in found] == expected


def test_the_notes_name_the_parent():
  value = searched_spaces.values().get
  searcher = evolution.evolution(population=4, sample=2)
  found = searched_spaces.run(searcher, value, children=20)
  assert [c.notes["parent"] for c in found[:4]] == [None] * 4
  for child in found[4:]:
    parent = found[child.notes["parent"]]
    assert parent.number >= child.number - 4
    pairs = zip(parent.picks, child.picks, strict=True)
    assert sum(a != b for a, b in pairs) == 1


def test_all_mutations_of_a_decision_are_equally_likely():
  searcher = evolution.evolution(population=1, sample=1)
  parent = search.Child(0, (1, 2, 0, 2), 0.5, {"parent": None})
  drawn = collections.Counter(
    searcher.propose(COUNTS, [parent], [], seed=seed, number=1).picks
    for seed in range(4000)
  )
  assert len(drawn) == sum(n - 1 for n in COUNTS)
  expected, observed = [], []
  for picks, count in drawn.items():
    (place,) = [i for i in range(4) if picks[i] != parent.picks[i]]
    expected.append(4000 / len(COUNTS) / (COUNTS[place] - 1))
    observed.append(count)
  assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_the_first_children_are_uniform():
  searcher = evolution.evolution(population=5)
  drawn = collections.Counter(
    searcher.propose(COUNTS, [], [], seed=seed, number=0).picks
    for seed in range(3600)
  )
  assert len(drawn) == len(searched_spaces.POINTS)
  assert stats.chisquare(list(drawn.values())).pvalue > 1e-3


def test_a_failed_child_is_a_parent_only_of_failed_samples():
  searcher = evolution.evolution(population=2, sample=60)
  failed = search.Child(0, (0, 0, 0, 0), -np.inf, {"parent": None})
  good = search.Child(1, (2, 3, 1, 2), 0.1, {"parent": None})
  for seed in range(20):
    proposal = searcher.propose(COUNTS, [failed, good], [], seed=seed, number=2)
    assert proposal.notes["parent"] == 1

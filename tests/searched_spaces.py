"""Small spaces with known values, and searches in them."""

import itertools

import numpy as np

from jaxvision.sweeps import search

COUNTS = (3, 4, 2, 3)
POINTS = tuple(itertools.product(*map(range, COUNTS)))


def values(seed=0):
  """{point: a random value}, without a relation between neighbours."""
  drawn = np.random.default_rng(seed).random(len(POINTS))
  return dict(zip(POINTS, map(float, drawn), strict=True))


def smooth(picks):
  """1 at (0, 0, 0, 0), and less for each other label."""
  return 1 - sum(map(bool, picks)) / len(picks)


def run(searcher, value, *, children, seed=0, counts=COUNTS, ended=()):
  """Returns all children of a search on one worker, also the given ones."""
  ended = list(ended)
  while len(ended) < children:
    number = len(ended)
    proposal = searcher.propose(counts, ended, [], seed=seed, number=number)
    ended.append(
      search.Child(
        number, proposal.picks, value(proposal.picks), proposal.notes
      )
    )
  return ended

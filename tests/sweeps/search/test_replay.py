"""A process computes each update once, and draws new children."""

import jax
import numpy as np
import searched_spaces
from searched_spaces import COUNTS

from jaxvision.sweeps.search import controller, learning, replay

_OPTIONS = {"batch": 5, "units": 8, "epochs": 20, "learning_rate": 0.01}


def test_each_update_is_computed_once(monkeypatch):
  updates = []
  real = learning.update

  def counted(*args, **kwargs):
    updates.append(kwargs["values"])
    return real(*args, **kwargs)

  monkeypatch.setattr(learning, "update", counted)
  replay._memory.cache_clear()
  value = searched_spaces.values().get
  found = searched_spaces.run(
    controller.controller(**_OPTIONS), value, children=23
  )
  # The children 20 to 22 are no batch yet.
  assert np.ravel(updates).tolist() == [c.value for c in found[:20]]
  assert [c.notes["updates"] for c in found] == [i // 5 for i in range(23)]


def test_the_notes_are_the_log_probabilities_of_the_policy():
  value = searched_spaces.values().get
  found = searched_spaces.run(
    controller.controller(**_OPTIONS), value, children=2
  )
  # Before the first update all labels are nearly equally likely.
  for child in found:
    np.testing.assert_allclose(
      child.notes["log_probs"], -np.log(COUNTS), atol=0.05
    )


def test_a_controller_learns_where_the_good_children_are():
  found = searched_spaces.run(
    controller.controller(**_OPTIONS),
    searched_spaces.smooth,
    children=100,
    counts=(4,) * 5,
  )
  values = [child.value for child in found]
  # The mean of 30 uniform draws is 0.25 with a standard deviation of 0.035.
  assert np.mean(values[:20]) < 0.35
  assert np.mean(values[-30:]) > 0.4


def test_later_draws_are_hotter():
  """A policy that prefers one point strongly still reaches others."""
  policy = replay.Policy(COUNTS, 6)
  params = replay.policies.init_params(policy, jax.random.key(0))
  params = jax.tree.map(lambda x: 300 * x, params)
  draws = replay._draws(policy, params, jax.random.key(1), 0)
  points = [tuple(next(draws)[0].tolist()) for _ in range(96)]
  assert len(set(points[:8])) < 4
  assert len(set(points[88:])) > 6

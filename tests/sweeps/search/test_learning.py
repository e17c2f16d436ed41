"""Updates follow the objectives of PPO and REINFORCE."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from searched_spaces import COUNTS

from jaxvision.sweeps.search import learning
from jaxvision.sweeps.search import policy as policies
from jaxvision.sweeps.search.learning import Rule
from jaxvision.sweeps.search.policy import Policy

_POLICY = Policy(COUNTS, units=5)
_PPO = Rule(
  batch=6, learning_rate=0.01, entropy=0.0, baseline=0.9, epochs=1, clip=0.2
)
_REINFORCE = Rule(
  batch=6, learning_rate=0.01, entropy=0.0, baseline=0.9, epochs=1, clip=None
)


@pytest.fixture
def batch():
  """Six children, and how they were drawn: by another policy."""
  rng = np.random.default_rng(0)
  labels = jnp.array(rng.integers(0, COUNTS, (6, len(COUNTS))))
  gains = jnp.array(rng.normal(size=6), jnp.float32)
  return labels, gains


def _params(seed, scale=5.0):
  params = policies.init_params(_POLICY, jax.random.key(seed))
  return jax.tree.map(lambda x: scale * x, params)


def _log_probs(params, labels):
  found, _ = jax.vmap(lambda x: policies.evaluate(_POLICY, params, x))(labels)
  return found


def test_the_objective_is_that_of_the_paper(batch):
  labels, gains = batch
  params, drawn = _params(0, 20.0), _log_probs(_params(1, 20.0), labels)
  found = learning.objective(_POLICY, _PPO, params, labels, drawn, gains)
  ratios = np.exp(np.asarray(_log_probs(params, labels)) - drawn)
  expected = 0.0
  for child, gain in enumerate(gains):
    for ratio in ratios[child]:
      limited = min(max(ratio, 0.8), 1.2)
      expected += min(ratio * gain, limited * gain) / len(gains)
  assert found == pytest.approx(float(expected), rel=1e-4)
  assert (abs(ratios - 1) > 0.2).any() and (abs(ratios - 1) < 0.2).any()


def test_the_entropy_is_added(batch):
  labels, gains = batch
  params = _params(0)
  drawn = _log_probs(params, labels)
  rule = dataclasses.replace(_PPO, entropy=0.3)
  without, with_ = (
    learning.objective(_POLICY, each, params, labels, drawn, gains)
    for each in (_PPO, rule)
  )
  _, entropies = jax.vmap(lambda x: policies.evaluate(_POLICY, params, x))(
    labels
  )
  expected = 0.3 * float(entropies.sum(-1).mean())
  assert with_ - without == pytest.approx(expected, rel=1e-4)


def test_the_first_gradient_of_ppo_is_the_policy_gradient(batch):
  """At the drawing policy all ratios are 1, and nothing is clipped."""
  labels, gains = batch
  params = _params(0)
  drawn = _log_probs(params, labels)
  slopes = [
    jax.grad(
      lambda p, rule=rule: learning.objective(
        _POLICY, rule, p, labels, drawn, gains
      )
    )(params)
    for rule in (_PPO, _REINFORCE)
  ]
  for one, other in zip(*map(jax.tree.leaves, slopes), strict=True):
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert abs(one).max() > 0


def test_the_policy_gradient_of_a_softmax_has_its_closed_form():
  """d log p(label) / d logits = one_hot(label) - p, for the first decision."""
  params = _params(0, 10.0)
  labels = jnp.array([[2, 1, 0, 1]])
  slope = jax.grad(
    lambda p: learning.objective(
      _POLICY, _REINFORCE, p, labels, jnp.zeros((1, 4)), jnp.array([3.0])
    )
  )(params)["softmax"][0]
  chances = np.array(
    [
      np.exp(_log_probs(params, jnp.array([[i, 0, 0, 0]]))[0, 0])
      for i in range(3)
    ]
  )
  output = np.asarray(_first_output(params))
  expected = 3.0 * np.outer(output, np.array([0, 0, 1]) - chances)
  np.testing.assert_allclose(slope[:, :3], expected, atol=1e-5)
  assert not np.any(slope[:, 3])  # The first decision has three labels.


def _first_output(params):
  zeros = jnp.zeros((_POLICY.units,))
  cell = policies._cell(_POLICY)
  variables = {"params": params["cell"]}
  return cell.apply(variables, (zeros, zeros), params["start"])[1]


def _update(state, values, rule=_PPO):
  labels = np.zeros((len(values), len(COUNTS)), int)
  labels[:, 0] = np.arange(len(values)) % 3
  drawn = np.asarray(_log_probs(state.params, jnp.array(labels)))
  return learning.update(
    *(_POLICY, rule, state),
    labels=labels,
    drawn=drawn,
    values=np.array(values, float),
  )


def _start(rule=_PPO):
  return learning.init_state(_POLICY, rule, jax.random.key(0))


def test_the_baseline_is_a_moving_average():
  state = _update(_start(), [0.2, 0.4])
  # It starts at the mean of the first batch.
  expected = 0.9 * (0.9 * 0.3 + 0.1 * 0.2) + 0.1 * 0.4
  assert state.baseline == pytest.approx(expected)
  later = _update(state, [1.0])
  assert later.baseline == pytest.approx(0.9 * expected + 0.1)


def test_a_failed_child_counts_as_the_worst_one():
  failed = _update(_start(), [0.5, -np.inf, 0.2])
  worst = _update(_start(), [0.5, 0.2, 0.2])
  jax.tree.map(np.testing.assert_array_equal, failed.params, worst.params)
  # The worst value of an earlier batch counts too.
  assert _update(failed, [0.9, -np.inf]).baseline == pytest.approx(
    _update(worst, [0.9, 0.2]).baseline
  )


def test_a_batch_of_failures_teaches_nothing():
  state = _start()
  assert _update(state, [-np.inf, -np.inf]) is state


def test_good_labels_become_more_likely():
  rule = dataclasses.replace(_PPO, epochs=20)
  state = _start(rule)
  before = _log_probs(state.params, jnp.zeros((1, 4), int))[0, 0]
  for _ in range(5):
    state = _update(state, [1.0, 0.0, 0.0], rule)
  after = _log_probs(state.params, jnp.zeros((1, 4), int))[0, 0]
  assert after > before + 0.5

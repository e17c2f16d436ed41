"""The policy is a distribution over the points, that of a slow LSTM."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from searched_spaces import COUNTS, POINTS

from jaxvision.sweeps.search import policy as policies
from jaxvision.sweeps.search.policy import Policy

_PLAIN = Policy(COUNTS, units=6)
_BOUNDED = Policy(COUNTS, units=6, bound=1.1)


def _params(policy, scale=30.0):
  """Larger than the initial ones, so that the labels are not equally likely."""
  params = policies.init_params(policy, jax.random.key(1))
  return jax.tree.map(lambda x: scale * x, params)


def _enumerate(policy, params):
  evaluate = functools.partial(policies.evaluate, policy, params)
  return jax.jit(jax.vmap(evaluate))(jnp.array(POINTS))


@pytest.mark.parametrize("policy", [_PLAIN, _BOUNDED])
def test_the_probabilities_of_all_points_sum_to_one(policy):
  log_probs, _ = _enumerate(policy, _params(policy))
  chances = np.exp(log_probs.sum(-1))
  assert chances.sum() == pytest.approx(1, abs=1e-5)
  assert chances.max() > 5 * chances.min()


def test_the_entropies_are_those_of_the_enumerated_distribution():
  """The chain rule: the mean of the summed entropies is the joint entropy."""
  log_probs, entropies = _enumerate(_PLAIN, _params(_PLAIN))
  joint = np.asarray(log_probs.sum(-1), np.float64)
  chances = np.exp(joint)
  assert chances @ entropies.sum(-1) == pytest.approx(
    -chances @ joint, abs=1e-4
  )


@pytest.mark.parametrize("policy", [_PLAIN, _BOUNDED])
def test_it_is_a_slow_lstm(policy):
  log_probs, _ = _enumerate(policy, _params(policy))
  params = jax.tree.map(np.asarray, _params(policy))
  for point, found in list(zip(POINTS, log_probs, strict=True))[::7]:
    expected = _slow(policy, params, point)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def _slow(policy, params, labels):
  """One decision at a time, in numpy, with the gates of an LSTM."""
  cell = params["cell"]
  state = memory = np.zeros(policy.units)
  given, found = params["start"], []
  for place, label in enumerate(labels):
    gate = {
      name: given @ cell[f"i{name}"]["kernel"]
      + state @ cell[f"h{name}"]["kernel"]
      + cell[f"h{name}"]["bias"]
      for name in "ifgo"
    }
    sigmoid = {name: 1 / (1 + np.exp(-x)) for name, x in gate.items()}
    memory = sigmoid["f"] * memory + sigmoid["i"] * np.tanh(gate["g"])
    state = sigmoid["o"] * np.tanh(memory)
    logits = (state @ params["softmax"][place])[: policy.counts[place]]
    if policy.bound is not None:
      logits = policy.bound * np.tanh(logits)
    found.append(logits[label] - np.log(np.exp(logits).sum()))
    given = params["embeddings"][place, label]
  return found


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_draws_have_the_enumerated_frequencies(temperature):
  params = _params(_PLAIN)
  draw = functools.partial(
    policies.sample, _PLAIN, params, temperature=temperature
  )
  keys = jax.random.split(jax.random.key(0), 8000)
  labels, log_probs = map(np.asarray, jax.jit(jax.vmap(draw))(keys))
  drawn = collections.Counter(map(tuple, labels.tolist()))
  # Dividing the last layer by the temperature divides the logits.
  cooler = {**params, "softmax": params["softmax"] / temperature}
  enumerated, _ = _enumerate(_PLAIN, cooler)
  chances = np.exp(np.asarray(enumerated.sum(-1), np.float64))
  often = 8000 * chances > 5
  observed = np.array([drawn[point] for point in POINTS])

  def rest(counts):
    """Rare points count together."""
    return np.append(counts[often], counts[~often].sum() + 1e-9)

  expected = rest(8000 * chances / chances.sum())
  tested = stats.chisquare(rest(observed), expected, sum_check=False)
  assert tested.pvalue > 1e-3
  known = dict(zip(POINTS, np.asarray(enumerated), strict=True))
  np.testing.assert_allclose(
    log_probs, [known[tuple(each)] for each in labels.tolist()], atol=1e-4
  )


def test_the_initial_parameters_are_uniform():
  params = policies.init_params(Policy((5,) * 6, 100), jax.random.key(0))
  for leaf in jax.tree.leaves(params):
    assert abs(leaf).max() <= 0.1
  values = np.concatenate([np.ravel(x) for x in jax.tree.leaves(params)])
  law = stats.uniform(-0.1, 0.2)
  assert stats.kstest(values, law.cdf).statistic < 0.01

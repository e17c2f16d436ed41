"""Controllers: recurrent policies that learn which children are good.

`controller` is that of NASNet (Zoph et al. 2018, arXiv 1707.07012, section 3
and appendix A.1). `reinforce` is that of ENAS (Pham et al. 2018, arXiv
1802.03268, and the authors' code). A child is a sequence of labels, one per
decision. Without JAX until the first proposal.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from jaxvision.lookup import ranges
from jaxvision.lookup.ranges import Range
from jaxvision.sweeps.search.contract import Child, Identify, Proposal, Searcher

_Clip = Annotated[float, Range(0, 1, above=True, below=True)]


def controller(
  *,
  learning_rate: ranges.Positive = 0.00035,
  epochs: ranges.Count = 20,
  clip: _Clip = 0.2,
  batch: ranges.Count = 20,
  entropy: ranges.NonNegative = 1e-5,
  baseline: ranges.Rate = 0.95,
  units: ranges.Count = 100,
) -> Searcher:
  """Returns the controller of NASNet, which learns by PPO.

  The learning rate, the batch, the weight of the entropy, the decay of the
  baseline and the units are published. The clipping and the epochs are not. The
  clipping is that of the PPO paper. The epochs are chosen for searches of some
  hundred children: with the published learning rate and one epoch, the policy
  hardly changes in 1,000 children (NASNet had 20,000). See
  experiments/README.md.

  Args:
    learning_rate: of Adam.
    epochs: steps of Adam per batch.
    clip: largest change of a probability ratio in a batch.
    batch: children of an update.
    entropy: weight of the entropy of a decision, in units of the value.
    baseline: decay per child of the moving average of the values.
    units: width of the LSTM.
  """
  return _searcher(
    *(units, None),
    batch=batch,
    learning_rate=learning_rate,
    entropy=entropy,
    baseline=baseline,
    epochs=epochs,
    clip=clip,
  )


def reinforce(
  *,
  learning_rate: ranges.Positive = 0.0035,
  batch: ranges.Count = 10,
  entropy: ranges.NonNegative = 1e-4,
  baseline: ranges.Rate = 0.99,
  units: ranges.Count = 64,
  bound: ranges.Positive = 1.1,
) -> Searcher:
  """Returns the controller of ENAS, which learns by REINFORCE.

  All defaults are published. It differs from ENAS in four points, because the
  space is any list of decisions: the states of a cell have a softmax each
  instead of attention; no label has an initial advantage; the logits of
  operations have the same bound as the others (ENAS divides theirs by 2.5: in a
  space of operations alone, bound=0.44 is the same); the entropy is added to
  the objective, not to the value.

  Args:
    learning_rate: of Adam.
    batch: children of an update.
    entropy: weight of the entropy of a decision, in units of the value.
    baseline: decay per child of the moving average of the values.
    units: width of the LSTM.
    bound: the logits are bound * tanh(logits).
  """
  return _searcher(
    *(units, bound),
    batch=batch,
    learning_rate=learning_rate,
    entropy=entropy,
    baseline=baseline,
    epochs=1,
    clip=None,
  )


def _searcher(
  units: int, bound: float | None, *, batch: int, **settings: Any
) -> Searcher:
  def propose(
    counts: Sequence[int],
    ended: Sequence[Child],
    running: Sequence[Child],
    *,
    seed: int,
    number: int,
    identify: Identify = tuple,
  ) -> Proposal:
    from jaxvision.sweeps.search import learning, policy, replay

    return replay.propose(
      policy.Policy(tuple(counts), units, bound),
      learning.Rule(batch=batch, **settings),
      *(ended, running),
      seed=seed,
      number=number,
      identify=identify,
    )

  return Searcher(propose, known=batch)

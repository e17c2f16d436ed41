"""How runs that train together end, each by itself."""

import dataclasses
from collections.abc import Mapping, Sequence

from jaxvision import trees
from jaxvision.sweeps.vectorized import stacked
from jaxvision.training.loop import results, train_loop

# The runs that go on, by their places in the stack.
Runs = Mapping[int, int]


@dataclasses.dataclass(frozen=True)
class Ending:
  """How a run went.

  Attributes:
    kind: "finished", "ended" by who watched it, or "diverged".
    reason: why it did not finish.
  """

  kind: str
  reason: str = ""


def not_finite(
  stack: stacked.Stack, runs: Runs, step: int
) -> dict[int, Ending]:
  """The runs whose state has become NaN or infinite, which no loss tells."""
  broken = trees.not_finite_of_each(stack.states, count=len(stack.parts))
  return {
    run: Ending("diverged", train_loop.explain_not_finite(broken[place], step))
    for place, run in runs.items()
    if broken[place]
  }


def overflowing(
  found: Sequence[Mapping[str, float] | None], name: str, runs: Runs, step: int
) -> dict[int, Ending]:
  """The runs whose last evaluation is not finite."""
  endings = {}
  for place, run in runs.items():
    try:
      results.check_finite(name, found[place] or {}, step)
    except train_loop.Diverged as error:
      endings[run] = Ending("diverged", str(error))
  return endings

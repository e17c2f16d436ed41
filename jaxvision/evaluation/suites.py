"""Suites: evaluations of a classifier on data of their own.

A suite is written as a call, "backgrounds(root='data/in9')". The first argument
is its data. A function of `SUITES` takes the data and options, and returns a
function: network -> (variables -> Outcome). The user's own suite,
"my_suite.py:create(root='data')", is such a function.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxvision import lookup
from jaxvision.evaluation import backgrounds, challenge, explanations
from jaxvision.evaluation.network import Network, Outcome, Suite

Tree = Any

SUITES: dict[str, Callable[..., Suite]] = {
  "backgrounds": backgrounds.suite,
  "backgrounds_challenge": challenge.suite,
  "explanations": explanations.suite,
}


def make_evaluator(
  calls: Sequence[str], network: Network
) -> Callable[[Tree], dict[str, Outcome]]:
  """Makes evaluate(variables) -> {name: outcome} of suites.

  Calls are checked, and the data opened, here, before a training starts.

  Args:
    calls: such as "backgrounds(root='data/in9')".
    network: the classifier.

  Raises:
    FileNotFoundError: data do not exist.
    ValueError: a suite or an option is unknown, two suites have one name, or
      the data do not fit to the network.
  """
  made = {}
  for call in calls:
    name = name_of(call)
    if name in made:
      raise ValueError(
        f"the suite {name!r} is given twice; its metrics would have the same "
        "names: give it once"
      )
    suite = lookup.call(call, functions=SUITES, kind="suite")
    made[name] = suite(network)

  def evaluate(variables: Tree) -> dict[str, Outcome]:
    return {name: measure(variables) for name, measure in made.items()}

  return evaluate


def name_of(call: str) -> str:
  """The name of a suite in the log: "backgrounds" of a call."""
  return lookup.as_written(call).partition("(")[0].strip()


def with_data(call: str, root: str) -> str:
  """The call of a suite with its data as the first argument."""
  head, bracket, rest = call.partition("(")
  options = rest.strip() if bracket else ")"
  separator = "" if options == ")" else ", "
  return f"{head.strip()}({root!r}{separator}{options}"


def flat(found: Mapping[str, Outcome]) -> dict[str, float]:
  """{"suite/metric": value}."""
  return {
    f"{name}/{metric}": value
    for name, outcome in found.items()
    for metric, value in outcome.metrics.items()
  }

"""Searchers of architectures, as pure functions of the history of a search.

The contract is in `contract`. Without JAX, until a controller proposes.
"""

from collections.abc import Callable, Mapping

from jaxvision.sweeps.search import controller, evolution, local_search
from jaxvision.sweeps.search.contract import Child, Proposal, Searcher

# name -> a function of the searcher's options.
SEARCHERS: Mapping[str, Callable[..., Searcher]] = {
  "controller": controller.controller,
  "evolution": evolution.evolution,
  "local_search": local_search.local_search,
  "reinforce": controller.reinforce,
}

__all__ = ["SEARCHERS", "Child", "Proposal", "Searcher"]

"""The definition of a sweep: its search space, objective and searcher."""

__all__ = [
  "axes",
  "experiment",
  "objective",
  "proposals",
  "pruning",
  "searchers",
  "space",
]

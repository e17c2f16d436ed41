"""The quality of a set of variables on a split, and of captions in files."""

__all__ = ["captions", "evaluator", "probes"]

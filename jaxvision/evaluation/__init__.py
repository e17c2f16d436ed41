"""The quality of a set of variables, measured on a split."""

__all__ = ["distances", "evaluator", "low_data", "probes"]

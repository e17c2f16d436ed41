"""The trials of a sweep in Optuna's storage."""

__all__ = ["history", "sampling", "storage", "study"]

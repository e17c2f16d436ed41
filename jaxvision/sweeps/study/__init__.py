"""The trials of a sweep in Optuna's storage."""

__all__ = ["sampling", "storage", "study"]

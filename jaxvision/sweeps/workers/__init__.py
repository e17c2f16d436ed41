"""The processes that run the trials of a sweep."""

__all__ = ["folder", "opening", "processes", "progress", "rerun", "worker"]

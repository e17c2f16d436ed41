"""The folder of a run: config, environment, metrics, results, code."""

__all__ = [
  "changes",
  "metrics_log",
  "network",
  "pages",
  "reading",
  "search_folder",
  "sweep_folder",
  "workdir",
]

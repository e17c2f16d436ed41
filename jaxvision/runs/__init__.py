"""The folder of a run: config, environment, metrics, results, code."""

__all__ = [
  "changes",
  "discovery",
  "log_summary",
  "log_tail",
  "metrics_log",
  "network",
  "pages",
  "reading",
  "search_folder",
  "state",
  "sweep_folder",
  "trackers",
  "watching",
  "workdir",
]

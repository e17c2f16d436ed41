"""The processes of a run: how they start, agree and end.

This package does not depend on the computation. Each module is imported
separately, so that launchers, which do not need JAX, start fast.
"""

__all__ = [
  "agreement",
  "cluster",
  "console",
  "exit_codes",
  "notebook",
  "preemption",
  "progress",
  "rendezvous",
  "stop_signals",
]

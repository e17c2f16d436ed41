"""The door to being one of many processes: to begin, to agree and to end.

Nothing here knows what is computed. Each part is imported by its own name, so
that launchers, which need no JAX, start fast.
"""

__all__ = [
  "agreement",
  "cluster",
  "console",
  "exit_codes",
  "preemption",
  "rendezvous",
]

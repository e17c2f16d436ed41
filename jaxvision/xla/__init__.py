"""The compiler: its settings and cache, scans, convolutions, initialisation."""

__all__ = [
  "accelerators",
  "batched_init",
  "cache",
  "convolutions",
  "scans",
  "settings",
  "traced",
]

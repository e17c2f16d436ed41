"""Batches as a pure function of the step: order, decoding and prefetch."""

__all__ = [
  "fields",
  "filling",
  "order",
  "pipeline",
  "prefetch",
  "worker_processes",
]

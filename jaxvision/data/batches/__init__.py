"""Batches as a pure function of the step: order, decoding and prefetch."""

__all__ = ["filling", "order", "pipeline", "prefetch", "worker_processes"]

"""The loop of a training: step, log, evaluate, save, stop."""

__all__ = [
  "compilation",
  "evaluators",
  "profiling",
  "results",
  "timing",
  "train_loop",
]

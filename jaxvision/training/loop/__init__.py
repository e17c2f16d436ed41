"""The loop of a training: step, log, evaluate, save, stop."""

__all__ = [
  "compilation",
  "ending",
  "evaluation",
  "evaluators",
  "feed",
  "profiling",
  "reading",
  "results",
  "stack",
  "timing",
  "train_loop",
]

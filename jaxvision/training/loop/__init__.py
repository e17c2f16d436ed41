"""The loop of a training: step, log, evaluate, save, stop."""

__all__ = [
  "artifacts",
  "average_statistics",
  "compilation",
  "divergence",
  "ending",
  "evaluation",
  "evaluators",
  "feed",
  "predictions",
  "profiling",
  "reading",
  "results",
  "stack",
  "timing",
  "train_loop",
]

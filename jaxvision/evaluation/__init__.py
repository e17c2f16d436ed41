"""The quality of a set of variables on a split, and of captions in files."""

__all__ = [
  "backgrounds",
  "captions",
  "challenge",
  "distances",
  "evaluator",
  "explanations",
  "imagenet9",
  "low_data",
  "network",
  "probes",
  "suites",
]

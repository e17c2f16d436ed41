"""Inspection of data sets: their content and their problems."""

__all__ = [
  "counts",
  "doctor",
  "finding",
  "identity",
  "integrity",
  "overlay",
  "survey",
  "variants",
]

"""A config becomes objects, here and nowhere else."""

__all__ = [
  "assembly",
  "checks",
  "claim",
  "data_record",
  "extension",
  "initial_state",
  "sanity",
]

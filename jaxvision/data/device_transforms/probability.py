"""Probabilities among the arguments of transforms."""


def check(**probabilities: float) -> None:
  """Raises ValueError for one, by its name, that does not lie in [0, 1]."""
  for name, value in probabilities.items():
    if not 0 <= value <= 1:
      raise ValueError(f"{name} is {value}; a probability lies in [0, 1]")

"""Probabilities among the arguments of transforms."""


def checked(name: str, value: float) -> float:
  """Returns a probability as a float; ValueError if it is outside [0, 1]."""
  if not 0 <= value <= 1:
    raise ValueError(f"{name} is {value}; a probability lies in [0, 1]")
  return float(value)  # jax.random.bernoulli refuses 0 and 1

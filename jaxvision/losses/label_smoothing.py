"""Label smoothing, which moves a fraction of the targets to other classes."""

import jax

from jaxvision import lookup


def smooth(targets: jax.Array, *, rate: float, form: str) -> jax.Array:
  """Label smoothing: moves a fraction of the targets to other classes.

  There are two published forms. With the rate e:
    "uniform": (1 - e) t + e / k; all classes get a part, with the true class
      (Szegedy et al. 2016, section 7; torchvision, timm and TensorFlow);
    "others": the true class keeps 1 - e, each other class gets e / (k - 1) (He
      et al. 2019, "Bag of Tricks", eq. 4).

  Args:
    targets: (b, k), distributions; soft targets are smoothed linearly.
    rate: e, in [0, 1).
    form: "uniform" or "others".

  Returns:
    (b, k), distributions.

  Raises:
    ValueError: the form is unknown, or the rate is not in [0, 1).
  """
  if not 0 <= rate < 1:
    raise ValueError(f"label smoothing {rate} is not in [0, 1); 0.1 is usual")
  num_classes = targets.shape[-1]
  if form == "uniform":
    return (1 - rate) * targets + rate / num_classes
  if form == "others":
    other = rate / max(num_classes - 1, 1)
    return (1 - rate) * targets + other * (1 - targets)
  known = ("uniform", "others")
  raise ValueError(lookup.unknown("form of label smoothing", form, known))

"""The choice of methods of attribution that fit a model."""

from collections.abc import Sequence

import flax.linen as nn

from jaxvision import lookup
from jaxvision.interpret import attributions

# The first one that fits explains a network: a Transformer by its attention,
# a network with feature maps by them.
PREFERRED = ("rollout", "gradcam", "gradient")
# The same for maps that depend on the class, to compare two classes.
PREFERRED_BY_CLASS = ("gradcam", "gradient")
# Methods that do not read the class.
OF_NO_CLASS = ("attention", "flow", "rollout")


def default_method(
  model: nn.Module,
  *,
  image_shape: tuple[int, int, int],
  preferred: Sequence[str] = PREFERRED,
) -> str:
  """Returns the first of the preferred methods that fits a model.

  Args:
    model: any model, which is only traced.
    image_shape: (h, w, c) of its images.
    preferred: names of methods. "gradient" fits every model.
  """
  fits = attributions.fitting(model, image_shape=image_shape, among=preferred)
  return next(each for each in preferred if each in fits)


def check_methods(
  methods: Sequence[str],
  model: nn.Module,
  *,
  image_shape: tuple[int, int, int],
) -> None:
  """Raises ValueError for methods or options that do not fit a model.

  The message lists the methods or the layers that fit. The user's own methods
  are only called.

  Args:
    methods: calls, such as "smoothgrad(samples=20)".
    model: any model, which is only traced.
    image_shape: (h, w, c) of its images.
  """
  names = [method_name(each) for each in methods]
  fit = attributions.fitting(model, image_shape=image_shape, among=names)
  for method, name in zip(methods, names, strict=True):
    attributions.create(method)
    if name in attributions.ATTRIBUTIONS and name not in fit:
      others = attributions.fitting(model, image_shape=image_shape)
      raise ValueError(
        f"{name} does not fit {type(model).__name__} with images "
        f"{'x'.join(map(str, image_shape))}; methods that fit: "
        f"{', '.join(others)}"
      )
    attributions.check_options(method, model, image_shape=image_shape)


def method_name(method: str) -> str:
  """The name of a method in its call: "smoothgrad" of "smoothgrad(...)"."""
  return lookup.as_written(method).partition("(")[0].strip()

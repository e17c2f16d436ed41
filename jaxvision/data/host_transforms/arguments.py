"""What the arguments of transforms may be; checked when a config is read."""

import numbers

Fill = int | tuple[int, ...]


def check(low: float, high: float, /, **values: float) -> None:
  """Raises ValueError for what is no number in [low, high], by its name."""
  for name, value in values.items():
    if not isinstance(value, numbers.Real) or not low <= value <= high:
      raise ValueError(f"{name} is {value!r}; it must lie in [{low}, {high}]")


def check_whole(low: int, high: int, /, **values: int) -> None:
  """Raises ValueError for what is no whole number in [low, high]."""
  for name, value in values.items():
    if not isinstance(value, int) or not low <= value <= high:
      raise ValueError(
        f"{name} is {value!r}; it must be a whole number in [{low}, {high}]"
      )


def check_fill(fill: Fill) -> None:
  """Raises ValueError unless it is a pixel value, or one for each channel."""
  values = fill if isinstance(fill, tuple) else (fill,)
  if not all(isinstance(v, int) and 0 <= v <= 255 for v in values):
    raise ValueError(
      f"fill is {fill!r}; it must be a pixel value in [0, 255], or a tuple of "
      "one for each channel"
    )


def fill_of_channels(fill: Fill, channels: int) -> tuple[int, ...]:
  """The value of each channel.

  Raises:
    ValueError: it has values for another number of channels.
  """
  if not isinstance(fill, tuple):
    return (fill,) * channels
  if len(fill) != channels:
    raise ValueError(
      f"fill {fill} is of {len(fill)} channels, but the image has {channels}"
    )
  return fill

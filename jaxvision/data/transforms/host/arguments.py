"""Types and ranges of the arguments of transforms."""

from typing import Annotated

from jaxvision.lookup import ranges

# Types of parameters, with their ranges.
Pixel = Annotated[int, ranges.Range(0, 255)]
Fill = Pixel | tuple[Pixel, ...]
Level = Annotated[float, ranges.Range(0, 256)]
Side = Annotated[int, ranges.Range(1, 2**15)]
Length = Annotated[int, ranges.Range(0, 2**15)]
Factor = Annotated[float, ranges.Range(0, 100)]
Sigma = Annotated[float, ranges.Range(1e-3, 100)]
Pair = tuple[Side, Side]


def fill_of_channels(fill: Fill, channels: int) -> tuple[int, ...]:
  """The fill value of each channel.

  Raises:
    ValueError: `fill` has values for another number of channels.
  """
  if not isinstance(fill, tuple):
    return (fill,) * channels
  if len(fill) != channels:
    raise ValueError(
      f"fill {fill} has {len(fill)} channels, but the image has {channels}"
    )
  return fill

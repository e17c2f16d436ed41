"""Ranges of numbers and forms of text that parameters declare.

  def softmax(logits, targets, *, label_smoothing: ranges.Rate = 0.0): ...

declares that the label smoothing is in [0, 1). `jaxvision.lookup.options` reads
these declarations. Standard library only.
"""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Annotated, Any


@dataclasses.dataclass(frozen=True)
class Range:
  """The range of numbers that a parameter accepts.

  Attributes:
    low, high: the bounds.
    above, below: whether `low` and `high` themselves are excluded.
  """

  low: float = -math.inf
  high: float = math.inf
  above: bool = False
  below: bool = False

  def __contains__(self, value: float) -> bool:
    low = self.low < value if self.above else self.low <= value
    return low and (value < self.high if self.below else value <= self.high)

  def __str__(self) -> str:
    if self.low == -math.inf and self.high == math.inf:
      return ""
    if self.high == math.inf:
      return f"above {self.low}" if self.above else f"at least {self.low}"
    if self.low == -math.inf:
      return f"below {self.high}" if self.below else f"at most {self.high}"
    return (
      f"in {'(' if self.above else '['}{self.low}, "
      f"{self.high}{')' if self.below else ']'}"
    )


@dataclasses.dataclass(frozen=True)
class Form:
  """A condition on the text that a parameter accepts.

  Attributes:
    words: a description for messages, such as "a regular expression".
    check: raises ValueError, with value and remedy, if the text is not valid.
  """

  words: str
  check: Callable[[str], Any]


def _compile(pattern: str) -> None:
  try:
    re.compile(pattern)
  except (re.error, OverflowError, RecursionError) as error:
    raise ValueError(
      f"{pattern!r} is not a regular expression ({error}); to match any text, "
      "write .*"
    ) from error


Probability = Annotated[float, Range(0, 1)]
Rate = Annotated[float, Range(0, 1, below=True)]
NonNegative = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
Count = Annotated[int, Range(1)]
AtLeastTwo = Annotated[int, Range(2)]
Whole = Annotated[int, Range(0)]
Depth = Annotated[int, Range(1, 10_000)]
# The depth of an encoder. 0 connects the embedding directly to the head.
EncoderDepth = Annotated[int, Range(0, 10_000)]
Regex = Annotated[str, Form("a regular expression", _compile)]

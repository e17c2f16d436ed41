"""The ranges of numbers, and the forms of text, that parameters declare.

  def softmax(logits, targets, *, label_smoothing: ranges.Rate = 0.0): ...

says that a label smoothing lies in [0, 1). `jaxvision.lookup.options` reads it.
Standard library only.
"""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Annotated, Any


@dataclasses.dataclass(frozen=True)
class Range:
  """The numbers that a parameter takes.

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
  """What text must be besides text, such as a regular expression.

  Attributes:
    words: for the message, such as "a regular expression".
    check: raises ValueError with value and remedy where the text is none.
  """

  words: str
  check: Callable[[str], Any]


def _compile(pattern: str) -> None:
  try:
    re.compile(pattern)
  except (re.error, OverflowError, RecursionError) as error:
    raise ValueError(
      f"{pattern!r} is no regular expression ({error}); 'anything' is "
      "written .*"
    ) from error


Probability = Annotated[float, Range(0, 1)]
Rate = Annotated[float, Range(0, 1, below=True)]
NonNegative = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
Count = Annotated[int, Range(1)]
Whole = Annotated[int, Range(0)]
Depth = Annotated[int, Range(1, 10_000)]
# Of encoders, which may have no block at all between embedding and head.
EncoderDepth = Annotated[int, Range(0, 10_000)]
Regex = Annotated[str, Form("a regular expression", _compile)]

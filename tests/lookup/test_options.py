"""Tests of options: the values that each type accepts and converts."""

import collections.abc
import math
import subprocess
import sys
import typing
from typing import Annotated, Any, Literal, Optional, Union

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.typing import ArrayLike, DTypeLike

from jaxvision.lookup import options, ranges

NORM = Literal["none", "batch", 3, True]


@pytest.mark.parametrize(
  ("kind", "value", "expected"),
  [
    *((bool, word, True) for word in ("true", "True", " TRUE ")),
    *((bool, word, False) for word in ("false", "False", "fAlSe")),
    (bool, np.bool_(True), True),
    (int, 3, 3),
    (int, np.int8(3), 3),
    (float, 3, 3.0),
    (float, np.float32(0.5), 0.5),
    (float, np.array(0.5), 0.5),
    (str, "none", "none"),
    (str, "True", "True"),
    (str, np.str_("a"), "a"),
    (None, "NONE", None),
    (float | None, "none", None),
    (Optional[int], None, None),  # noqa: UP045
    (str | None, "none", None),
    (bool | str, "False", False),
    (float | str, "ledoit_wolf", "ledoit_wolf"),
    (int | tuple[int, int], [3, 4], (3, 4)),
    (tuple[int, ...], [], ()),
    (tuple[float, ...], np.array([1, 2]), (1.0, 2.0)),
    (collections.abc.Sequence[int], (3,), (3,)),
    (typing.Sequence[int], [3], (3,)),
    (list[int], [3], [3]),
    (tuple, [3, "a"], (3, "a")),
    (tuple[tuple[int, float], ...], ((1, 2),), ((1, 2.0),)),
    (NORM, "none", "none"),
    (NORM, "TRUE", True),
    (NORM, 3, 3),
    (Literal[None, "a"], "none", None),
    (ArrayLike, 3, 3),
    (ArrayLike, 0.5, 0.5),
    (Union[ArrayLike, None], "none", None),  # noqa: UP007
    (DTypeLike, "bfloat16", "bfloat16"),
    (DTypeLike, jnp.bfloat16, jnp.bfloat16),
    (DTypeLike | None, None, None),
    (collections.abc.Callable, abs, abs),
    (typing.Callable[[int], int], abs, abs),
    (collections.abc.Mapping[str, int], {"a": 1}, {"a": 1}),
    (Any, "true", "true"),
    ("an unresolved name", 3, 3),
    (ranges.Probability, 1, 1.0),
    (ranges.Rate | None, "None", None),
    (tuple[ranges.Count, ...], (1, 2), (1, 2)),
    (Annotated[int, ranges.Range(0, 2**32)], 2**32, 2**32),
    (Annotated[float, "another library's"], -1, -1.0),
  ],
)
def test_accepted_values_are_converted(kind, value, expected):
  found = options.convert(value, kind, name="x")
  assert found == expected
  assert type(found) is type(expected)


@pytest.mark.parametrize(
  ("kind", "value", "message"),
  [
    (bool, 1, "x is 1; it must be true or false"),
    (bool, "yes", "x is 'yes'; it must be true or false"),
    (int, True, "x is True; it must be a whole number"),
    (int, 4.0, "x is 4.0; it must be a whole number"),
    (int, 2**31, "it must be a whole number, and at most 2147483647"),
    (ranges.Count, 10**10, "at least 1, and at most 2147483647"),
    (int, 10**4000, "x is a number of over 50 digits"),
    (int, "3", "x is '3'; it must be a whole number"),
    (float, "0.5", "x is '0.5'; it must be a number"),
    (float, "false", "x is 'false'; it must be a number"),
    (float, None, "x is None; it must be a number"),
    (float, False, "x is False; it must be a number"),
    (float, (0, 9), "it must be a number; write a decimal point: 0.9"),
    (float, math.inf, "x is inf; it must be a number, and finite"),
    (float, math.nan, "x is nan; it must be a number, and finite"),
    (float, 1e39, "and finite"),  # infinite in float32
    (float, 10**400, "and finite"),
    (float, 1j, "it must be a number"),
    (str, 3, "x is 3; it must be text"),
    (str, None, "x is None; it must be text"),
    (float | None, "maybe", "it must be a number or none"),
    (ArrayLike, True, "x is True; it must be a number"),
    (ArrayLike, "0.9", "it must be a number"),
    (DTypeLike, "float33", "it must be one of float32, bfloat16"),
    (DTypeLike, 3, "it must be one of float32, bfloat16"),
    (DTypeLike, None, "it must be one of float32, bfloat16"),
    (NORM, False, "it must be one of 'none', 'batch', 3, True"),
    (NORM, "nonne", "it must be one of 'none', 'batch', 3, True"),
    (tuple[int, ...], 64, r"as in \(64,\)"),
    (tuple[str, ...], "abc", r"as in \('abc',\)"),
    (tuple[int, ...], (3, "a"), r"x\[1\] is 'a'; it must be a whole number"),
    (tuple[int, int], (3,), "a tuple of 2: a whole number, a whole number"),
    (
      tuple[tuple[int, int], ...],
      ((1, 2), (3, None)),
      r"x\[1\]\[1\] is None; it must be a whole number",
    ),
    (int | tuple[int, int], (3, 0.5), r"x\[1\] is 0.5"),
    (collections.abc.Callable, "relu", "it must be a function"),
    (collections.abc.Mapping[str, int], 3, "it must be a dictionary"),
    (jax.Array, "zeros", "it must be of the type Array"),
    (ranges.Rate, 1, r"x is 1; it must be a number in \[0, 1\)"),
    (ranges.Rate | None, 2.0, r"it must be a number in \[0, 1\)"),
    (ranges.Positive, 0, "it must be a number above 0"),
    (ranges.NonNegative, -5, "it must be a number at least 0"),
    (ranges.Count, 0, "it must be a whole number at least 1"),
    (tuple[ranges.Count, ...], (3, 0), r"x\[1\] is 0; it must be a whole"),
    (ranges.Depth, 10**9, r"in \[1, 10000\]"),
    (ranges.Regex, "(", r"x: '\(' is not a regular expression"),
    (Annotated[float, ranges.Range(high=3, below=True)], 3, "below 3"),
    (Annotated[float, ranges.Range(high=3)], 4, "at most 3"),
  ],
)
def test_other_values_are_an_error(kind, value, message):
  with pytest.raises(ValueError, match=message):
    options.convert(value, kind, name="x")


def test_numbers_that_are_traced_pass():
  def double(x):
    return 2 * options.convert(x, ranges.Rate, name="x")

  assert jax.jit(double)(3.0) == 6.0


def test_options_do_not_import_jax_or_numpy():
  code = (
    "import sys, jaxvision.lookup.options; "
    "sys.exit('jax' in sys.modules or 'numpy' in sys.modules)"
  )
  assert (
    subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
  )

import pytest

from jaxvision import lookup


def scale(factor, *, offset=0, names=()):
  if factor == 0:
    raise ValueError("factor is 0; it must not be")
  return factor, offset, names


def shift():
  return "shifted"


FUNCTIONS = {"scale": scale, "shift": shift}


def call(text):
  return lookup.call(text, functions=FUNCTIONS, kind="thing")


@pytest.mark.parametrize(
  ("text", "result"),
  [
    ("shift", "shifted"),
    (" shift() ", "shifted"),
    ("scale(3)", (3, 0, ())),
    ("scale(factor=-1.5, offset=2)", (-1.5, 2, ())),
    ("scale(1, names=('a', [True, None]))", (1, 0, ("a", [True, None]))),
  ],
)
def test_calls_with_literal_arguments(text, result):
  assert call(text) == result


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("scal(3)", "unknown thing 'scal'; did you mean 'scale'.*scale, shift"),
    ("scale(3, offest=1)", "thing .*'offest'; did you mean 'offset'"),
    (
      "scale()",
      r"missing.*'factor'; the signature is scale\(factor, \*?.*offset=0",
    ),
    ("scale(0)", "thing 'scale.0.': factor is 0"),
    ("scale(1 + shift())", "arguments must be numbers"),
    ("scale(*[1])", "arguments must be numbers"),
    ("shift; shift", "is not a call like"),
    ("3", "is not a call like"),
    ("", "is not a call like"),
  ],
)
def test_anything_else_is_an_error(text, message):
  with pytest.raises(ValueError, match=message):
    call(text)

"""Tests of parameters: annotations, defaults, Linen fields, optax."""

import functools
import typing
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import optax
import pytest

from jaxvision import schedules
from jaxvision.lookup import options, parameters, ranges


class Block(nn.Module):
  width: ranges.Count
  rate: ranges.Rate = 0.5
  act: typing.Callable = nn.relu
  dtype: Any = jnp.float32


def _plain(a, b=True, c=3, d=0.5, e="x", f=(1,), g=None, h=abs, mu_dtype=None):
  del a, b, c, d, e, f, g, h, mu_dtype


def _texts(a: "float", b: "missing.Name" = 3):  # noqa: F821
  del a, b


def test_parameters_say_their_types_by_annotation_or_default():
  found = parameters.types(_plain)
  assert [found[each] for each in "abcdefg"] == [
    *(Any, bool, int | float, float, str, tuple, Any)
  ]
  # An int stays an int; a parameter with an int default also accepts floats.
  for value in (6, 0.5):
    converted = options.convert(value, found["c"], name="x")
    assert (type(converted), converted) == (type(value), value)
  assert options.convert(None, found["mu_dtype"], name="x") is None
  with pytest.raises(ValueError, match="a function"):
    options.convert("abs", found["h"], name="x")


def test_linen_fields_partials_and_written_annotations_are_understood():
  fields = parameters.types(Block)
  assert options.convert(3, fields["width"], name="x") == 3
  for name, value in (("width", 0), ("rate", 1.0), ("dtype", "f32")):
    with pytest.raises(ValueError, match="x is"):
      options.convert(value, fields[name], name="x")
  partial = parameters.types(functools.partial(schedules.cosine, 0.1))
  assert partial["final_fraction"] == ranges.NonNegative
  assert parameters.types(_texts)["b"] == int | float


def test_every_number_in_optax_signatures_is_a_number():
  for make in (optax.sgd, optax.adam, optax.lars, optax.contrib.muon):
    kinds = parameters.types(make)
    with pytest.raises(ValueError, match="true or false"):
      options.convert("maybe", kinds["nesterov"], name="x")
  kinds = parameters.types(optax.adam)
  assert options.convert(0.5, kinds["b1"], name="x") == 0.5
  for value in (True, "0.5", (0, 5)):
    with pytest.raises(ValueError, match="it must be a number"):
      options.convert(value, kinds["b1"], name="x")

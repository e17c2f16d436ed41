"""Tests of jaxvision.plan.hlo: programs, against counting by hand."""

import jax
import jax.numpy as jnp
import pytest

from jaxvision.plan import hlo

_LOOPS = """\
HloModule steps, is_scheduled=true

%inner_body (p: (u32[], f32[8])) -> (u32[], f32[8]) {
  %two = u32[]{:T(128)} constant(2)
  %p = (u32[]{:T(128)}, f32[8]{0}) parameter(0)
  %i = u32[]{:T(128)} get-tuple-element(%p), index=0
  %x = f32[8]{0} get-tuple-element((u32[], /*index=1*/f32[8]) %p), index=1
  %next = u32[]{:T(128)} add(%i, %two), metadata={op_name="a(b)/add"}
  ROOT %pair = (u32[]{:T(128)}, f32[8]{0}) tuple(%next, %x)
}

%inner_condition (q: (u32[], f32[8])) -> pred[] {
  %limit = u32[]{:T(128)} constant(9)
  %q = (u32[], f32[8]) parameter(0)
  %j = u32[] get-tuple-element(%q), index=0
  ROOT %less = pred[]{:T(512)} compare(%j, %limit), direction=LT
}

%outer_body (p.1: (s32[], f32[8])) -> (s32[], f32[8]) {
  %p.1 = (s32[], f32[8]) parameter(0)
  %one = s32[] constant(1)
  %k = s32[] get-tuple-element(%p.1), index=0
  %next.1 = s32[] add(%one, %k)
  %zero = u32[] constant(0)
  %copied = u32[] copy(%zero)
  %y = f32[8] get-tuple-element(%p.1), index=1
  %start = (u32[], f32[8]) tuple(%copied, %y)
  %loop = (u32[], f32[8]) while(%start), condition=%inner_condition, \
body=%inner_body
  %z = f32[8] get-tuple-element(%loop), index=1
  ROOT %pair.1 = (s32[], f32[8]) tuple(%next.1, %z)
}

%outer_condition (q.1: (s32[], f32[8])) -> pred[] {
  %q.1 = (s32[], f32[8]) parameter(0)
  ROOT %any = pred[] custom-call(%q.1)
}

ENTRY %main (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  %three = s32[] constant(3)
  %begin = (s32[], f32[8]) tuple(%three, %a)
  %while.1 = (s32[], f32[8]) while(%begin), condition=%outer_condition, \
body=%outer_body, backend_config={"known_trip_count":{"n":"4"}}
  ROOT %out = f32[8] get-tuple-element(%while.1), index=1
}
"""


def test_instructions_are_read():
  body = hlo.parse(_LOOPS)["inner_body"]
  assert body["next"].operands == ("i", "two")
  assert body["x"].operands == ("p",)
  assert body["pair"].root
  assert body["pair"].shape == "(u32[]{:T(128)}, f32[8]{0})"


def test_loops_inside_loops_multiply():
  """The inner counter goes 0, 2, ... 8: five times, in each of the four."""
  times = hlo.times(hlo.parse(_LOOPS))
  assert times["outer_body"] == 4
  assert times["inner_body"] == 20
  assert times["inner_condition"] == 20


def test_a_loop_of_which_nothing_is_known_counts_once():
  text = _LOOPS.replace('{"known_trip_count":{"n":"4"}}', "{}")
  assert hlo.times(hlo.parse(text))["outer_body"] == 1


@pytest.mark.parametrize("length", [1, 7])
def test_scans_of_scans_as_xla_compiles_them(length):
  def inner(x, _):
    return jnp.sin(x) @ x, None

  def outer(x, _):
    return jax.lax.scan(inner, x, length=5)[0], None

  def function(x):
    return jax.lax.scan(outer, x, length=length)[0]

  text = jax.jit(function).lower(jnp.eye(16)).compile().as_text()
  parsed = hlo.parse(text)
  sines = sum(
    times
    for name, times in hlo.times(parsed).items()
    for each in parsed[name].values()
    if each.kind == "sine"
  )
  assert sines == 5 * length

"""The targets of the Makefile run the tests that others skip."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]


def test_tests_that_need_an_extra_are_those_of_test_extras():
  text = (ROOT / "Makefile").read_text("utf-8")
  recipe = text[text.index("\ntest-extras:") :].partition("\n\n")[0]
  run = {ROOT / each for each in re.findall(r"tests/[\w/.]+", recipe)}
  assert all(each.exists() for each in run)
  skipping = {
    path
    for path in (ROOT / "tests").rglob("test_*.py")
    if re.search(r"pytest\.importorskip\(", path.read_text("utf-8"))
    and path.parent.name != "parity"
  }
  missing = {each for each in skipping if not run & {each, *each.parents}}
  assert len(skipping) >= 5 and not missing

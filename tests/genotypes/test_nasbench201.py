"""NAS-Bench-201: its text, and the numbers of different cells."""

import itertools

import pytest

from jaxvision import genotypes
from jaxvision.genotypes import nasbench201

GOLDEN = (
  "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+"
  "|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
)


def test_the_text_is_that_of_the_tables():
  nodes = nasbench201.parse(GOLDEN)
  assert nodes == (
    ("avg_pool_3x3",),
    ("nor_conv_1x1", "skip_connect"),
    ("nor_conv_1x1", "skip_connect", "skip_connect"),
  )
  assert nasbench201.write(nodes) == GOLDEN


@pytest.mark.parametrize(
  ("options", "number"),
  [("", 6_466), ("(simplified='skips')", 12_751)],
)
def test_the_number_of_different_cells_is_that_of_the_paper(options, number):
  space = genotypes.create(f"nasbench201{options}")
  cells = [
    space.write(dict(zip(space.decisions, labels, strict=True)))
    for labels in itertools.product(*space.decisions.values())
  ]
  assert len(set(cells)) == 15_625
  assert len(set(map(space.identify, cells))) == number


def test_operations_on_zeros_are_zero_and_skips_are_their_inputs():
  identify = genotypes.create("nasbench201").identify

  def arch(first, second, third):
    return nasbench201.write((first, second, third))

  convs = {
    identify(arch(("none",), ("nor_conv_3x3", op), ("none", op, "none")))
    for op in nasbench201.OPERATIONS
  }
  assert len(convs) == 1
  skipping = arch(
    ("skip_connect",), ("none",) * 2, ("none", "nor_conv_1x1", "none")
  )
  direct = arch(("none",), ("none",) * 2, ("nor_conv_1x1", "none", "none"))
  assert identify(skipping) == identify(direct)
  only_skips = genotypes.create("nasbench201(simplified='skips')").identify
  assert only_skips(skipping) != only_skips(direct)


@pytest.mark.parametrize(
  ("text", "message"),
  [
    (GOLDEN.replace("avg_pool_3x3", "avg_pool_3"), "node 1.*'avg_pool_3x3'"),
    (GOLDEN.replace("connect~2", "connect~1"), "node 3.*not an operation on"),
    (GOLDEN.replace("|skip_connect~2", ""), "node 3.*expected 3 operations"),
    (GOLDEN.partition("+")[0], "has 1 nodes; expected 3, as in"),
    (GOLDEN.removesuffix("|"), "node 3.*between bars"),
  ],
)
def test_an_error_has_the_place_and_a_remedy(text, message):
  with pytest.raises(ValueError, match=message):
    nasbench201.parse(text)

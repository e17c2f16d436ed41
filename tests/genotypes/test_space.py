"""Spaces: their sizes, and that every sequence of decisions is a genotype."""

import math
import random

import pytest

from jaxvision import genotypes


@pytest.mark.parametrize(
  ("text", "decisions", "size"),
  [
    # A block reads two of b states with two of 13 operations, in two
    # combinations; two cells.
    ("nasnet", 50, (math.prod((13 * b) ** 2 * 2 for b in range(2, 7))) ** 2),
    ("enas(blocks=5)", 40, (math.prod((5 * b) ** 2 for b in range(2, 7))) ** 2),
    ("nasbench201", 6, 5**6),
  ],
)
def test_the_number_of_sequences_of_decisions(text, decisions, size):
  space = genotypes.create(text)
  assert len(space.decisions) == decisions
  assert math.prod(map(len, space.decisions.values())) == size


def test_the_sizes_are_those_of_the_papers():
  sizes = {
    name: math.prod(map(len, genotypes.create(name).decisions.values()))
    for name in genotypes.SPACES
  }
  assert sizes["nasnet"] == pytest.approx(5.23e36, rel=1e-3)
  assert sizes["enas"] == pytest.approx(2.56e25, rel=2e-3)
  assert sizes["enas"] ** 0.5 == pytest.approx(5.06e12, rel=1e-3)
  assert sizes["nasbench201"] == 15_625


def test_the_decisions_of_a_block_are_in_the_order_of_the_paper():
  decisions = genotypes.create("nasnet(blocks=2)").decisions
  of_block = ("state_1", "state_2", "operation_1", "operation_2", "combine")
  assert list(decisions) == [
    f"{cell}_{block}_{decision}"
    for cell in ("normal", "reduction")
    for block in (1, 2)
    for decision in of_block
  ]
  assert decisions["normal_1_state_1"] == ("0", "1")
  assert decisions["reduction_2_state_2"] == ("0", "1", "2")


@pytest.mark.parametrize("name", ["nasnet(blocks=3)", "enas", "nasbench201"])
def test_a_genotype_depends_on_every_decision(name):
  space, rng = genotypes.create(name), random.Random(0)
  for _ in range(20):
    labels = {k: rng.choice(v) for k, v in space.decisions.items()}
    text = space.write(labels)
    assert genotypes.create(space.name).write(labels) == text
    assert "\n" not in text
    for decision, others in space.decisions.items():
      for label in others:
        changed = space.write({**labels, decision: label})
        assert (changed == text) == (label == labels[decision])


def test_unknown_spaces_and_options_name_the_nearest():
  with pytest.raises(ValueError, match=r"'nasent'; did you mean 'nasnet'"):
    genotypes.create("nasent")
  with pytest.raises(ValueError, match=r"'block'; did you mean 'blocks'"):
    genotypes.create("enas(block=3)")
  with pytest.raises(ValueError, match=r"blocks.*0.*\[1, 10\]"):
    genotypes.create("nasnet(blocks=0)")
  with pytest.raises(ValueError, match=r"'skip'.*'skips'"):
    genotypes.create("nasbench201(simplified='skip')")

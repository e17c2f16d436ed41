"""Equivalent genotypes of blocks have one hash, others have another one."""

import itertools
import random

from jaxvision import genotypes
from jaxvision.genotypes import blocks

identify = genotypes.create("nasnet").identify


def _draw(rng, *, name="nasnet(blocks=4)", operations=2):
  """A random genotype with few different operations, so that many are equal."""
  space = genotypes.create(name)
  return blocks.parse(
    space.write(
      {
        k: rng.choice(v[:operations] if "operation" in k else v)
        for k, v in space.decisions.items()
      }
    )
  )


def _renumbered(cell, order):
  """The blocks in another order; None if a block would come too early."""
  numbers = {0: 0, 1: 1, **{old + 2: i + 2 for i, old in enumerate(order)}}
  changed = []
  for i, old in enumerate(order):
    block = cell.blocks[old]
    left, right = (
      (name, numbers[state]) for name, state in (block.left, block.right)
    )
    if max(left[1], right[1]) > i + 1:
      return None
    changed.append(blocks.Block(right, left, block.combine))
  outputs = tuple(sorted(numbers[state] for state in cell.outputs))
  return blocks.Cell(tuple(changed), outputs)


def _rows(cell):
  """Blocks without the order of their operations; the slow comparison."""
  return [(sorted((b.left, b.right)), b.combine) for b in cell.blocks]


def _is_equivalent(one, other):
  """Whether some order of the blocks of one gives the other; a slow oracle."""
  for order in itertools.permutations(range(len(one.blocks))):
    changed = _renumbered(one, order)
    if (
      changed
      and _rows(changed) == _rows(other)
      and set(changed.outputs) == set(other.outputs)
    ):
      return True
  return False


def test_the_order_of_blocks_and_of_operations_does_not_matter():
  rng, compared = random.Random(0), 0
  for _ in range(40):
    genotype = _draw(rng, operations=13)
    expected = identify(blocks.write(genotype))
    for order in itertools.permutations(range(4)):
      cells = [
        _renumbered(cell, order)
        for cell in (genotype.normal, genotype.reduction)
      ]
      if all(cells):
        compared += 1
        assert identify(blocks.write(blocks.Genotype(*cells))) == expected
  assert compared > 40


def test_cells_are_equivalent_exactly_if_an_order_makes_them_equal():
  rng = random.Random(1)
  cells = [
    _draw(rng, name="enas(blocks=3)", operations=n).normal
    for n in (1, 2)
    for _ in range(80)
  ]
  hashes = [
    identify(blocks.write(blocks.Genotype(cell, cells[0]))) for cell in cells
  ]
  equal = 0
  for i, j in itertools.combinations(range(len(cells)), 2):
    same = _is_equivalent(cells[i], cells[j])
    equal += same
    assert (hashes[i] == hashes[j]) == same
  assert equal > 50


def test_two_blocks_with_equal_operations_are_not_one():
  """A state that is read twice has one set of parameters, two have two."""
  prefix = "sep3x3(0)+id(1) sep3x3(0)+id(1)"
  once, twice = (
    identify(f"{prefix} id(2)+id({i}) out(2,3,4) / id(0)+id(1)") for i in (2, 3)
  )
  assert once != twice


def test_the_two_cells_are_not_interchangeable():
  assert identify("id(0)+id(0) / id(1)+id(1)") != identify(
    "id(1)+id(1) / id(0)+id(0)"
  )


def test_outputs_matter():
  text = "id(0)+id(1) / id(0)+id(1)"
  assert identify(text) != identify(text.replace(" /", " out(0,2) /"))
  assert identify("id(0)+id(1) out(2,0) / id(0)+id(1)") == identify(
    "id(1)+id(0) out(0,2) / id(0)+id(1)"
  )


def test_both_encodings_have_one_hash():
  again = blocks.write(blocks.parse(genotypes.ENAS))
  assert genotypes.create("enas").identify(again) == identify(genotypes.ENAS)


def test_many_equal_blocks_are_quick():
  """Ten equal blocks have 3.6 million orders."""
  cell = " ".join(["id(0)+id(1)"] * 10)
  assert identify(f"{cell} / {cell}") == identify(f"{cell} / {cell}")

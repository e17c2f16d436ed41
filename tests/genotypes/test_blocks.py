"""Genotypes of blocks: both encodings, and the errors."""

import random

import pytest

from jaxvision import genotypes
from jaxvision.genotypes import blocks

SMALL = "sep3x3(0)+id(1) max3x3(2)&conv1x1(0) / avg3x3(0)+id(1) id(2)+id(2)"


def test_a_text_has_operations_states_combinations_and_outputs():
  normal, reduction = (
    blocks.Cell(
      (
        blocks.Block(("sep3x3", 0), ("id", 1)),
        blocks.Block(("max3x3", 2), ("conv1x1", 0), "concat"),
      ),
      outputs=(3,),
    ),
    blocks.Cell(
      (
        blocks.Block(("avg3x3", 0), ("id", 1)),
        blocks.Block(("id", 2), ("id", 2)),
      ),
      outputs=(3,),
    ),
  )
  assert blocks.parse(SMALL) == blocks.Genotype(normal, reduction)
  assert blocks.write(blocks.Genotype(normal, reduction)) == SMALL


def test_states_that_no_block_reads_are_the_output():
  normal = blocks.parse("id(0)+id(0) id(0)+id(0) / id(0)+id(1)").normal
  assert normal.outputs == (1, 2, 3)


def test_other_outputs_are_written():
  text = "id(0)+id(1) id(2)+id(0) out(0,2,3) / id(0)+id(1)"
  assert blocks.parse(text).normal.outputs == (0, 2, 3)
  assert blocks.write(blocks.parse(text)) == text
  plain = text.replace("out(0,2,3)", "out(3)")
  assert blocks.write(blocks.parse(plain)) == plain.replace(" out(3)", "")


def test_random_genotypes_are_written_and_read():
  space, rng = genotypes.create("nasnet"), random.Random(0)
  for _ in range(200):
    text = space.write({k: rng.choice(v) for k, v in space.decisions.items()})
    assert blocks.write(blocks.parse(text)) == text


def test_the_encoding_of_enas_counts_the_older_input_as_state_0():
  """The first blocks of the published cells, read by hand."""
  genotype = blocks.parse(genotypes.ENAS)
  normal, reduction = genotype.normal, genotype.reduction
  assert normal.blocks[0] == blocks.Block(("avg3x3", 1), ("sep3x3", 1))
  assert normal.blocks[2] == blocks.Block(("id", 1), ("sep5x5", 0))
  assert reduction.blocks[2] == blocks.Block(("sep5x5", 0), ("sep5x5", 3))
  assert (normal.outputs, reduction.outputs) == ((2, 3, 4, 5, 6), (2, 4, 5, 6))
  assert blocks.parse(genotypes.ENAS.replace("/", "")) == genotype


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("id(0)+id(1)", "has 1 cells; expected 2"),
    ("id(0)+id(1) / ", "the reduction cell ' ' has no block"),
    (
      "id(0)+id(1) sep9x9(0)+id(1) / id(0)+id(1)",
      "normal cell, block 2: .*'sep9x9'; did you mean 'sep",
    ),
    (
      "id(0)+id(1) / id(0)-id(1)",
      r"reduction cell, block 1: 'id\(0\)-id\(1\)' is not a block; write it as",
    ),
    (
      "id(0)+id(2) / id(0)+id(1)",
      "reads state 2, but only the states 0 to 1 exist",
    ),
    ("id(0)+id(1) out(3) / id(0)+id(1)", "state 3 does not exist.*from 0 to 2"),
    ("id(0)+id(1) out(2,2) / id(0)+id(1)", "name each state once"),
    (
      "id(0)+id(1) id(0)+id(1) out(3) / id(0)+id(1)",
      "state 2 is neither read nor an output; add 2.*or remove block 1",
    ),
    ("0 2 0 0 1", "has 5 numbers; an encoding of ENAS has 4 for each block"),
    ("0 2 0 0 / 0 5 0 0", "reduction cell, block 1: 0 5 0 0: .*from 0 to 4"),
    ("2 2 0 0 / 0 4 0 0", "normal cell, block 1: .*states from 0 to 1"),
    ("", "has 1 cells"),
  ],
)
def test_an_error_has_the_place_and_a_remedy(text, message):
  with pytest.raises(ValueError, match=message):
    blocks.parse(text)

"""Equivalent cells: the same network except for the order of its parts.

Neither the order of the two operations of a block nor the order of the blocks
changes the network. The order of the outputs, and of the two parts of a
concatenation, only permutes channels. So of all orders of the blocks, the
smallest one is canonical.
"""

from jaxvision.genotypes.blocks import Block, Cell, Genotype

# A block with numbers of the canonical order: (is it an output, combination,
# two sorted (state, operation)).
_Row = tuple[bool, str, tuple[tuple[int, str], ...]]


def canonical(genotype: Genotype) -> str:
  """Returns a text that is equal for equivalent genotypes, and only these."""
  cells = (genotype.normal, genotype.reduction)
  return " / ".join(str(_canonical_cell(cell)) for cell in cells)


def _canonical_cell(cell: Cell) -> tuple[list[bool], tuple[_Row, ...]]:
  inputs = [state in cell.outputs for state in (0, 1)]
  return inputs, _least_rows(cell, {0: 0, 1: 1})


def _least_rows(cell: Cell, numbers: dict[int, int]) -> tuple[_Row, ...]:
  """Returns the least rows of the blocks without a number.

  Blocks that give the same row are tried one after the other, except those
  with the same readers: an exchange of these changes nothing.

  Args:
    cell: the blocks.
    numbers: state -> number in the canonical order, of the states before.
  """
  rows = {
    i + 2: _row(block, i + 2 in cell.outputs, numbers)
    for i, block in enumerate(cell.blocks)
    if i + 2 not in numbers and {block.left[1], block.right[1]} <= set(numbers)
  }
  if not rows:
    return ()
  least = min(rows.values())
  different = {
    _readers(cell, state): state for state, row in rows.items() if row == least
  }
  return min(
    (least, *_least_rows(cell, {**numbers, state: len(numbers)}))
    for state in different.values()
  )


def _row(block: Block, is_output: bool, numbers: dict[int, int]) -> _Row:
  operations = [(numbers[state], name) for name, state in _pair(block)]
  return is_output, block.combine, tuple(sorted(operations))


def _readers(cell: Cell, state: int) -> tuple[tuple[int, str], ...]:
  """Returns (block, operation) of each operation that reads a state."""
  return tuple(
    sorted(
      (i, name)
      for i, block in enumerate(cell.blocks)
      for name, read in _pair(block)
      if read == state
    )
  )


def _pair(block: Block) -> tuple[tuple[str, int], tuple[str, int]]:
  return block.left, block.right

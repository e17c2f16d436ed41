"""Genotypes of blocks: two operations on states, and their combination.

As in Zoph et al. 2018, Learning Transferable Architectures for Scalable Image
Recognition, section 3.1. State 0 is the output of the previous cell, state 1
that of the cell before it. Block i makes state i + 2. The text of a genotype
has the blocks of the normal cell and those of the reduction cell:

  sep5x5(0)+sep3x3(1) id(2)&max3x3(0) / avg3x3(0)+id(1) sep3x3(2)+id(2)

A state in parentheses is the input of an operation, `+` adds the two results,
and `&` concatenates them. The states that no block reads are the output of the
cell. `out(1,2,3)` after the blocks selects other states.

Also read is the encoding of ENAS (Pham et al. 2018, Efficient Neural
Architecture Search via Parameter Sharing; github.com/melodyguan/enas):
`state operation state operation` for each block, 5 blocks of the normal cell
and 5 of the reduction cell. There, state 0 is the older one of the two inputs.
"""

import dataclasses
import re

from jaxvision import lookup

# The 13 operations of Zoph et al. 2018, section 3.1.
OPERATIONS = (
  "id",
  "conv1x3_3x1",
  "conv1x7_7x1",
  "dil3x3",
  "avg3x3",
  "max3x3",
  "max5x5",
  "max7x7",
  "conv1x1",
  "conv3x3",
  "sep3x3",
  "sep5x5",
  "sep7x7",
)
# Those of ENAS, in the order of its encoding.
ENAS_OPERATIONS = ("sep3x3", "sep5x5", "avg3x3", "max3x3", "id")
COMBINATIONS = {"add": "+", "concat": "&"}
CELLS = ("normal", "reduction")

Operation = tuple[str, int]  # (operation, state).

_BLOCK = re.compile(r"(\w+)\((\d+)\)([+&])(\w+)\((\d+)\)", re.ASCII)
_OUTPUTS = re.compile(r"out\((\d+(?:,\d+)*)\)", re.ASCII)
_ARC = re.compile(r"[\d\s/]+", re.ASCII)
_FORM = "write it as 'sep3x3(0)+id(1)', or with & for a concatenation"


@dataclasses.dataclass(frozen=True)
class Block:
  """Two operations and their combination.

  Attributes:
    left, right: (operation, state).
    combine: "add" or "concat".
  """

  left: Operation
  right: Operation
  combine: str = "add"


@dataclasses.dataclass(frozen=True)
class Cell:
  """The blocks of a cell.

  Attributes:
    blocks: block i makes state i + 2.
    outputs: the states that are concatenated to the output.
  """

  blocks: tuple[Block, ...]
  outputs: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Genotype:
  """The two cells of a network."""

  normal: Cell
  reduction: Cell


def parse(text: str) -> Genotype:
  """Returns the genotype of a text in one of the two encodings.

  Raises:
    ValueError: the text is not a genotype; the message has the place.
  """
  if _ARC.fullmatch(text) and not text.isspace():
    return _parse_arc(text)
  parts = text.split("/")
  if len(parts) != 2:
    raise ValueError(
      f"genotype {text!r} has {len(parts)} cells; expected 2, the normal and "
      "the reduction cell with / between them"
    )
  return Genotype(*map(_parse_cell, parts, CELLS))


def write(genotype: Genotype) -> str:
  """Returns the text of a genotype, one line."""
  return " / ".join(map(_write_cell, (genotype.normal, genotype.reduction)))


def unused(blocks: tuple[Block, ...]) -> tuple[int, ...]:
  """Returns the states that no block reads."""
  read = {state for b in blocks for _, state in (b.left, b.right)}
  return tuple(i for i in range(len(blocks) + 2) if i not in read)


def _write_cell(cell: Cell) -> str:
  words = [
    f"{b.left[0]}({b.left[1]}){COMBINATIONS[b.combine]}"
    f"{b.right[0]}({b.right[1]})"
    for b in cell.blocks
  ]
  if cell.outputs != unused(cell.blocks):
    words.append(f"out({','.join(map(str, cell.outputs))})")
  return " ".join(words)


def _parse_cell(text: str, name: str) -> Cell:
  words = text.split()
  outputs = _OUTPUTS.fullmatch(words[-1]) if words else None
  if outputs:
    words.pop()
  if not words:
    raise ValueError(
      f"genotype: the {name} cell {text!r} has no block; {_FORM}"
    )
  blocks = tuple(
    _parse_block(word, i, f"genotype: {name} cell, block {i + 1}")
    for i, word in enumerate(words)
  )
  if not outputs:
    return Cell(blocks, unused(blocks))
  chosen = tuple(map(int, outputs[1].split(",")))
  _check_outputs(chosen, blocks, f"genotype: {name} cell, {outputs[0]}")
  return Cell(blocks, chosen)


def _parse_block(word: str, index: int, place: str) -> Block:
  match = _BLOCK.fullmatch(word)
  if not match:
    raise ValueError(f"{place}: {word!r} is not a block; {_FORM}")
  left, left_state, sign, right, right_state = match.groups()
  for operation in (left, right):
    if operation not in OPERATIONS:
      message = lookup.unknown("operation", operation, OPERATIONS)
      raise ValueError(f"{place}: {word!r}: {message}")
  states = int(left_state), int(right_state)
  if max(states) > index + 1:
    raise ValueError(
      f"{place}: {word!r} reads state {max(states)}, but only the states 0 to "
      f"{index + 1} exist before it; use one of them"
    )
  combine = next(k for k, v in COMBINATIONS.items() if v == sign)
  return Block((left, states[0]), (right, states[1]), combine)


def _check_outputs(
  chosen: tuple[int, ...], blocks: tuple[Block, ...], place: str
) -> None:
  known = range(len(blocks) + 2)
  wrong = [state for state in chosen if state not in known]
  if wrong:
    raise ValueError(
      f"{place}: state {wrong[0]} does not exist; use states from 0 to "
      f"{known[-1]}"
    )
  if len(set(chosen)) < len(chosen):
    raise ValueError(f"{place}: a state is repeated; name each state once")
  lost = [i for i in unused(blocks) if i >= 2 and i not in chosen]
  if lost:
    raise ValueError(
      f"{place}: state {lost[0]} is neither read nor an output; add "
      f"{lost[0]} to the outputs, or remove block {lost[0] - 1}"
    )


def _parse_arc(text: str) -> Genotype:
  """Returns the genotype of an encoding of ENAS."""
  numbers = [int(word) for word in text.replace("/", " ").split()]
  halves = len(numbers) // 2
  if len(numbers) % 8 or not numbers:
    raise ValueError(
      f"genotype {text!r} has {len(numbers)} numbers; an encoding of ENAS has "
      "4 for each block (state, operation, state, operation), for equally "
      "many blocks of the normal and of the reduction cell"
    )
  return Genotype(
    _parse_arc_cell(numbers[:halves], CELLS[0]),
    _parse_arc_cell(numbers[halves:], CELLS[1]),
  )


def _parse_arc_cell(numbers: list[int], name: str) -> Cell:
  blocks = []
  for i in range(len(numbers) // 4):
    pair = numbers[4 * i : 4 * i + 4]
    place = f"genotype: {name} cell, block {i + 1}: {' '.join(map(str, pair))}"
    if max(pair[::2]) > i + 1 or max(pair[1::2]) >= len(ENAS_OPERATIONS):
      raise ValueError(
        f"{place}: expected state operation state operation, with states from "
        f"0 to {i + 1} and operations from 0 to {len(ENAS_OPERATIONS) - 1} "
        f"({', '.join(ENAS_OPERATIONS)})"
      )
    # The two inputs have the opposite order here.
    left, right = (
      (ENAS_OPERATIONS[operation], 1 - state if state < 2 else state)
      for state, operation in zip(pair[::2], pair[1::2], strict=True)
    )
    blocks.append(Block(left, right))
  return Cell(tuple(blocks), unused(tuple(blocks)))

"""The spaces of NASNet and of ENAS, and their published genotypes.

Zoph et al. 2018, Learning Transferable Architectures for Scalable Image
Recognition, section 3; Pham et al. 2018, Efficient Neural Architecture Search
via Parameter Sharing, section 2.4.
"""

from collections.abc import Mapping
from typing import Annotated

from jaxvision.genotypes import blocks, equivalence
from jaxvision.genotypes.space import Space, digest
from jaxvision.lookup import ranges

# Zoph et al. 2018, Figure 4. The outputs are those of the authors' code
# (TensorFlow models, slim), in which state 1 of the normal cell and state 3 of
# the reduction cell are outputs although blocks read them.
NASNET_A = (
  "sep5x5(0)+sep3x3(1) sep5x5(1)+sep3x3(1) avg3x3(0)+id(1) "
  "avg3x3(1)+avg3x3(1) sep3x3(0)+id(0) out(1,2,3,4,5,6) / "
  "sep5x5(0)+sep7x7(1) max3x3(0)+sep7x7(1) avg3x3(0)+sep5x5(1) "
  "id(3)+avg3x3(2) sep3x3(2)+max3x3(0) out(3,4,5,6)"
)
# Pham et al. 2018, Figures 8 and 9, as in the authors' scripts.
ENAS = (
  "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 / "
  "1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"
)
Blocks = Annotated[int, ranges.Range(1, 10)]


def nasnet(*, blocks: Blocks = 5) -> Space:
  """Returns the space of NASNet: 13 operations, sums and concatenations.

  Args:
    blocks: number of blocks of a cell; the paper has 5, which are 50 decisions
      and 5.2e36 sequences of decisions.
  """
  return _space(f"nasnet(blocks={blocks})", blocks, _NASNET_LABELS)


def enas(*, blocks: Blocks = 5) -> Space:
  """Returns the space of ENAS: 5 operations, sums.

  Args:
    blocks: number of blocks of a cell; the paper has 5, which are 40 decisions
      and 2.6e25 sequences of decisions.
  """
  return _space(f"enas(blocks={blocks})", blocks, _ENAS_LABELS)


def identify(text: str) -> str:
  """Returns the hash of a genotype, equal for equivalent cells.

  Raises:
    ValueError: the text is not a genotype.
  """
  return digest(equivalence.canonical(blocks.parse(text)))


# Decision of a block -> its labels; the states differ between blocks.
_NASNET_LABELS = {
  "state_1": (),
  "state_2": (),
  "operation_1": blocks.OPERATIONS,
  "operation_2": blocks.OPERATIONS,
  "combine": tuple(blocks.COMBINATIONS),
}
_ENAS_LABELS = {
  "state_1": (),
  "state_2": (),
  "operation_1": blocks.ENAS_OPERATIONS,
  "operation_2": blocks.ENAS_OPERATIONS,
}


def _space(
  name: str, count: int, labels: Mapping[str, tuple[str, ...]]
) -> Space:
  decisions = {
    f"{cell}_{i + 1}_{decision}": chosen or tuple(map(str, range(i + 2)))
    for cell in blocks.CELLS
    for i in range(count)
    for decision, chosen in labels.items()
  }

  def write(labels: Mapping[str, str]) -> str:
    cells = [_cell(labels, cell, count) for cell in blocks.CELLS]
    return blocks.write(blocks.Genotype(*cells))

  return Space(name, decisions, write, identify)


def _cell(labels: Mapping[str, str], cell: str, count: int) -> blocks.Cell:
  chosen = tuple(_block(labels, f"{cell}_{i + 1}") for i in range(count))
  return blocks.Cell(chosen, blocks.unused(chosen))


def _block(labels: Mapping[str, str], prefix: str) -> blocks.Block:
  left, right = (
    (labels[f"{prefix}_operation_{i}"], int(labels[f"{prefix}_state_{i}"]))
    for i in (1, 2)
  )
  return blocks.Block(left, right, labels.get(f"{prefix}_combine", "add"))

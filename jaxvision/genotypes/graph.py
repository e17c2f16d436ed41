"""The graph of a cell: inputs, operations, combinations and the output."""

import dataclasses
from collections.abc import Iterator

from jaxvision.genotypes import blocks, nasbench201

OUTPUT = "output"
_SIGNS = {"add": "+", "concat": "concat"}


@dataclasses.dataclass(frozen=True)
class Graph:
  """A directed graph without circles.

  Attributes:
    title: the name of the cell.
    labels: node -> its text.
    edges: (from node, to node).
  """

  title: str
  labels: dict[str, str]
  edges: tuple[tuple[str, str], ...]


def graphs(text: str) -> tuple[Graph, ...]:
  """Returns the graphs of the cells of a genotype, of any space.

  Raises:
    ValueError: the text is not a genotype.
  """
  if text.lstrip().startswith("|"):
    return (_graph("cell", _nodes_of_edges(nasbench201.parse(text))),)
  genotype = blocks.parse(text)
  return tuple(
    _graph(f"{name} cell", _nodes_of_blocks(getattr(genotype, name)))
    for name in blocks.CELLS
  )


# A node: (name, text, nodes that it reads).
_Node = tuple[str, str, list[str]]


def _graph(title: str, nodes: Iterator[_Node]) -> Graph:
  labels, edges = {}, []
  for name, label, sources in nodes:
    labels[name] = label
    edges += [(source, name) for source in sources]
  return Graph(title, labels, tuple(edges))


def _nodes_of_blocks(cell: blocks.Cell) -> Iterator[_Node]:
  yield "state 0", "0: previous cell", []
  yield "state 1", "1: cell before it", []
  for i, block in enumerate(cell.blocks):
    pair = []
    for side in ("left", "right"):
      name, state = getattr(block, side)
      pair.append(f"{side} {i + 2}")
      yield pair[-1], name, [f"state {state}"]
    yield f"state {i + 2}", f"{i + 2}: {_SIGNS[block.combine]}", pair
  yield OUTPUT, OUTPUT, [f"state {i}" for i in cell.outputs]


def _nodes_of_edges(nodes: nasbench201.Nodes) -> Iterator[_Node]:
  """Operations that return zero are left out."""
  yield "state 0", "0: previous cell", []
  for i, operations in enumerate(nodes):
    read = []
    for before, name in enumerate(operations):
      if name != "none":
        read.append(f"edge {before} {i + 1}")
        yield read[-1], name, [f"state {before}"]
    yield f"state {i + 1}", f"{i + 1}: {'+' if read else 'zero'}", read
  yield OUTPUT, OUTPUT, [f"state {len(nodes)}"]

"""The space of NAS-Bench-201: an operation on each edge between four nodes.

Dong and Yang 2020, NAS-Bench-201: Extending the Scope of Reproducible Neural
Architecture Search. Node 0 is the input of the cell. Every other node is the
sum of the operations on all nodes before it, and node 3 is the output. The text
is that of the published tables; node i has i operations:

  |op~0|+|op~0|op~1|+|op~0|op~1|op~2|
"""

import re
from collections.abc import Mapping
from typing import Literal

from jaxvision import lookup
from jaxvision.genotypes.space import Space, digest

OPERATIONS = (
  "none",
  "skip_connect",
  "nor_conv_1x1",
  "nor_conv_3x3",
  "avg_pool_3x3",
)
NODES = 4
# (node, node before it) of each operation, in the order of the text.
EDGES = tuple(
  (node, before) for node in range(1, NODES) for before in range(node)
)

Simplified = Literal["zeros_and_skips", "skips"]
# Operations on the nodes before nodes 1, 2 and 3.
Nodes = tuple[tuple[str, ...], ...]

_FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
_OPERATION = re.compile(r"(\w+)~(\d)", re.ASCII)


def nasbench201(*, simplified: Simplified = "zeros_and_skips") -> Space:
  """Returns the space of NAS-Bench-201: 6 decisions, 15,625 cells.

  Args:
    simplified: the cells that count as equivalent, as in the authors' code:
      "zeros_and_skips" (operations on zeros are zero, and skip connections are
      their inputs: 6,466 different cells) or "skips" (12,751).
  """
  name = "nasbench201"
  if simplified != "zeros_and_skips":
    name += f"(simplified={simplified!r})"
  decisions = {f"edge_{before}_{node}": OPERATIONS for node, before in EDGES}

  def identify(text: str) -> str:
    return digest(canonical(parse(text), simplified=simplified))

  return Space(name, decisions, _write_labels, identify)


def parse(text: str) -> Nodes:
  """Returns the operations of nodes 1, 2 and 3, each on the nodes before it.

  Raises:
    ValueError: the text is not a cell; the message has the place.
  """
  parts = text.strip().split("+")
  if len(parts) != NODES - 1:
    raise ValueError(
      f"arch {text!r} has {len(parts)} nodes; expected {NODES - 1}, as in "
      f"{_FORM}"
    )
  return tuple(_parse_node(part, i + 1) for i, part in enumerate(parts))


def write(nodes: Nodes) -> str:
  """Returns the text of a cell, with the operations of nodes 1, 2 and 3."""
  return "+".join(
    f"|{'|'.join(f'{name}~{i}' for i, name in enumerate(node))}|"
    for node in nodes
  )


def canonical(nodes: Nodes, *, simplified: Simplified) -> str:
  """Returns a text that is equal for equivalent cells.

  It is that of `CellStructure.to_unique_str` in
  github.com/D-X-Y/AutoDL-Projects, which the paper counts: a sum is a sorted
  list, "#" is zero, and a sum of several zeros is not simplified.

  Args:
    nodes: as from `parse`.
    simplified: as for `nasbench201`.
  """
  zeros = simplified == "zeros_and_skips"
  texts = ["0"]
  for node in nodes:
    terms = []
    for name, before in zip(node, texts, strict=True):
      if zeros and (name == "none" or before == "#"):
        terms.append("#")
      elif name == "skip_connect":
        terms.append(before)
      else:
        terms.append(f"({before})@{name}")
    texts.append("+".join(sorted(terms)))
  return texts[-1]


def _write_labels(labels: Mapping[str, str]) -> str:
  return write(
    tuple(
      tuple(labels[f"edge_{before}_{node}"] for before in range(node))
      for node in range(1, NODES)
    )
  )


def _parse_node(text: str, node: int) -> tuple[str, ...]:
  place = f"arch: node {node}: {text!r}"
  words = text.strip().removeprefix("|").removesuffix("|").split("|")
  if text.strip() != f"|{'|'.join(words)}|" or len(words) != node:
    raise ValueError(
      f"{place}: expected {node} operations between bars, as in {_FORM}"
    )
  return tuple(_parse_operation(w, i, place) for i, w in enumerate(words))


def _parse_operation(word: str, before: int, place: str) -> str:
  match = _OPERATION.fullmatch(word)
  if not match or int(match[2]) != before:
    raise ValueError(
      f"{place}: {word!r} is not an operation on node {before}; write it as "
      f"'nor_conv_3x3~{before}'"
    )
  if match[1] not in OPERATIONS:
    raise ValueError(
      f"{place}: {lookup.unknown('operation', match[1], OPERATIONS)}"
    )
  return match[1]

"""Pictures of genotypes: the graphs of their cells, as SVG.

Nodes are in layers by the length of the longest path to them, from the top to
the bottom. Lines pass other layers between the nodes. All lines and letters
have the colour of the text around the picture, so that it fits light and dark
pages.
"""

import collections
import html
import itertools

from jaxvision.genotypes.graph import OUTPUT, Graph, graphs

# In pixels.
_LETTER, _BOX, _GAP, _ROW, _MARGIN = 7.5, 24, 14, 62, 12
_SWEEPS = 8  # to reduce the number of crossing lines

_Position = tuple[float, float]


def draw(text: str) -> str:
  """Returns an SVG element with the cells of a genotype, one below the other.

  Args:
    text: a genotype of any space.

  Raises:
    ValueError: the text is not a genotype.
  """
  parts, width, height = [], 0.0, 0.0
  for graph in graphs(text):
    positions = _positions(graph)
    parts.append(
      f'<g transform="translate(0 {height:g})">'
      f'<text x="{_MARGIN}" y="16" font-weight="bold">{graph.title}</text>'
      f"{_lines(graph, positions)}{_boxes(graph, positions)}</g>"
    )
    width = max(
      width, *(x + _width(graph, n) for n, (x, _) in positions.items())
    )
    height += max(y for _, y in positions.values()) + _BOX + _MARGIN
  title = html.escape(f"Genotype {text}")
  return (
    f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
    f'viewBox="0 0 {width + _MARGIN:g} {height:g}" '
    f'style="max-width: {width + _MARGIN:g}px" '
    f'font-family="sans-serif" font-size="12" fill="currentColor">'
    f"<title>{title}</title>{''.join(parts)}</svg>"
  )


def _positions(graph: Graph) -> dict[str, _Position]:
  """Returns the left upper corner of each node, and of each passing line."""
  layers, edges = _layers(graph)
  for sweep in range(_SWEEPS):
    _order(layers, edges, downwards=sweep % 2 == 0)
  widths = [
    sum(_width(graph, name) + _GAP for name in layer) - _GAP for layer in layers
  ]
  positions = {}
  for i, layer in enumerate(layers):
    x = _MARGIN + (max(widths) - widths[i]) / 2
    for name in layer:
      positions[name] = (x, 28.0 + i * _ROW)
      x += _width(graph, name) + _GAP
  return positions


def _layers(graph: Graph) -> tuple[list[list[str]], list[tuple[str, str]]]:
  """Returns the nodes of each layer, and the edges between neighbours.

  A line that passes a layer has a node there, `_passing(...)`.
  """
  depths = _depths(graph)
  layers = [[] for _ in range(max(depths.values()) + 1)]
  for name, depth in depths.items():
    layers[depth].append(name)
  edges = []
  for edge in graph.edges:
    path = _path(edge, depths)
    for depth, name in enumerate(path[1:-1], depths[edge[0]] + 1):
      layers[depth].append(name)
    edges += itertools.pairwise(path)
  return layers, edges


def _depths(graph: Graph) -> dict[str, int]:
  """Returns the length of the longest path to each node."""
  sources = collections.defaultdict(list)
  for source, name in graph.edges:
    sources[name].append(source)
  depths: dict[str, int] = {}
  for name in graph.labels:  # Each one comes after those that it reads.
    depths[name] = 1 + max((depths[each] for each in sources[name]), default=-1)
  depths[OUTPUT] = max(depths.values()) + (not sources[OUTPUT])
  return depths


def _path(edge: tuple[str, str], depths: dict[str, int]) -> list[str]:
  """Returns the nodes of a line, one for each layer."""
  source, target = edge
  passed = range(depths[source] + 1, depths[target])
  return [source, *(f"{source} to {target} at {i}" for i in passed), target]


def _order(
  layers: list[list[str]], edges: list[tuple[str, str]], *, downwards: bool
) -> None:
  """Sorts each layer by the mean position of its neighbours in the last one."""
  neighbours = collections.defaultdict(list)
  for source, target in edges:
    near, far = (target, source) if downwards else (source, target)
    neighbours[near].append(far)
  places = {
    name: i / max(1, len(layer) - 1)
    for layer in layers
    for i, name in enumerate(layer)
  }
  for layer in layers if downwards else layers[::-1]:
    means = {
      name: sum(places[n] for n in neighbours[name]) / len(neighbours[name])
      if neighbours[name]
      else places[name]
      for name in layer
    }
    layer.sort(key=means.__getitem__)
    for i, name in enumerate(layer):
      places[name] = i / max(1, len(layer) - 1)


def _width(graph: Graph, name: str) -> float:
  if name not in graph.labels:
    return 0.0  # a passing line
  return len(graph.labels[name]) * _LETTER + 12


def _boxes(graph: Graph, positions: dict[str, _Position]) -> str:
  parts = []
  for name, label in graph.labels.items():
    x, y = positions[name]
    width = _width(graph, name)
    # Operations have corners, states and the output are round.
    radius = 2 if name.startswith(("left", "right", "edge")) else _BOX / 2
    parts.append(
      f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{_BOX}" '
      f'rx="{radius:g}" fill="none" stroke="currentColor"/>'
      f'<text x="{x + width / 2:g}" y="{y + 16:g}" text-anchor="middle">'
      f"{html.escape(label)}</text>"
    )
  return "".join(parts)


def _lines(graph: Graph, positions: dict[str, _Position]) -> str:
  """Returns a curve with an arrow for each edge."""
  depths = _depths(graph)
  parts = []
  for edge in graph.edges:
    points = []
    for name in _path(edge, depths):
      x, y = positions[name]
      points.append((x + _width(graph, name) / 2, y))
    parts.append(_curve(points))
  return f'<g fill="none" stroke="currentColor">{"".join(parts)}</g>'


def _curve(points: list[_Position]) -> str:
  x, y = points[0][0], points[0][1] + _BOX
  path = f"M{x:g} {y:g}"
  for i, (end_x, end_y) in enumerate(points[1:], 2):
    middle = (y + end_y) / 2
    path += f"C{x:g} {middle:g} {end_x:g} {middle:g} {end_x:g} {end_y:g}"
    x, y = end_x, end_y
    if i < len(points):  # through the layer
      y += _BOX
      path += f"V{y:g}"
  return (
    f'<path d="{path}"/><path fill="currentColor" '
    f'd="M{x - 3:g} {y - 6:g}L{x:g} {y:g}L{x + 3:g} {y - 6:g}z"/>'
  )

"""NASNet: normal and reduction cells, each with pairs of operations.

Zoph et al. 2018, Learning Transferable Architectures for Scalable Image
Recognition, Figure 4 and Tables 1 to 3, as in the authors' code (TensorFlow
models, slim). NASNet-A has the cells of the paper. `nasnet_cell` has those of a
text, which docs/search.md describes, by default also NASNet-A's. "N @ P" means
N normal cells in each of three stages, and P = 24 features at the end.

Published numbers of parameters exclude the auxiliary head, which is for
training only: recipes enable it with `auxiliary=True`.

Parameter names are timm's, with an underscore instead of the dot before the
layer: `cell_0.conv_1x1.bn` is `cell_0/conv_1x1_bn`. Kernels are initialised as
in the authors' code, with variance 2 / fan_out, also in the classifier.
"""

from typing import Annotated, Any

from jaxvision import genotypes
from jaxvision.genotypes import blocks
from jaxvision.layers.cell_network import CellNetwork, Design
from jaxvision.layers.cells import Wiring
from jaxvision.lookup import ranges

Genotype = Annotated[str, ranges.Form("a genotype", blocks.parse)]


class NasNetA(CellNetwork):
  """NASNet-A: the cells of the paper.

  Attributes: as in `CellNetwork`, and
    repeats: number of normal cells of each stage.
    features: features of the states in the first stage; they double in each
      stage, and the two cells of the stem have 1/4 and 1/2 of them.
  """

  repeats: ranges.Depth = 4
  features: ranges.Count = 44

  def design(self) -> Design:
    """Returns the cells of the network."""
    return _design(genotypes.NASNET_A, self.repeats, self.features)


class NasNetCell(CellNetwork):
  """The network of NASNet with the cells of any genotype.

  Attributes: as in `CellNetwork`, and
    genotype: the two cells as text, see docs/search.md: blocks such as
      `sep3x3(0)+id(1)`, with a slash between the normal and the reduction cell,
      or the encoding of ENAS.
    cells: number of normal cells of each stage.
    filters: features of the states in the first stage; they double in each
      stage, and the two cells of the stem "imagenet" have 1/4 and 1/2 of them.
  """

  width_option = "filters"

  genotype: Genotype = genotypes.NASNET_A
  cells: ranges.Depth = 2
  filters: ranges.Count = 32

  def design(self) -> Design:
    """Returns the cells of the network.

    Raises:
      ValueError: the text is not a genotype; the message has the place.
    """
    return _design(self.genotype, self.cells, self.filters)


def _design(genotype: str, repeats: int, features: int) -> Design:
  parsed = blocks.parse(genotype)
  return Design(
    normal=_wiring(parsed.normal, stride=1),
    reduction=_wiring(parsed.reduction, stride=2),
    repeats=repeats,
    features=features,
  )


def _wiring(cell: blocks.Cell, *, stride: int) -> Wiring:
  return Wiring(
    pairs=tuple((block.left, block.right) for block in cell.blocks),
    outputs=cell.outputs,
    stride=stride,
    concatenated=tuple(
      i for i, block in enumerate(cell.blocks) if block.combine == "concat"
    ),
  )


def _variant(
  table: str,
  *,
  options: dict[str, Any],
  module: type[CellNetwork] = NasNetA,
  **spec: Any,
) -> dict[str, Any]:
  return {
    "module": module,
    "options": options,
    "spec": {
      "mean": (0.5, 0.5, 0.5),
      "std": (0.5, 0.5, 0.5),
      "paper": "Zoph et al. 2018, Learning Transferable Architectures for "
      f"Scalable Image Recognition, {table}",
      **spec,
    },
  }


VARIANTS = {
  "nasnet_a_mobile": _variant(
    "Table 3, 4 @ 1056",
    options={},
    image_size=224,
    crop_fraction=0.875,
    parameters=5_289_978,
    gmacs=0.5636,
    top1=74.0,
    top1_source="paper, Table 3",
  ),
  "nasnet_a_large": _variant(
    "Table 2, 6 @ 4032",
    options={
      "repeats": 6,
      "features": 168,
      "stem_multiplier": 3.0,
      "skip_reduction": True,
      "drop_path": 0.3,
    },
    image_size=331,
    crop_fraction=0.911,
    parameters=88_753_150,
    gmacs=23.783,
    top1=82.7,
    top1_source="paper, Table 2",
  ),
  "nasnet_a_cifar": _variant(
    "Table 1, 6 @ 768",
    options={
      "repeats": 6,
      "features": 32,
      "stem": "small",
      "stem_multiplier": 3.0,
      "drop_path": 0.4,
      "dropout": 0.0,
      "norm_epsilon": 1e-5,
      "norm_momentum": 0.9,
    },
    image_size=32,
    crop_fraction=1.0,
    parameters=4_107_848,
    gmacs=0.5451,
  ),
  "nasnet_cell": _variant(
    "section 3",
    module=NasNetCell,
    options={
      "stem": "small",
      "stem_multiplier": 3.0,
      "dropout": 0.0,
      "norm_epsilon": 1e-5,
      "norm_momentum": 0.9,
    },
    image_size=32,
    crop_fraction=1.0,
    parameters=2_056_008,
    gmacs=0.2329,
  ),
}

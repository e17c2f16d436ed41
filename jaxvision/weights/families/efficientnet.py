"""Layouts of EfficientNet: timm, torchvision, EfficientNet-PyTorch, authors.

timm and torchvision number the blocks of each stage. EfficientNet-PyTorch and
the authors (the TPU repository, in TensorFlow) number all blocks of a network,
so their layouts depend on its number of blocks. An .npz of the authors has the
variables of a TensorFlow checkpoint under their names.

The Lite networks have no gates, so they have layouts of their own. The names of
a Lite network are a part of those of the network with gates.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from jaxvision import models
from jaxvision.weights import layout
from jaxvision.weights.layout import Layout, Place, Shape, Shaped

_B, _LITE = "efficientnet_b*", "efficientnet_lite*"
_HEAD = {"head": "classifier", "stem": ("conv_stem",)}
_TORCH = {"suffix": ".safetensors", "clean": layout.torch_clean, **_HEAD}
_BLOCK = r"^blocks_(\d+)_(\d+)/(.*)$"

# Module -> its name in a block with expansion, and in one without.
_Names = Mapping[str, tuple[str, str | None]]
_TORCHVISION: _Names = {
  "conv_pw": ("0.0", "2.0"),
  "bn1": ("0.1", "0.1"),
  "conv_dw": ("1.0", "0.0"),
  "bn2": ("1.1", "2.1"),
  "se/conv_reduce": ("2.fc1", "1.fc1"),
  "se/conv_expand": ("2.fc2", "1.fc2"),
  "conv_pwl": ("3.0", None),
  "bn3": ("3.1", None),
}
_PYTORCH: _Names = {
  "conv_pw": ("_expand_conv", "_project_conv"),
  "bn1": ("_bn0", "_bn1"),
  "conv_dw": ("_depthwise_conv", "_depthwise_conv"),
  "bn2": ("_bn1", "_bn2"),
  "se/conv_reduce": ("_se_reduce", "_se_reduce"),
  "se/conv_expand": ("_se_expand", "_se_expand"),
  "conv_pwl": ("_project_conv", None),
  "bn3": ("_bn2", None),
}
_TENSORFLOW: _Names = {
  "conv_pw": ("conv2d", "conv2d"),
  "bn1": ("tpu_batch_normalization", "tpu_batch_normalization"),
  "conv_dw": ("depthwise_conv2d", "depthwise_conv2d"),
  "bn2": ("tpu_batch_normalization_1", "tpu_batch_normalization_1"),
  "se/conv_reduce": ("se/conv2d", "se/conv2d"),
  "se/conv_expand": ("se/conv2d_1", "se/conv2d_1"),
  "conv_pwl": ("conv2d_1", None),
  "bn3": ("tpu_batch_normalization_2", None),
}
_TORCHVISION_ENDS = {
  "conv_stem": "features.0.0",
  "bn1": "features.0.1",
  "conv_head": "features.8.0",
  "bn2": "features.8.1",
  "classifier": "classifier.1",
}
_PYTORCH_ENDS = {
  "conv_stem": "_conv_stem",
  "bn1": "_bn0",
  "conv_head": "_conv_head",
  "bn2": "_bn1",
  "classifier": "_fc",
}
_TENSORFLOW_ENDS = {
  "conv_stem": "stem/conv2d",
  "bn1": "stem/tpu_batch_normalization",
  "conv_head": "head/conv2d",
  "bn2": "head/tpu_batch_normalization",
  "classifier": "head/dense",
}
_TENSORFLOW_LEAVES = {
  "kernel": "kernel",
  "bias": "bias",
  "mean": "moving_mean",
  "var": "moving_variance",
}
_OF_NORM = {"scale": "gamma", "bias": "beta"}
_AVERAGE = "/ExponentialMovingAverage"

_TIMM = (
  (r"^blocks_(\d)_(\d+)/", r"blocks.\1.\2."),
  ("se/", "se."),
)


def _in_block(module: str, stage: int, names: _Names) -> str:
  """Returns the name of a module in its block; stage 0 does not expand."""
  name = names.get(module, (None, None))[0 if stage else 1]
  if name is None:
    raise ValueError(
      f"blocks of stage {stage} have no {module} in this layout; use the run "
      "folder"
    )
  return name


def _torch(
  path: str,
  shape: Shape,
  *,
  ends: Mapping[str, str],
  block: Callable[[re.Match], str],
) -> Place:
  """Returns the place in a state dict of torch.

  Args:
    path, shape: as for `torch_place`.
    ends: module outside the blocks -> its name.
    block: match of `_BLOCK` -> name of the module in a block.
  """
  rules = (
    *((f"^{ours}$", theirs) for ours, theirs in ends.items()),
    (_BLOCK, block),
  )
  return layout.torch_place(path, shape, rules=rules)


def _torchvision_block(found: re.Match) -> str:
  stage, block = int(found[1]), found[2]
  name = _in_block(found[3], stage, _TORCHVISION)
  return f"features.{stage + 1}.{block}.block.{name}"


def _torchvision_options(
  arrays: Mapping[str, Shaped], name: str
) -> dict[str, Any]:
  """Up to B4, torchvision uses torch's default epsilon."""
  options: dict[str, Any] = {"padding": "symmetric"}
  if name[-1] in "01234":
    options["norm_epsilon"] = 1e-5
  return options


def _numbered(found: re.Match, *, repeats: tuple[int, ...]) -> int:
  """Returns the number of a block among all blocks of the network.

  Raises:
    ValueError: the network has no such block.
  """
  stage, block = int(found[1]), int(found[2])
  if stage >= len(repeats) or block >= repeats[stage]:
    raise ValueError(
      f"the model has the block {block} of stage {stage}, but in this layout "
      f"the stages have {', '.join(map(str, repeats))} blocks; use the run "
      "folder"
    )
  return sum(repeats[:stage]) + block


def _pytorch_block(found: re.Match, *, repeats: tuple[int, ...]) -> str:
  number = _numbered(found, repeats=repeats)
  return f"_blocks.{number}.{_in_block(found[3], int(found[1]), _PYTORCH)}"


def _tensorflow(
  path: str, shape: Shape, *, scope: str, repeats: tuple[int, ...]
) -> Place:
  """Kernels have our axes, except depthwise ones: (h, w, channels, 1)."""
  module, _, leaf = path.partition("/")[2].rpartition("/")
  if found := re.fullmatch(_BLOCK, module):
    number = _numbered(found, repeats=repeats)
    name = _in_block(found[3], int(found[1]), _TENSORFLOW)
    module = f"blocks_{number}/{name}"
  else:
    module = _TENSORFLOW_ENDS.get(module, module)
  leaves = _TENSORFLOW_LEAVES
  if "normalization" in module:
    leaves = leaves | _OF_NORM
  leaf = leaves.get(leaf, leaf)
  if not module.endswith("/depthwise_conv2d"):
    return layout.same(f"{scope}/{module}/{leaf}", shape)
  key = f"{scope}/{module}/depthwise_{leaf}"
  order = (0, 1, 3, 2)
  return Place(key, tuple(shape[axis] for axis in order), shape, order)


def _tensorflow_clean(key: str) -> str | None:
  """Returns the variable of a moving average; no states of the optimizer."""
  key = key.removesuffix(_AVERAGE)
  leaf = key.rpartition("/")[2].removeprefix("depthwise_")
  known = (*_TENSORFLOW_LEAVES.values(), *_OF_NORM.values())
  return key if leaf in known else None


def _fixed(name: str) -> dict[str, Any]:
  """The attributes of the models whose blocks have these numbers."""
  repeats = models.create(name, num_classes=1).repeats
  return {"stages": models.options(name)["stages"], "repeats": repeats}


def _pytorch_layouts(pattern: str, sign: str) -> list[Layout]:
  """One layout for each number of blocks, the smallest first.

  A file has the keys of all smaller networks, so the last block decides.
  """
  groups: dict[tuple[int, ...], list[str]] = {}
  for name in models.names(pattern):
    groups.setdefault(_fixed(name)["repeats"], []).append(name)
  return [
    Layout(
      "efficientnet_pytorch",
      models=names,
      fixed=_fixed(names[0]),
      sign=rf"_blocks\.{sum(repeats) - 1}\.{sign}\.weight",
      place=functools.partial(
        _torch,
        ends=_PYTORCH_ENDS,
        block=functools.partial(_pytorch_block, repeats=repeats),
      ),
      **_TORCH,
    )
    for repeats, names in sorted(groups.items(), key=lambda each: sum(each[0]))
  ]


def _tensorflow_layout(name: str) -> Layout:
  """The scope of the variables is the name of the network."""
  scope, fixed = name.replace("_", "-"), _fixed(name)
  place = functools.partial(_tensorflow, scope=scope, repeats=fixed["repeats"])
  return Layout(
    "authors",
    ".npz",
    models=(name,),
    fixed=fixed,
    sign=rf"{scope}/stem/conv2d/kernel",
    place=place,
    clean=_tensorflow_clean,
    **_HEAD,
  )


LAYOUTS = (
  Layout(
    "timm",
    models=(_LITE,),
    sign=r"blocks\.0\.0\.conv_dw\.weight",
    place=functools.partial(layout.torch_place, rules=_TIMM),
    **_TORCH,
  ),
  Layout(
    "timm",
    models=(_B,),
    sign=r"blocks\.0\.0\.se\.conv_reduce\.weight",
    place=functools.partial(layout.torch_place, rules=_TIMM),
    **_TORCH,
  ),
  Layout(
    "torchvision",
    models=(_B,),
    sign=r"features\.1\.0\.block\.0\.0\.weight",
    place=functools.partial(
      _torch, ends=_TORCHVISION_ENDS, block=_torchvision_block
    ),
    options=_torchvision_options,
    **_TORCH,
  ),
  *_pytorch_layouts(_LITE, "_project_conv"),
  *_pytorch_layouts(_B, "_se_reduce"),
  *map(_tensorflow_layout, models.names("efficientnet_*")),
)

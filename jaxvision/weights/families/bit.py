"""Layouts of BiT: authors, big_vision, timm and Hugging Face."""

import functools
import re
from collections.abc import Mapping
from typing import Any

from jaxvision.weights import layout
from jaxvision.weights.layout import Layout, Place, Shape

_AUTHORS = (
  (r"^root_block/conv_root$", "root_block/standardized_conv2d"),
  (r"^norm-pre-head$", "group_norm"),
  (r"^head$", "head/conv2d"),
  (r"/conv_proj$", "/a/proj/standardized_conv2d"),
  (r"/conv1$", "/a/standardized_conv2d"),
  (r"/conv2$", "/b/standardized_conv2d"),
  (r"/conv3$", "/c/standardized_conv2d"),
  (r"/gn1$", "/a/group_norm"),
  (r"/gn2$", "/b/group_norm"),
  (r"/gn3$", "/c/group_norm"),
)


def _authors(path: str, shape: Shape) -> Place:
  """In files of the authors, the classifier is a 1x1 convolution."""
  module, _, leaf = path.partition("/")[2].rpartition("/")
  names = {"scale": "gamma", "bias": "beta"} if module != "head" else {}
  key = f"resnet/{layout.renamed(module, _AUTHORS)}/{names.get(leaf, leaf)}"
  if path == "params/head/kernel":
    return Place(key, (1, 1, *shape), shape, (0, 1))
  return layout.same(key, shape)


def _without_numbers(key: str) -> str:
  """Removes the numbers that some files have in scopes of convolutions."""
  return re.sub(r"/standardized_conv2d_\d+/", "/standardized_conv2d/", key)


def _unwrapped(key: str) -> str:
  return re.sub(r"^(opt/target/|params/|opt/)", "", key)


def _unit(found: re.Match, *, form: str) -> str:
  return form.format(int(found[1]) - 1, int(found[2]) - 1)


def _torch(path: str, shape: Shape, *, rules: layout.Rules) -> Place:
  """The classifier is a 1x1 convolution in timm, but not in Hugging Face."""
  place = layout.torch_place(path, shape, rules=rules)
  if path == "params/head/kernel" and place.key.startswith("head"):
    return Place(place.key, (*place.shape, 1, 1), shape, (1, 0))
  return place


_IN_UNIT = ((r"conv_proj$", "downsample.conv"), (r"\bgn(\d)$", r"norm\1"))
_TIMM = (
  (r"^root_block/conv_root$", "stem.conv"),
  (
    r"^block(\d)/unit(\d+)/",
    functools.partial(_unit, form="stages.{}.blocks.{}."),
  ),
  *_IN_UNIT,
  (r"^norm-pre-head$", "norm"),
  (r"^head$", "head.fc"),
)
_HUGGING_FACE = (
  (r"^root_block/conv_root$", "bit.embedder.convolution"),
  (
    r"^block(\d)/unit(\d+)/",
    functools.partial(_unit, form="bit.encoder.stages.{}.layers.{}."),
  ),
  *_IN_UNIT,
  (r"^norm-pre-head$", "bit.norm"),
  (r"^head$", "classifier.1"),
)


def _options(
  arrays: Mapping[str, layout.Shaped], name: str, *, stem: str, **more: Any
) -> dict[str, Any]:
  """Returns the options; `stem` is the key of the first kernel."""
  if stem not in arrays:
    return more
  # (h, w, in, out), or torch's (out, in, h, w).
  side = arrays[stem].shape[0 if stem.endswith("kernel") else -1]
  return {**layout.stem_options(side), **more}


_BIT = {
  "models": ("bit_*",),
  "head": "head",
  "stem": ("root_block/conv_root",),
}
_TORCH = {"suffix": ".safetensors", **_BIT}
_of_torch = functools.partial(_options, standardization_epsilon=1e-8)
LAYOUTS = (
  Layout(
    "authors",
    ".npz",
    sign=r"resnet/root_block/standardized_conv2d/kernel",
    place=_authors,
    clean=lambda key: _without_numbers(_unwrapped(key)),
    options=functools.partial(
      _options, stem="resnet/root_block/standardized_conv2d/kernel"
    ),
    **_BIT,
  ),
  Layout(
    "big_vision",
    ".npz",
    sign=r"root_block/conv_root/kernel",
    place=layout.with_own_path,
    clean=_unwrapped,
    options=functools.partial(_options, stem="root_block/conv_root/kernel"),
    **_BIT,
  ),
  Layout(
    "timm",
    sign=r"stages\.0\.blocks\.0\.downsample\.conv\.weight",
    place=functools.partial(_torch, rules=_TIMM),
    options=functools.partial(_of_torch, stem="stem.conv.weight"),
    **_TORCH,
  ),
  Layout(
    "huggingface",
    sign=r"bit\.embedder\.convolution\.weight",
    place=functools.partial(_torch, rules=_HUGGING_FACE),
    options=functools.partial(
      _of_torch, stem="bit.embedder.convolution.weight"
    ),
    **_TORCH,
  ),
)

"""Layouts of the Vision Transformer and its hybrids.

They are: authors (before and after Flax Linen), big_vision, timm, torchvision
and Hugging Face.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxvision.weights import grids, layout
from jaxvision.weights.layout import Layout, Place, Shape

Arrays = Mapping[str, np.ndarray]

POSITIONS = "Transformer/posembed_input/pos_embedding"
_ATTENTION = "MultiHeadDotProductAttention_0"
_BLOCK = "Transformer/encoderblock_"

# Prefixes of wrappers; then names of earlier and later files that differ.
_CLEAN = (
  (r"^(opt/target/|params/img/|params/|img/)", ""),
  (r"^(Transformer/)?pos_embedding$", POSITIONS),
  (
    rf"^(probe$|{_ATTENTION}/|LayerNorm_0/|MlpBlock_0/)",
    r"MAPHead_0/\1",
  ),
)
# Before Linen, one counter numbered all layers of a block.
_NUMBERED = (
  (rf"({_BLOCK}\d+)/{_ATTENTION}/", r"\1/MultiHeadDotProductAttention_1/"),
  (rf"({_BLOCK}\d+)/LayerNorm_1/", r"\1/LayerNorm_2/"),
  (rf"({_BLOCK}\d+)/MlpBlock_0/", r"\1/MlpBlock_3/"),
)


def _clean(key: str) -> str:
  return layout.renamed(key, _CLEAN)


def _numbered(path: str, shape: Shape) -> Place:
  key = path.partition("/")[2]
  return layout.same(layout.renamed(key, _NUMBERED), shape)


def _scanned(path: str, shape: Shape) -> Place:
  """In scanned files, all blocks are in one array, along its first axis."""
  path = path.partition("/")[2]
  found = re.match(rf"{_BLOCK}(\d+)/(.*)", path)
  if not found:
    return layout.same(path, shape)
  key = f"Transformer/encoderblock/{found[2]}"
  block = int(found[1])
  return Place(key, (1, *shape), shape, range(len(shape)), block, parts=None)


def _tokens(arrays: Arrays, key: str) -> int:
  return arrays[key].shape[-2] if key in arrays else 0


def _position_options(
  arrays: Arrays, *, positions: str, token: str, pool: str, learned: str
) -> dict[str, Any]:
  """Returns the options for positions and pooling.

  Args:
    arrays: arrays of the file.
    positions, token, pool: keys of the learned positions, the class token and
      the query of attention pooling.
    learned: kind of learned positions with a class token; without a class token
      the kind is "learned".
  """
  options = {"pool": "mean", "positions": "none"}
  if token in arrays:
    options["pool"] = "token"
  if pool in arrays:
    options["pool"] = "map"
  if _tokens(arrays, positions):
    options["positions"] = learned if options["pool"] == "token" else "learned"
  return options


def _npz_options(arrays: Arrays, name: str, *, learned: str) -> dict[str, Any]:
  options = _position_options(
    arrays,
    positions=POSITIONS,
    token="cls",
    pool="MAPHead_0/probe",
    learned=learned,
  )
  if options["positions"] == "none":
    options["positions"] = "sincos2d"  # big_vision's, which has no parameters
  if "pre_logits/kernel" in arrays:
    options["representation_size"] = arrays["pre_logits/kernel"].shape[1]
  queries = [key for key in arrays if key.endswith("/query/kernel")]
  if queries:
    # (width, heads, size of a head), after the axis of blocks if scanned.
    options["num_heads"] = arrays[queries[0]].shape[-2]
  return options


_IN_BLOCK = (
  (r"LayerNorm_0$", "norm1"),
  (r"LayerNorm_1$", "norm2"),
  (r"MlpBlock_0/Dense_0$", "mlp.fc1"),
  (r"MlpBlock_0/Dense_1$", "mlp.fc2"),
)


def _unit(found: re.Match) -> str:
  stage, unit = int(found[1]) - 1, int(found[2]) - 1
  return f"patch_embed.backbone.stages.{stage}.blocks.{unit}."


_TIMM = (
  (r"^(conv|gn)_root$", r"patch_embed.backbone.stem.\1"),
  (r"^block(\d)/unit(\d+)/", _unit),
  (r"(conv|gn)_proj$", r"downsample.\1"),
  (r"\bgn(\d?)$", r"norm\1"),
  (r"^embedding$", "patch_embed.proj"),
  (r"^Transformer/encoderblock_(\d+)/", r"blocks.\1."),
  (r"^MAPHead_0/LayerNorm_0$", "attn_pool.norm"),
  (r"^MAPHead_0/MlpBlock_0/Dense_0$", "attn_pool.mlp.fc1"),
  (r"^MAPHead_0/MlpBlock_0/Dense_1$", "attn_pool.mlp.fc2"),
  *_IN_BLOCK,
  (r"^Transformer/encoder_norm$", "norm"),
)
# Parameter without module -> its name in timm.
_TIMM_TOKENS = {
  "cls": "cls_token",
  "dist": "dist_token",
  "registers": "reg_token",
  POSITIONS: "pos_embed",
  "MAPHead_0/probe": "attn_pool.latent",
}


def _torch(
  path: str,
  shape: Shape,
  *,
  tokens: Mapping[str, str],
  rules: layout.Rules,
  attention: Callable[[str, str], tuple[str, int, int]],
) -> Place:
  """Returns the place in a state dict of torch.

  Args:
    path: path in jaxvision.
    shape: shape in jaxvision.
    tokens: {parameter without module: its torch name}.
    rules: rules for modules, as for `layout.torch_place`.
    attention: (module with a slash, query, key, value or out) -> (torch key
      with {} for weight or bias, index of the part, number of parts).
  """
  path = path.partition("/")[2]
  if path in tokens:
    return layout.same(tokens[path], shape)
  found = re.match(rf"(.*){_ATTENTION}/(\w+)/(\w+)$", path)
  if not found:
    return layout.torch_place(f"params/{path}", shape, rules=rules)
  module, which, leaf = found.groups()
  key, part, parts = attention(module, which)
  key = key.format("weight" if leaf == "kernel" else "bias")
  kind = "out" if which == "out" else "into"
  return layout.joined(key, shape, kind=kind, part=part, parts=parts)


def _timm_attention(module: str, which: str) -> tuple[str, int, int]:
  """Query, key and value are one array; in the pooling, key and value are."""
  joined = ("query", "key", "value")
  if module == "MAPHead_0/":
    prefix, name, joined = "attn_pool.", "kv", ("key", "value")
  else:
    prefix = re.sub(rf"{_BLOCK}(\d+)/", r"blocks.\1.attn.", module)
    name = "qkv"
  if which in joined:
    return f"{prefix}{name}.{{}}", joined.index(which), len(joined)
  return f"{prefix}{'proj' if which == 'out' else 'q'}.{{}}", 0, 1


def _timm_clean(key: str) -> str:
  """The smallest hybrid has only a root, which is not a separate module."""
  return re.sub(
    r"^patch_embed\.backbone\.(conv|norm)\.",
    r"patch_embed.backbone.stem.\1.",
    key,
  )


def _timm_options(arrays: Arrays, name: str) -> dict[str, Any]:
  options = _position_options(
    arrays,
    positions="pos_embed",
    token="cls_token",
    pool="attn_pool.latent",
    learned=grids.UNDECIDED,
  )
  if "dist_token" in arrays:
    # Both tokens have a position in timm.
    options |= {"distillation_token": True, "positions": "learned"}
  return {
    **options,
    "activation": "gelu_erf",
    "registers": _tokens(arrays, "reg_token"),
  }


_TORCHVISION = (
  (r"^embedding$", "conv_proj"),
  (
    r"^Transformer/encoderblock_(\d+)/",
    r"encoder.layers.encoder_layer_\1.",
  ),
  (r"LayerNorm_0$", "ln_1"),
  (r"LayerNorm_1$", "ln_2"),
  (r"MlpBlock_0/Dense_0$", "mlp.0"),
  (r"MlpBlock_0/Dense_1$", "mlp.3"),
  (r"^Transformer/encoder_norm$", "encoder.ln"),
  (r"^head$", "heads.head"),
)


_TORCHVISION_TOKENS = {
  "cls": "class_token",
  POSITIONS: "encoder.pos_embedding",
}


def _torchvision_attention(module: str, which: str) -> tuple[str, int, int]:
  layer = re.sub(rf"{_BLOCK}(\d+)/", r"encoder.layers.encoder_layer_\1", module)
  if which == "out":
    return f"{layer}.self_attention.out_proj.{{}}", 0, 1
  part = ("query", "key", "value").index(which)
  return f"{layer}.self_attention.in_proj_{{}}", part, 3


def _torchvision_clean(key: str) -> str | None:
  """Older files have other names for the layers of an MLP."""
  key = key.replace("mlp.linear_1.", "mlp.0.")
  return layout.torch_clean(key.replace("mlp.linear_2.", "mlp.3."))


_HUGGING_FACE = (
  (r"^embedding$", "vit.embeddings.patch_embeddings.projection"),
  (r"^Transformer/encoderblock_(\d+)/", r"vit.encoder.layer.\1."),
  (r"LayerNorm_0$", "layernorm_before"),
  (r"LayerNorm_1$", "layernorm_after"),
  (r"MlpBlock_0/Dense_0$", "intermediate.dense"),
  (r"MlpBlock_0/Dense_1$", "output.dense"),
  (r"^Transformer/encoder_norm$", "vit.layernorm"),
  (r"^head$", "classifier"),
)


_HUGGING_FACE_TOKENS = {
  "cls": "vit.embeddings.cls_token",
  POSITIONS: "vit.embeddings.position_embeddings",
}


def _hugging_face_attention(module: str, which: str) -> tuple[str, int, int]:
  layer = re.sub(rf"{_BLOCK}(\d+)/", r"vit.encoder.layer.\1.attention", module)
  inner = "output.dense" if which == "out" else f"attention.{which}"
  return f"{layer}.{inner}.{{}}", 0, 1


def _exact(arrays: Arrays, name: str) -> dict[str, Any]:
  """The options of torchvision and Hugging Face: exact GELU, class token."""
  return {"activation": "gelu_erf", "pool": "token", "positions": "learned"}


_VIT = {
  "models": ("vit_*",),
  "head": "head",
  "stem": ("conv_root", "embedding"),
  "embedding": "embedding",
}
_TORCH = {"suffix": ".safetensors", **_VIT}
_NPZ = {"suffix": ".npz", "clean": _clean, **_VIT}
LAYOUTS = (
  Layout(
    "authors",
    sign=r"Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel",
    place=_numbered,
    # The authors' code adds positions after the class token is prepended.
    options=functools.partial(_npz_options, learned="learned"),
    **_NPZ,
  ),
  Layout(
    "big_vision",
    sign=r"Transformer/encoderblock_0/MlpBlock_0/Dense_0/kernel",
    place=layout.with_own_path,
    options=functools.partial(_npz_options, learned=grids.UNDECIDED),
    **_NPZ,
  ),
  Layout(
    "big_vision, scanned",
    sign=r"Transformer/encoderblock/MlpBlock_0/Dense_0/kernel",
    place=_scanned,
    options=functools.partial(_npz_options, learned=grids.UNDECIDED),
    **_NPZ,
  ),
  Layout(
    "timm",
    sign=r"blocks\.0\.attn\.qkv\.weight",
    place=functools.partial(
      _torch, tokens=_TIMM_TOKENS, rules=_TIMM, attention=_timm_attention
    ),
    clean=_timm_clean,
    options=_timm_options,
    **_TORCH,
  ),
  Layout(
    "torchvision",
    sign=r"encoder\.layers\.encoder_layer_0\.ln_1\.weight",
    place=functools.partial(
      _torch,
      tokens=_TORCHVISION_TOKENS,
      rules=_TORCHVISION,
      attention=_torchvision_attention,
    ),
    clean=_torchvision_clean,
    options=_exact,
    **_TORCH,
  ),
  Layout(
    "huggingface",
    sign=r"vit\.encoder\.layer\.0\.layernorm_before\.weight",
    place=functools.partial(
      _torch,
      tokens=_HUGGING_FACE_TOKENS,
      rules=_HUGGING_FACE,
      attention=_hugging_face_attention,
    ),
    clean=lambda key: None if key.startswith("vit.pooler.") else key,
    options=_exact,
    **_TORCH,
  ),
)

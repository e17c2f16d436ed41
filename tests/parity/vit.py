"""Vision Transformers compared with timm's, including hybrids."""

import functools

import numpy as np

from parity.case import CLASSES, Case, Count

_ATTENTION = "MultiHeadDotProductAttention_0"
_RULES = (
  (r"^cls_token$", "cls"),
  (r"^dist_token$", "dist"),
  (r"^reg_token$", "registers"),
  (r"^pos_embed$", "Transformer/posembed_input/pos_embedding"),
  (r"^patch_embed\.backbone\.(stem\.)?(conv|norm)\b", r"\2_root"),
  (
    r"^patch_embed\.backbone\.stages\.(\d)\.blocks\.(\d+)\.",
    lambda m: f"block{int(m[1]) + 1}/unit{int(m[2]) + 1}/",
  ),
  (r"downsample\.(conv|norm)", r"\1_proj"),
  (r"^norm_root", "gn_root"),
  (r"(/unit\d+/)norm", r"\1gn"),
  (r"^patch_embed\.proj\.", "embedding."),
  (r"^blocks\.(\d+)\.", r"Transformer/encoderblock_\1/"),
  (r"^attn_pool\.latent$", "MAPHead_0/probe"),
  (r"^attn_pool\.(q|kv|proj)\.", rf"MAPHead_0/{_ATTENTION}/\1."),
  (r"^attn_pool\.norm\.", "MAPHead_0/LayerNorm_0."),
  (r"^attn_pool\.", "MAPHead_0/"),
  (r"/attn\.", f"/{_ATTENTION}/"),
  (r"/norm1", "/LayerNorm_0"),
  (r"/norm2", "/LayerNorm_1"),
  (r"/mlp\.fc1", "/MlpBlock_0/Dense_0"),
  (r"/mlp\.fc2", "/MlpBlock_0/Dense_1"),
  (r"^norm\.", "Transformer/encoder_norm."),
)


def _fused(tree):
  """Returns our tree with timm's linear layers in place of our attention."""
  return {
    name: (
      _linear_layers(child, q_apart=path_is_pool)
      if name == _ATTENTION
      else _fused(child)
    )
    if isinstance(child, dict)
    else child
    for path_is_pool in ("probe" in tree,)
    for name, child in tree.items()
  }


def _linear_layers(attention, *, q_apart):
  def joined(*names):
    kernels = [attention[n]["kernel"] for n in names]
    biases = [attention[n]["bias"] for n in names]
    return {
      "kernel": np.concatenate([k.reshape(len(k), -1) for k in kernels], 1),
      "bias": np.concatenate([b.ravel() for b in biases]),
    }

  out = attention["out"]
  width = out["kernel"].shape[-1]
  layers = {"proj": {**out, "kernel": out["kernel"].reshape(-1, width)}}
  if q_apart:
    return layers | {"q": joined("query"), "kv": joined("key", "value")}
  return layers | {"qkv": joined("query", "key", "value")}


def _logits(variables, images, *, build):
  from parity import torch_side

  module = build(img_size=images.shape[1], num_classes=CLASSES)
  fused = {"params": _fused(variables["params"])}
  torch_side.fill(module, fused, rules=_RULES)
  return torch_side.logits(module, images)


def _vit(**options):
  from parity import torch_side

  timm = torch_side.import_timm()
  return timm.models.VisionTransformer(
    **{"patch_size": 16, "embed_dim": 192, "num_heads": 3, **options}
  )


def _distilled_logits(variables, images, *, build):
  """The log of the mean softmax of timm's two classifiers, as in the paper."""
  import torch

  from parity import torch_side

  timm = torch_side.import_timm()
  module = build(
    img_size=images.shape[1],
    num_classes=CLASSES,
    patch_size=16,
    embed_dim=192,
    num_heads=3,
    make=timm.models.deit.VisionTransformerDistilled,
  )
  fused = {"params": _fused(variables["params"])}
  torch_side.fill(module, fused, rules=_RULES)
  with torch.no_grad():
    x = module.forward_features(torch.tensor(images.transpose(0, 3, 1, 2)))
    both = module.head(x[:, 0]), module.head_dist(x[:, 1])
    return torch.stack(both).softmax(-1).mean(0).log().numpy()


def _distilled(*, make, **options):
  return make(**options)


def _rotary(**options):
  """The axial model of Heo et al. without its scales of layers."""
  from parity import torch_side

  return torch_side.import_timm().models.Eva(
    patch_size=16,
    embed_dim=192,
    num_heads=3,
    mlp_ratio=4,
    attn_type="rope",
    global_pool="token",
    use_abs_pos_emb=False,
    use_rot_pos_emb=True,
    rope_grid_indexing="xy",
    rope_temperature=100.0,
    **options,
  )


def _hybrid(*, units, **options):
  """timm's, with the epsilons of the authors' code."""
  from parity import torch_side

  timm = torch_side.import_timm()
  backbone = timm.models.vision_transformer_hybrid._resnetv2(layers=units)
  for module in backbone.modules():
    if isinstance(module, timm.layers.StdConv2dSame):
      module.forward = functools.partial(_convolve, module)
    elif isinstance(module, timm.layers.GroupNormAct):
      module.eps = 1e-6
  embed = functools.partial(timm.layers.HybridEmbed, backbone=backbone)
  return _vit(embed_layer=embed, **options)


def _convolve(module, x):
  import timm
  import torch

  x = timm.layers.pad_same(x, module.kernel_size, module.stride)
  std, mean = torch.std_mean(
    module.weight, dim=(1, 2, 3), correction=0, keepdim=True
  )
  kernel = (module.weight - mean) / (std + 1e-5)
  return torch.nn.functional.conv2d(x, kernel, stride=module.stride)


def _sincos2d_logits(variables, images, *, build):
  """Gives timm a fixed table of positions instead of learned positions."""
  side, quarter = images.shape[1] // 16, 192 // 4
  table = np.zeros((1, side * side, 192), np.float32)
  for row in range(side):
    for column in range(side):
      for i in range(quarter):
        omega = 1 / 10_000 ** (i / (quarter - 1))
        table[0, row * side + column, i::quarter] = (
          np.sin(column * omega),
          np.cos(column * omega),
          np.sin(row * omega),
          np.cos(row * omega),
        )
  params = dict(variables["params"])
  params["Transformer"] = {
    **params["Transformer"],
    "posembed_input": {"pos_embedding": table},
  }
  return _logits({"params": params}, images, build=build)


def _case(
  image_size,
  *,
  golden=False,
  model="vit_ti16",
  build=_vit,
  logits=_logits,
  depth=2,
  ours=None,
  **theirs,
):
  reference = functools.partial(
    logits, build=functools.partial(build, depth=depth, **theirs)
  )
  options = {"activation": "gelu_erf", "depth": depth, **(ours or {})}
  return Case(model, reference, image_size, options, golden)


_MEAN = {"class_token": False, "global_pool": "avg", "fc_norm": False}
CASES = {
  "vit_ti16": _case(224, depth=12),
  "vit_ti16_of_48_pixels": _case(48, golden=True),
  "vit_ti16_scanned": _case(48, depth=12, ours={"scan_layers": True}),
  "vit_ti16_mean": _case(48, ours={"pool": "mean"}, **_MEAN),
  "vit_ti16_map": _case(
    48,
    ours={"pool": "map", "registers": 2},
    class_token=False,
    no_embed_class=True,
    reg_tokens=2,
    global_pool="map",
  ),
  "vit_ti16_registers": _case(
    64,
    ours={"positions": "learned_patches", "registers": 4},
    no_embed_class=True,
    reg_tokens=4,
  ),
  "vit_ti16_distilled": _case(
    48,
    build=_distilled,
    logits=_distilled_logits,
    ours={"distillation_token": True},
  ),
  "vit_ti16_without_positions": _case(
    48, ours={"positions": "none"}, pos_embed="none"
  ),
  "vit_ti16_sincos2d": _case(
    64,
    logits=_sincos2d_logits,
    ours={"positions": "sincos2d", "pool": "mean"},
    **_MEAN,
  ),
  "vit_ti16_rotary": _case(
    64, build=_rotary, ours={"positions": "rotary"}, golden=True
  ),
  "vit_r_ti16_of_96_pixels": _case(
    96, build=_hybrid, model="vit_r_ti16", units=(), patch_size=8
  ),
  "vit_r26_s32_of_70_pixels": _case(
    70,
    build=_hybrid,
    model="vit_r26_s32",
    units=(2, 2, 2, 2),
    patch_size=1,
    embed_dim=384,
    num_heads=6,
  ),
  "vit_r50_b16_shallow": _case(
    38,
    build=_hybrid,
    model="vit_r50_b16",
    units=(1, 1),
    patch_size=1,
    depth=1,
    ours={
      "stem_units": (1, 1),
      "width": 192,
      "num_heads": 3,
      "mlp_dim": 768,
    },
    golden=True,
  ),
  "vit_r50_b16_of_64_pixels": _case(
    64,
    build=_hybrid,
    model="vit_r50_b16",
    units=(3, 4, 9),
    patch_size=1,
    embed_dim=768,
    num_heads=12,
  ),
}


def _count(name):
  from parity import torch_side

  timm = torch_side.import_timm()
  timm.layers.set_fused_attn(False)  # The counter sees plain products only.
  # The default is that of the published weights, which may lack a classifier.
  build = functools.partial(timm.create_model, name, num_classes=1000)
  return torch_side.count(build, image_size=224)


COUNTS = {
  name: Count(f"timm 1.0.31, {theirs}", functools.partial(_count, theirs))
  for name, theirs in (
    ("vit_ti16", "vit_tiny_patch16_224"),
    ("vit_s32", "vit_small_patch32_224"),
    ("vit_s16", "vit_small_patch16_224"),
    ("vit_b32", "vit_base_patch32_224"),
    ("vit_b16", "vit_base_patch16_224"),
    ("vit_b8", "vit_base_patch8_224"),
    ("vit_l32", "vit_large_patch32_224"),
    ("vit_l16", "vit_large_patch16_224"),
    ("vit_h14", "vit_huge_patch14_224"),
    ("vit_g14", "vit_giant_patch14_224"),
    ("vit_r_ti16", "vit_tiny_r_s16_p8_224"),
    ("vit_r26_s32", "vit_small_r26_s32_224"),
    ("vit_r50_b16", "vit_base_r50_s16_224"),
    ("vit_r50_l32", "vit_large_r50_s32_224"),
  )
}

"""MLP-Mixer compared with timm's."""

import functools

from parity.case import Case, Count

_RULES = (
  (r"^stem\.proj\.", "stem."),
  (r"^blocks\.(\d+)\.", r"MixerBlock_\1/"),
  (r"norm1", "LayerNorm_0"),
  (r"norm2", "LayerNorm_1"),
  (r"mlp_tokens\.", "token_mixing/"),
  (r"mlp_channels\.", "channel_mixing/"),
  (r"fc1", "Dense_0"),
  (r"fc2", "Dense_1"),
  (r"^norm\.", "pre_head_layer_norm."),
)


def _timm(**options):
  from parity import torch_side

  return torch_side.import_timm().models.mlp_mixer.MlpMixer(**options)


def _timm_logits(variables, images, **options):
  from parity import torch_side

  module = _timm(num_classes=10, img_size=images.shape[1], **options)
  torch_side.fill(module, variables, rules=_RULES)
  return torch_side.logits(module, images)


def _count(**options):
  from parity import torch_side

  return torch_side.count(functools.partial(_timm, **options), image_size=224)


_EXACT = {"activation": "gelu_erf"}  # as timm computes GELU
CASES = {
  "mixer_s32": Case(
    "mixer_s32",
    functools.partial(_timm_logits, patch_size=32, num_blocks=8, embed_dim=512),
    image_size=224,
    options=_EXACT,
  ),
  "mixer_s16_of_64_pixels": Case(
    "mixer_s16",
    functools.partial(_timm_logits, patch_size=16, num_blocks=2, embed_dim=512),
    image_size=64,
    options={"depth": 2, **_EXACT},
    golden=True,
  ),
  "mixer_s16_scanned": Case(
    "mixer_s16",
    functools.partial(_timm_logits, patch_size=16, num_blocks=8, embed_dim=512),
    image_size=64,
    options={"scan_layers": True, **_EXACT},
  ),
}
_SIZES = {
  "s": {"num_blocks": 8, "embed_dim": 512},
  "b": {"num_blocks": 12, "embed_dim": 768},
  "l": {"num_blocks": 24, "embed_dim": 1024},
  "h": {"num_blocks": 32, "embed_dim": 1280},
}
COUNTS = {
  f"mixer_{size}{patch}": Count(
    f"timm 1.0.31, MlpMixer(patch_size={patch}, num_blocks="
    f"{_SIZES[size]['num_blocks']}, embed_dim={_SIZES[size]['embed_dim']})",
    functools.partial(_count, patch_size=patch, **_SIZES[size]),
  )
  for size, patch in (
    ("s", 32),
    ("s", 16),
    ("b", 32),
    ("b", 16),
    ("l", 32),
    ("l", 16),
    ("h", 14),
  )
}

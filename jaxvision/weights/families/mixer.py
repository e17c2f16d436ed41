"""Layouts of MLP-Mixer: authors (two forms) and timm."""

import functools
import re

from jaxvision.weights import layout
from jaxvision.weights.layout import Layout

_TIMM = (
  (r"^stem$", "stem.proj"),
  (r"^MixerBlock_(\d+)/", r"blocks.\1."),
  (r"LayerNorm_0$", "norm1"),
  (r"LayerNorm_1$", "norm2"),
  (r"token_mixing/Dense_0", "mlp_tokens.fc1"),
  (r"token_mixing/Dense_1", "mlp_tokens.fc2"),
  (r"channel_mixing/Dense_0", "mlp_channels.fc1"),
  (r"channel_mixing/Dense_1", "mlp_channels.fc2"),
  (r"^pre_head_layer_norm$", "norm"),
)
# Rules from the second form, of a few files, to the first form.
_SECOND = (
  (r"^(opt/target/|params/)", ""),
  (r"^embedding/", "stem/"),
  (r"^Mixer/encoder_norm/", "pre_head_layer_norm/"),
  (r"^Mixer/encoderblock_(\d+)/", r"MixerBlock_\1/"),
  (
    r"(token|channel)_mixing_phase_0/(kernel|bias)(\d)$",
    lambda m: f"{m[1]}_mixing/Dense_{int(m[3]) - 1}/{m[2]}",
  ),
)


def _clean(key: str) -> str:
  return layout.renamed(key, _SECOND)


_MIXER = {
  "models": ("mixer_*",),
  "head": "head",
  "stem": ("stem",),
  "embedding": "stem",
}
LAYOUTS = (
  Layout(
    "authors",
    ".npz",
    sign=re.escape("MixerBlock_0/token_mixing/Dense_0/kernel"),
    place=layout.with_own_path,
    clean=_clean,
    **_MIXER,
  ),
  Layout(
    "timm",
    ".safetensors",
    sign=r"blocks\.0\.mlp_tokens\.fc1\.weight",
    place=functools.partial(layout.torch_place, rules=_TIMM),
    options=lambda arrays, name: {"activation": "gelu_erf"},
    **_MIXER,
  ),
)

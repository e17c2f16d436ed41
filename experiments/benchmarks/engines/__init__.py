"""The compared frameworks, their options, and the same network in each.

The name of an engine is a framework and its options, joined by "+":
`torch+channels_last`. A job is the input of the process of an engine: see
`make_jobs`.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

# Options of each framework. models.py describes them.
OPTIONS = {
  "jaxvision": ("plain", "lax", "scan_layers"),
  "torch": ("channels_last", "compile", "tuned"),
  "keras": ("tuned",),
}
DEFAULT = ("jaxvision", "torch", "torch+channels_last+tuned", "keras")

# The same network in other frameworks; "own" is a class in in_torch.py. The
# ResNet-50 of Keras is older: it has its strides in 1x1 convolutions and
# biases.
COUNTERPARTS = {
  "alexnet": {"torch": "torchvision.alexnet"},
  "vgg16": {"torch": "torchvision.vgg16", "keras": "VGG16"},
  "resnet50": {"torch": "torchvision.resnet50", "keras": "ResNet50"},
  "bit_r50x1": {"torch": "timm.resnetv2_50x1_bit"},
  "vit_s16": {"torch": "timm.vit_small_patch16_224"},
  "mixer_s16": {"torch": "timm.mixer_s16_224"},
  "efficientnet_b0": {
    "torch": "timm.efficientnet_b0",
    "keras": "EfficientNetB0",
  },
  "shufflenet_v2_x1_0": {"torch": "torchvision.shufflenet_v2_x1_0"},
  "nasnet_a_mobile": {"torch": "own.nasnet_a_mobile", "keras": "NASNetMobile"},
}

# Options that make our network equal to that of torch.
_OURS = {
  "efficientnet_b0": {"padding": "symmetric"},
  "shufflenet_v2_x1_0": {"layout": "torchvision"},
}
_PACKAGES = {
  "jaxvision": ("jaxvision",),
  "torch": ("torch", "torchvision", "timm"),
  "keras": ("keras",),
}


def check(engine: str) -> None:
  """Checks that an engine exists and is installed.

  Raises:
    ValueError: it is unknown or not installed; the message has the remedy.
  """
  framework, *options = engine.split("+")
  if framework not in OPTIONS:
    raise ValueError(f"no engine {framework!r}; there are {', '.join(OPTIONS)}")
  for option in options:
    if option not in OPTIONS[framework]:
      raise ValueError(
        f"{framework} has no option {option!r}; it has "
        f"{', '.join(OPTIONS[framework])}"
      )
  for package in _PACKAGES[framework]:
    if importlib.util.find_spec(package) is None:
      raise ValueError(
        f"the engine {engine} needs {package}, which is not installed; "
        "`pip install -r requirements-parity.txt`, or leave it out: "
        "`--engines jaxvision`"
      )


def make_jobs(
  model: str, engines: Sequence[str], *, mode: str, options: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
  """Returns the job of each engine that has the model.

  Args:
    model: a name in jaxvision.
    engines: names as for `check`.
    mode: "train" or "infer".
    options: batch_size, image_size and dtype, added unchanged.
  """
  networks = {"jaxvision": model, **COUNTERPARTS.get(model, {})}
  jobs = {}
  for engine in engines:
    framework, *changes = engine.split("+")
    if framework in networks:
      jobs[engine] = {
        "framework": framework,
        "options": changes,
        "network": networks[framework],
        "attributes": _OURS.get(model, {}) if framework == "jaxvision" else {},
        "mode": mode,
        **options,
      }
  return jobs

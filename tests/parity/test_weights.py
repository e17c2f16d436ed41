"""Our networks load files of public implementations and give equal logits.

A public network saves its random weights, and our network loads them; the
logits must agree. For .npz our network saves the weights, and timm loads them
with its reader for the authors' files. Needs `requirements-parity.txt`.

As a script it prints the table of layouts and families:

  PYTHONPATH=tests python tests/parity/test_weights.py
"""

import functools
import importlib
import pathlib
import tempfile

import jax
import numpy as np
import pytest

from jaxvision import models, weights
from parity import case

pytestmark = pytest.mark.parity


def _images(size):
  rng = np.random.default_rng(0)
  sides = (size, size) if isinstance(size, int) else size
  return rng.standard_normal((2, *sides, 3)).astype(np.float32)


def _randomized(module, *, gain):
  """The module with random values in all weights, as in parity.case."""
  import torch

  generator = torch.Generator().manual_seed(0)
  state = {}
  for key, old in module.state_dict().items():
    if not old.is_floating_point():
      state[key] = old
    elif key.endswith("running_var") or (old.ndim == 1 and "weight" in key):
      state[key] = torch.rand(old.shape, generator=generator) + 0.5
    elif key.endswith("weight"):
      fan_in = max(1, old[0].numel())
      state[key] = (
        torch.randn(old.shape, generator=generator) * (gain / fan_in) ** 0.5
      )
    else:
      state[key] = 0.1 * torch.randn(old.shape, generator=generator)
  module.load_state_dict(state)
  return module.eval()


def _of_safetensors(build, name, size, *, gain=1.5, **options):
  """(their logits, ours) of a file that the package safetensors wrote."""
  import safetensors.torch
  import torch

  module = _randomized(build(), gain=gain)
  images = _images(size)
  with torch.no_grad():
    theirs = module(torch.tensor(images.transpose(0, 3, 1, 2)))
  theirs = getattr(theirs, "logits", theirs).numpy()
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "model.safetensors"
    if hasattr(module, "save_pretrained"):  # renames moved parameters
      module.save_pretrained(folder)
    else:
      safetensors.torch.save_file(
        {k: v.contiguous() for k, v in module.state_dict().items()}, path
      )
    model, variables = weights.load(path, name, **options)
  return theirs, _logits(model, variables, images)


def _logits(model, variables, images):
  forward = jax.jit(functools.partial(model.apply, train=False))
  return np.asarray(forward(variables, images))


def _timm(name, **options):
  from parity import torch_side

  return torch_side.import_timm().create_model(name, num_classes=10, **options)


def _distilled(name, **options):
  """A network with a distillation token, which averages the softmaxes.

  timm averages the logits.
  """
  import torch

  module = _timm(name, **options)

  def forward_head(x, pre_logits=False):
    both = module.head(x[:, 0]), module.head_dist(x[:, 1])
    return torch.stack(both).softmax(-1).mean(0).log()

  module.forward_head = forward_head
  return module


def _cifar(name, **options):
  """A ResNet of timm with the usual stem for small images."""
  import torch

  module = _timm(name, **options)
  module.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
  module.maxpool = torch.nn.Identity()
  return module


def _torchvision(name, **options):
  from parity import torch_side

  models_there = torch_side.import_torchvision()
  return getattr(models_there, name)(num_classes=10, **options)


def _efficientnet_pytorch(name, *, package="efficientnet_pytorch"):
  """Without an image size, it pads as TensorFlow for images of any size."""
  module = importlib.import_module(package)
  return module.EfficientNet.from_name(name, num_classes=10, image_size=None)


# Its fork with the Lite networks, of the same names.
_lite_pytorch = functools.partial(
  _efficientnet_pytorch, package="efficientnet_lite_pytorch"
)


def _hugging_face(kind, **options):
  import transformers

  config = getattr(transformers, f"{kind}Config")(num_labels=10, **options)
  return getattr(transformers, f"{kind}ForImageClassification")(config)


def _of_npz(name, theirs, size, *, layout="", **options):
  """(their logits, ours) of a file that our code wrote and timm reads."""
  import torch

  model = models.create(name, num_classes=10, **options)
  each = case.Case(name, None, size, options)
  variables = case.draw(each)
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "weights.npz"
    weights.save(path, name, variables, layout=layout)
    size_option = {} if "bit" in theirs else {"img_size": size}
    module = _timm(theirs, **size_option)
    module.load_pretrained(str(path))
    again, loaded = weights.load(path, name, **options)
  assert again == model.clone(
    **{
      field: getattr(again, field)
      for field in ("pool", "positions")
      if hasattr(again, field)
    }
  )
  images = _images(size)
  with torch.no_grad():
    theirs = module.eval()(torch.tensor(images.transpose(0, 3, 1, 2)))
  return theirs.numpy(), _logits(again, loaded, images)


_SAFETENSORS = {
  "alexnet, torchvision": (_torchvision, "alexnet", "alexnet", 224, {}),
  "vgg11_bn, torchvision": (_torchvision, "vgg11_bn", "vgg11_bn", 64, {}),
  "vgg11, timm": (_timm, "vgg11", "vgg11", 224, {}),
  "resnet18, torchvision": (_torchvision, "resnet18", "resnet18", 64, {}),
  "resnet50, torchvision, 77 px": (
    _torchvision,
    "resnet50",
    "resnet50",
    77,
    {},
  ),
  "resnet50d, timm": (_timm, "resnet50d", "resnet50d", 64, {}),
  "resnet18d, timm": (_timm, "resnet18d", "resnet18", 64, {}),
  "seresnet50, timm": (_timm, "seresnet50", "resnet50", 64, {}),
  "bit_r50x1, timm": (_timm, "resnetv2_50x1_bit", "bit_r50x1", 64, {}),
  "bit_r50x1, timm, 97 px": (_timm, "resnetv2_50x1_bit", "bit_r50x1", 97, {}),
  "vit_ti16, timm": (_timm, "vit_tiny_patch16_224", "vit_ti16", 224, {}),
  "vit_ti16, timm, 64 px": (
    functools.partial(_timm, img_size=64),
    "vit_tiny_patch16_224",
    "vit_ti16",
    64,
    {},
  ),
  "vit_ti16, timm, 192x224 px": (
    functools.partial(_timm, img_size=(192, 224)),
    "vit_tiny_patch16_224",
    "vit_ti16",
    (192, 224),
    {"image_size": (192, 224)},
  ),
  "vit_ti16, timm, 64x256 px": (
    functools.partial(_timm, img_size=(64, 256)),
    "vit_tiny_patch16_224",
    "vit_ti16",
    (64, 256),
    {"image_size": (64, 256)},
  ),
  "vit_ti16, timm, distilled": (
    _distilled,
    "deit_tiny_distilled_patch16_224",
    "vit_ti16",
    224,
    {},
  ),
  "vit_ti16, timm, distilled, 64 px": (
    functools.partial(_distilled, img_size=64),
    "deit_tiny_distilled_patch16_224",
    "vit_ti16",
    64,
    {},
  ),
  "resnet18, timm, small stem": (_cifar, "resnet18", "resnet18", 32, {}),
  "vit_r_ti16, timm": (_timm, "vit_tiny_r_s16_p8_224", "vit_r_ti16", 224, {}),
  "vit_r26_s32, timm": (_timm, "vit_small_r26_s32_224", "vit_r26_s32", 224, {}),
  "vit_b32, torchvision": (_torchvision, "vit_b_32", "vit_b32", 224, {}),
  "mixer_s32, timm": (_timm, "mixer_s32_224", "mixer_s32", 224, {}),
  "efficientnet_b0, timm tf": (
    _timm,
    "tf_efficientnet_b0",
    "efficientnet_b0",
    75,
    {},
  ),
  "efficientnet_b0, timm": (
    _timm,
    "efficientnet_b0",
    "efficientnet_b0",
    75,
    {"padding": "symmetric", "norm_epsilon": 1e-5},
  ),
  "efficientnet_b0, torchvision": (
    _torchvision,
    "efficientnet_b0",
    "efficientnet_b0",
    64,
    {},
  ),
  "efficientnet_lite0, timm tf": (
    _timm,
    "tf_efficientnet_lite0",
    "efficientnet_lite0",
    75,
    {},
  ),
  "efficientnet_lite0, timm": (
    _timm,
    "efficientnet_lite0",
    "efficientnet_lite0",
    75,
    {"padding": "symmetric", "norm_epsilon": 1e-5},
  ),
  "efficientnet_b0, efficientnet_pytorch": (
    _efficientnet_pytorch,
    "efficientnet-b0",
    "efficientnet_b0",
    75,
    {},
  ),
  "efficientnet_b2, efficientnet_pytorch": (
    _efficientnet_pytorch,
    "efficientnet-b2",
    "efficientnet_b2",
    64,
    {},
  ),
  "efficientnet_lite0, efficientnet_pytorch": (
    _lite_pytorch,
    "efficientnet-lite0",
    "efficientnet_lite0",
    75,
    {},
  ),
  "efficientnet_lite2, efficientnet_pytorch": (
    _lite_pytorch,
    "efficientnet-lite2",
    "efficientnet_lite2",
    64,
    {},
  ),
  "shufflenet_v2_x1_0, torchvision": (
    _torchvision,
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_0",
    64,
    {},
  ),
  "nasnet_a_large, timm": (_timm, "nasnetalarge", "nasnet_a_large", 96, {}),
}
_HUGGING_FACE = {
  "vit_ti16, huggingface": (
    "ViT",
    "vit_ti16",
    224,
    {
      "hidden_size": 192,
      "num_attention_heads": 3,
      "intermediate_size": 768,
    },
  ),
  "bit_r50x1, huggingface": ("Bit", "bit_r50x1", 64, {}),
}
_NPZ = {
  "vit_ti16, npz": ("vit_ti16", "vit_tiny_patch16_224", 224, {}),
  "vit_ti16, npz, 64 px": ("vit_ti16", "vit_tiny_patch16_224", 64, {}),
  "vit_r26_s32, npz": ("vit_r26_s32", "vit_small_r26_s32_224", 64, {}),
  "bit_r50x1, npz of the authors": ("bit_r50x1", "resnetv2_50x1_bit", 65, {}),
}


def _gain(name):
  return 2.0 if name.startswith("efficientnet") else 1.5


def compare(name):
  """Returns the largest difference relative to the largest logit."""
  if name in _SAFETENSORS:
    build, theirs, ours, size, options = _SAFETENSORS[name]
    build = functools.partial(build, theirs)
    pair = _of_safetensors(build, ours, size, gain=_gain(ours), **options)
  elif name in _HUGGING_FACE:
    pytest.importorskip("transformers")
    kind, ours, size, config = _HUGGING_FACE[name]
    build = functools.partial(_hugging_face, kind, **config)
    pair = _of_safetensors(build, ours, size)
  else:
    ours, theirs, size, options = _NPZ[name]
    # timm computes the exact GELU also for the authors' files.
    exact = {} if ours.startswith("bit") else {"activation": "gelu_erf"}
    pair = _of_npz(ours, theirs, size, **exact, **options)
  return case.difference(pair[1], pair[0])


@pytest.mark.parametrize("name", [*_SAFETENSORS, *_HUGGING_FACE, *_NPZ])
def test_logits_equal_those_of_the_writing_library(name):
  assert compare(name) < 1e-4


if __name__ == "__main__":
  case.require("torch", "torchvision", "timm", "transformers")
  case.require("efficientnet_pytorch", "efficientnet_lite_pytorch")
  for each in (*_SAFETENSORS, *_HUGGING_FACE, *_NPZ):
    print(f"{each}: {compare(each):.1e}", flush=True)

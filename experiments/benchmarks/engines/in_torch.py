"""The networks of torchvision and timm, and one other network, in torch."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import torch
from torch.nn import functional

# A torchvision wheel for another version of torch lacks operators such as nms.
# Classifiers do not use them. timm imports torchvision too.
with mock.patch.object(
  torch.library, "register_fake", lambda name: lambda function: function
):
  import torchvision
import timm
from timm.models import nasnet

Job = Mapping[str, Any]
Steps = Callable[[int], float]

_DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def start(job: Job) -> dict[str, Any]:
  """Uses all cores, and on a GPU the same settings as JAX."""
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  torch.manual_seed(0)
  torch.backends.cudnn.benchmark = True  # XLA tunes its kernels too.
  torch.set_float32_matmul_precision("high")
  device = torch.cuda.get_device_name() if _DEVICE == "cuda" else _DEVICE
  versions = {
    "torch": torch.__version__,
    "torchvision": torchvision.__version__,
    "timm": timm.__version__,
  }
  return {"device": device, "versions": versions}


class NasnetMobile(nasnet.NASNetALarge):
  """NASNet-A (4 @ 1056): timm's large network, smaller and with fewer cells.

  The first cell after a reduction reads the map before the reduction. In the
  large network it reads the previous map.
  """

  def __init__(self) -> None:
    super().__init__(stem_size=32, num_features=1056)
    for number in (4, 5, 10, 11, 16, 17):
      delattr(self, f"cell_{number}")

  def forward_features(self, x: torch.Tensor) -> torch.Tensor:
    """Maps (b, 3, h, w) to (b, 1056, h', w')."""
    stem = self.conv0(x)
    previous = self.cell_stem_0(stem)
    x = self.cell_stem_1(stem, previous)
    for first, reduction in ((0, 0), (6, 1), (12, None)):
      for number in range(first, first + 4):
        x, previous = getattr(self, f"cell_{number}")(x, previous), x
      if reduction is not None:
        cell = getattr(self, f"reduction_cell_{reduction}")
        x, previous = cell(x, previous), x
    return self.act(x)


def create(network: str, *, image_size: int) -> torch.nn.Module:
  """Returns a network of 1000 classes without dropout.

  Args:
    network: "torchvision.NAME", "timm.NAME" or "own.nasnet_a_mobile".
    image_size: side of the images.
  """
  package, name = network.split(".")
  if package == "torchvision":
    model = getattr(torchvision.models, name)()
  elif package == "timm":
    options = {}
    if name.startswith(("vit_", "mixer_")):
      # These networks need the image size. The GELU is that of jaxvision.
      gelu = functools.partial(torch.nn.GELU, approximate="tanh")
      options = {"img_size": image_size, "act_layer": gelu}
    model = timm.create_model(name, **options)
  else:
    model = NasnetMobile()
  for module in model.modules():
    if isinstance(module, torch.nn.Dropout):
      module.p = 0.0
  return model


def build(job: Job) -> tuple[Steps, Callable[[], dict[str, Any]]]:
  """Initialises the weights; returns the step and describe functions."""
  size, batch_size = job["image_size"], job["batch_size"]
  model = create(job["network"], image_size=size).to(_DEVICE)
  images = torch.randn(batch_size, 3, size, size, device=_DEVICE)
  parameters = sum(
    each.numel() for each in model.parameters() if each.requires_grad
  )
  if "channels_last" in job["options"]:
    model = model.to(memory_format=torch.channels_last)
    images = images.contiguous(memory_format=torch.channels_last)
  optimizer = torch.optim.SGD(
    model.parameters(), lr=1e-3, momentum=0.9, fused=True
  )
  if "compile" in job["options"]:
    model = torch.compile(model)
  autocast = torch.autocast(
    _DEVICE, dtype=torch.bfloat16, enabled=job["dtype"] == "bfloat16"
  )
  if job["mode"] == "train":
    batch = images, torch.arange(batch_size, device=_DEVICE) % 1000
    steps = make_training(model, optimizer, batch, autocast=autocast)
  else:
    steps = make_inference(model, images, autocast=autocast)
  return steps, lambda: {"parameters": parameters}


def make_training(
  model: torch.nn.Module,
  optimizer: torch.optim.Optimizer,
  batch: tuple[torch.Tensor, torch.Tensor],
  *,
  autocast: torch.autocast,
) -> Steps:
  """Returns steps(number) -> loss."""
  model.train()
  images, labels = batch

  def steps(number: int) -> float:
    for _ in range(number):
      optimizer.zero_grad(set_to_none=True)
      with autocast:
        loss = functional.cross_entropy(model(images), labels)
      loss.backward()
      optimizer.step()
    return _finished(loss)

  return steps


def make_inference(
  model: torch.nn.Module, images: torch.Tensor, *, autocast: torch.autocast
) -> Steps:
  """Returns steps(number) -> mean of the logits."""
  model.eval()

  def steps(number: int) -> float:
    with torch.inference_mode(), autocast:
      for _ in range(number):
        logits = model(images)
      return _finished(logits.mean())

  return steps


def _finished(value: torch.Tensor) -> float:
  """Waits for the device, including the update of the weights."""
  if _DEVICE == "cuda":
    torch.cuda.synchronize()
  return value.item()


def device_peak() -> int | None:
  """Returns the peak of the used bytes of a GPU."""
  return torch.cuda.max_memory_allocated() if _DEVICE == "cuda" else None

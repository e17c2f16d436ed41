"""Torch modules with our variables in them, on the CPU.

Importing this file imports torch.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.utils import flop_counter

from parity import case

Tree = Any
# (regular expression of their key, replacement that gives our path)
Rules = Sequence[tuple[str, str]]

# The names of the variables of batch normalisation in torch and here.
_LEAVES = (
  (r"\.running_mean$", "/mean"),
  (r"\.running_var$", "/var"),
)


def import_torchvision() -> Any:
  """Returns torchvision.models, also where its compiled part does not load.

  The wheels that are compiled for another torch lack operators such as nms;
  the classification models use none of them.
  """
  with mock.patch.object(
    torch.library, "register_fake", lambda name: lambda function: function
  ):
    import torchvision
  return torchvision.models


def import_timm() -> Any:
  """Returns timm, also where torchvision's compiled part does not load."""
  import_torchvision()
  import timm

  return timm


def fill(
  module: torch.nn.Module, variables: Tree, *, rules: Rules
) -> torch.nn.Module:
  """Returns the module in evaluation mode, with all our variables in it.

  Args:
    module: the module; its state is replaced.
    variables: ours, {"params": ..., "batch_stats": ...}.
    rules: applied in order, each by `re.sub`, to every key of the module's
      state dict. The result is our path, without "params/" or "batch_stats/".
      The last word is converted automatically: `weight` is our `kernel` or
      `scale`.

  Raises:
    AssertionError: an array is missing, unused, or has another shape.
  """
  ours = {
    path.partition("/")[2]: np.asarray(leaf)
    for path, leaf in case.flatten(variables).items()
  }
  state = {}
  for key, old in module.state_dict().items():
    if key.endswith("num_batches_tracked"):
      state[key] = old
      continue
    path = _our_path(key, rules, ours)
    new = _in_their_layout(ours.pop(path))
    assert tuple(new.shape) == tuple(old.shape), (
      key,
      path,
      new.shape,
      old.shape,
    )
    state[key] = torch.tensor(new)
  assert not ours, f"left over: {sorted(ours)}"
  module.load_state_dict(state)
  return module.eval()


def _our_path(key: str, rules: Rules, ours: dict[str, np.ndarray]) -> str:
  path = key
  for pattern, replacement in (*rules, *_LEAVES):
    path = re.sub(pattern, replacement, path)
  candidates = [path]
  stem, dot, last = path.rpartition(".")
  if dot and last == "weight":
    candidates = [f"{stem}/kernel", f"{stem}/scale"]
  elif dot and last == "bias":
    candidates = [f"{stem}/bias"]
  found = [each for each in candidates if each in ours]
  assert found, f"{key} -> {candidates}; there are {sorted(ours)[:20]} ..."
  return found[0]


def _in_their_layout(array: np.ndarray) -> np.ndarray:
  """A kernel (h, w, in, out) as (out, in, h, w), (in, out) as (out, in)."""
  if array.ndim == 4:
    return array.transpose(3, 2, 0, 1)
  return array.T if array.ndim == 2 else array


def flattened_by_channel(
  variables: Tree, *, layer: str, positions: int
) -> Tree:
  """Returns the variables with the rows of a Dense kernel in torch's order.

  Args:
    variables: ours, {"params": ...}, which are not changed.
    layer: name of the Dense layer that reads a flattened map, which we flatten
      in the order (row, column, channel) and torch as (channel, row, column).
    positions: rows times columns of the map.
  """
  dense = variables["params"][layer]
  kernel = dense["kernel"].reshape(positions, -1, dense["kernel"].shape[-1])
  permuted = kernel.swapaxes(0, 1).reshape(dense["kernel"].shape)
  params = {**variables["params"], layer: {**dense, "kernel": permuted}}
  return {**variables, "params": params}


def logits(module: torch.nn.Module, images: np.ndarray) -> np.ndarray:
  """Returns the module's output for images (b, h, w, c)."""
  with torch.no_grad():
    return module(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()


def count(
  build: Callable[[], torch.nn.Module], *, image_size: int
) -> tuple[int, int]:
  """Returns (trainable parameters, multiply-accumulates of one image)."""
  with torch.device("meta"):
    module = build().eval()
    image = torch.zeros(1, 3, image_size, image_size)
  parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)
  counter = flop_counter.FlopCounterMode(display=False)
  with counter, torch.no_grad():
    module(image)
  return parameters, counter.get_total_flops() // 2

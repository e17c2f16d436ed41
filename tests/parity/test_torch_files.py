"""Random files of torch, read here and by torch itself.

Both forms, every type, views of all kinds, shared storages and nested dicts.
"""

import pathlib

import numpy as np
import pytest

from jaxvision.weights import formats

pytestmark = pytest.mark.parity

_TYPES = (
  *("float32", "float16", "bfloat16", "float64"),
  *("int64", "int32", "int16", "int8", "uint8", "bool"),
)
_NEW_TYPES = ("uint16", "uint32", "uint64")  # in the zip form only


def _random_tensor(rng, *, form):
  import torch

  types = _TYPES + _NEW_TYPES if form == "zip" else _TYPES
  dtype = getattr(torch, types[rng.integers(len(types))])
  shape = [int(n) for n in rng.integers(0, 7, rng.integers(0, 5))]
  numbers = torch.from_numpy(rng.integers(0, 100, shape))
  return numbers.to(dtype)


def _random_view(rng, tensor):
  """A tensor that shares the storage of another one."""
  import torch

  kind = rng.integers(7)
  if not tensor.ndim:
    return tensor.expand(*map(int, rng.integers(1, 4, 2)))
  axis = int(rng.integers(tensor.ndim))
  if kind == 0:
    return tensor.permute(*map(int, rng.permutation(tensor.ndim)))
  if kind == 1:
    return tensor[:: int(rng.integers(1, 4))]
  if kind == 2:
    start = int(rng.integers(tensor.shape[axis] + 1))
    return tensor.narrow(axis, start, tensor.shape[axis] - start)
  if kind == 3:
    return tensor.unsqueeze(axis).expand(
      *tensor.shape[:axis], int(rng.integers(1, 5)), *tensor.shape[axis:]
    )
  if kind == 4 and tensor.is_floating_point():
    return torch.nn.Parameter(tensor)
  if kind == 5 and tensor.shape[axis]:
    return tensor.select(axis, int(rng.integers(tensor.shape[axis])))
  return tensor


def _random_dict(rng, seen, *, form, depth=0):
  """Nested dicts of tensors and of values that are passed over."""
  import torch

  plain = [3, 0.5, None, True, "text", b"\xff", {1, 2}, 1 + 2j, 1 << 80]
  plain += [torch.float16, torch.device("cpu"), torch.Size([1, 2]), (1, "b")]
  plain += [[seen[0]] if seen else []]
  found = {}
  for index in range(rng.integers(1, 9)):
    kind = rng.integers(10)
    if kind < 4 or not seen:
      value = _random_tensor(rng, form=form)
      seen.append(value)
    elif kind < 7:
      value = _random_view(rng, seen[rng.integers(len(seen))])
    elif kind < 8 and depth < 3:
      value = _random_dict(rng, seen, form=form, depth=depth + 1)
    else:
      value = plain[rng.integers(len(plain))]
    found[f"key{index}" if rng.random() < 0.8 else 100 + index] = value
  return found


def _flat(value, prefix=""):
  """{dotted name: tensor}."""
  import torch

  if isinstance(value, torch.Tensor):
    return {prefix[:-1]: value}
  found = {}
  for key, each in value.items() if isinstance(value, dict) else ():
    found |= _flat(each, f"{prefix}{key}.")
  return found


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize("seed", range(50))
def test_arrays_are_those_of_torch(seed, form, tmp_path):
  import torch

  rng = np.random.default_rng(seed)
  path = pathlib.Path(tmp_path / "weights.pth")
  torch.save(
    _random_dict(rng, [], form=form),
    path,
    pickle_protocol=int(rng.integers(2, 6)),
    _use_new_zipfile_serialization=form == "zip",
  )
  theirs = _flat(torch.load(path, weights_only=False))
  file = formats.open_file(path)
  file.check()
  assert list(file.entries) == list(theirs)
  for name, tensor in theirs.items():
    ours = file.arrays[name]
    assert str(tensor.dtype) == f"torch.{ours.dtype}"
    assert tuple(tensor.shape) == ours.shape
    if tensor.dtype == torch.bfloat16:
      tensor, ours = tensor.float(), ours.astype(np.float32)
    np.testing.assert_array_equal(ours, tensor.detach().numpy())


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "vit_b_32"])
def test_networks_of_torchvision_load_as_they_are(name, tmp_path):
  """A .pth file gives the same variables as its arrays in .safetensors."""
  import jax
  import torch

  from jaxvision import weights
  from parity import torch_side

  module = getattr(torch_side.import_torchvision(), name)(num_classes=10)
  path = tmp_path / "weights.pth"
  torch.save({"epoch": 3, "state_dict": module.state_dict()}, path)
  own = {"vit_b_32": "vit_b32"}.get(name, name)
  arrays = {k: v.numpy() for k, v in module.state_dict().items()}
  formats.write(tmp_path / "same.safetensors", arrays)
  jax.tree.map(
    np.testing.assert_array_equal,
    weights.load(path, own)[1],
    weights.load(tmp_path / "same.safetensors", own)[1],
  )

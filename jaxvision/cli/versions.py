"""The text of `jaxvision --version`: versions and devices."""

import collections
import importlib.metadata
import platform

_PACKAGES = ("jaxvision", "jax", "jaxlib", "flax", "optax")


def lines() -> list[str]:
  """Versions of the packages and Python, and the devices that jax finds."""
  found = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
  versions = ", ".join([*found, f"Python {platform.python_version()}"])
  return [versions, f"devices: {_devices()}"]


def _devices() -> str:
  """Number and kind of the devices, as "8 NVIDIA H200"."""
  import jax

  try:
    kinds = [each.device_kind for each in jax.devices()]
  except RuntimeError as error:  # such as a platform that is not installed
    return f"none; {str(error).splitlines()[0]}"
  counts = collections.Counter(kinds)
  return ", ".join(f"{number} {kind}" for kind, number in counts.items())

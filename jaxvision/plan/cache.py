"""The cache of figures of compiled steps, in the user's cache folder."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from jaxvision import files
from jaxvision.plan import compilation
from jaxvision.runs import workdir as workdirs

_PACKAGES = ("jax", "jaxlib", "flax", "optax")
_FLAGS = ("LIBTPU_INIT_ARGS", "XLA_FLAGS")  # Flags of the compilers.


def cached(
  facts: Mapping[str, Any], make: Callable[[], compilation.Figures]
) -> compilation.Figures:
  """Returns the figures for these facts, from the cache or from `make`.

  Args:
    facts: the inputs of the figures, besides the code, the versions of packages
      and the flags of the compilers.
    make: computes the figures.
  """
  versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
  flags = {name: os.environ.get(name, "") for name in _FLAGS}
  text = json.dumps(
    {**facts, **versions, **flags, "code": workdirs.code()},
    sort_keys=True,
    default=str,
  )
  name = hashlib.sha256(text.encode()).hexdigest()[:32]
  path = files.cache_folder() / "plans" / f"{name}.json"
  # A damaged file is replaced.
  with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
    return compilation.Figures(**files.read_json(path))
  figures = make()
  path.parent.mkdir(parents=True, exist_ok=True)
  files.write_json(path, dataclasses.asdict(figures))
  return figures

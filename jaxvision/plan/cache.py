"""Plans that were made before, kept in the user's cache directory."""

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
_FLAGS = ("LIBTPU_INIT_ARGS", "XLA_FLAGS")  # What compilers are told.


def recall(
  facts: Mapping[str, Any], make: Callable[[], compilation.Figures]
) -> compilation.Figures:
  """Returns the figures for these facts, made now unless they were before.

  Args:
    facts: all that they depend on, beside the code, what it is made of and
      the flags of the compilers.
    make: makes them.
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
  # What is damaged is made again.
  with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
    return compilation.Figures(**files.read_json(path))
  figures = make()
  path.parent.mkdir(parents=True, exist_ok=True)
  files.write_json(path, dataclasses.asdict(figures))
  return figures

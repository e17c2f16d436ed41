"""Settings of the process that every command wants, never over the user's."""

import os
import pathlib

import jax


def cache_compilations() -> None:
  """Keeps compiled programs in the user's cache directory between processes.

  $XDG_CACHE_HOME/jaxvision (~/.cache/jaxvision). Does nothing where the user
  has chosen: JAX_COMPILATION_CACHE_DIR, or JAX_ENABLE_COMPILATION_CACHE=false.
  """
  if jax.config.jax_compilation_cache_dir is not None:
    return
  home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
  directory = pathlib.Path(home) / "jaxvision" / "compiled"
  jax.config.update("jax_compilation_cache_dir", str(directory))
  if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

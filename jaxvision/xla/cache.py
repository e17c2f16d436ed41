"""The persistent cache of compiled programs."""

import os

from jaxvision import files


def cache_compilations() -> None:
  """Enables jax's persistent cache in `files.cache_folder()`/compiled.

  JAX_COMPILATION_CACHE_DIR and JAX_ENABLE_COMPILATION_CACHE=false of the user
  have priority.
  """
  import jax

  if jax.config.jax_compilation_cache_dir is not None:
    return
  directory = files.cache_folder() / "compiled"
  jax.config.update("jax_compilation_cache_dir", str(directory))
  if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

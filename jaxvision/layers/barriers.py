"""Optimization barriers: XLA stores a value instead of recomputing it.

XLA:CPU fuses elementwise operations into each operation that reads them. The
cotangent of a residual stream would be recomputed from its start in each block,
so the time would grow with the square of the depth. Barriers prevent this, with
the settings of `settings.tune_cpu`; without these settings, XLA:CPU removes all
barriers before fusion.
"""

import jax


@jax.custom_jvp
def cotangent_barrier(x: jax.Array) -> jax.Array:
  """Returns x; its cotangent is computed once and stored.

  Use it for results of sums and matrix products: their cotangent has several
  readers, or one reader that reads each value many times.
  """
  return x


@cotangent_barrier.defjvp
def _barrier_jvp(primals, tangents):
  (x,), (tangent,) = primals, tangents
  return x, jax.lax.optimization_barrier(tangent)

"""Where XLA stores a value instead of computing it again for each user.

XLA:CPU merges elementwise operations into every operation that reads them, so
that the cotangent of a residual stream is computed from its very beginning by
each block that it passes: time that grows with the square of the depth.
Barriers stop it, under the settings of `settings.tune_cpu`; without these,
XLA:CPU removes all barriers before it merges operations.
"""

import jax


@jax.custom_jvp
def settled(x: jax.Array) -> jax.Array:
  """Returns x, whose derivatives are computed once and stored.

  For what a sum or a product with a matrix makes: its cotangent has several
  readers, or one that reads every value many times.
  """
  return x


@settled.defjvp
def _settled_jvp(primals, tangents):
  (x,), (tangent,) = primals, tangents
  return x, jax.lax.optimization_barrier(tangent)

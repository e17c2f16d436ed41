"""The depthwise convolution: one filter per channel.

Images are (b, h, w, c), kernels (kh, kw, 1, c), as in Flax and lax.

On XLA:CPU, `lax.conv_general_dilated` with one group per channel, and both of
its gradients, are ten to two hundred times slower than the arithmetic. So on
CPU the convolution is a sum over the taps of the kernel: the shifted and
strided image times one weight per channel. The gradient of the image is a sum
of the same form for each phase of the stride, so zeros between strides are not
multiplied. The gradient of the kernel first adds products of sixteen rows,
which keeps inner loops long. Other platforms use the convolution of lax.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

Padding = str | Sequence[tuple[int, int]]
Pair = tuple[int, int]
Pads = tuple[Pair, Pair]


def convolve(
  x: jax.Array, kernel: jax.Array, *, strides: Pair, padding: Padding
) -> jax.Array:
  """Returns the depthwise convolution of (b, h, w, c) with (kh, kw, 1, c).

  It has reverse-mode derivatives only: `jax.grad` and `jax.vjp`, not `jax.jvp`.

  Args:
    x: images or feature maps.
    kernel: same dtype; one output channel per input channel.
    strides: strides of rows and columns.
    padding: "SAME", "VALID", or ((top, bottom), (left, right)).

  Returns:
    (b, h', w', c) with the dtype of x; sums are float32 at least.
  """
  if isinstance(padding, str):
    padding = jax.lax.padtype_to_pads(
      x.shape[1:3], kernel.shape[:2], strides, padding
    )
  pads = tuple((int(low), int(high)) for low, high in padding)
  return _convolve(x, kernel, tuple(strides), pads)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(
  x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads
) -> jax.Array:
  return _forward(x, kernel, strides, pads)


# Jitted: a network has few distinct shapes, and each is traced once.
@functools.partial(jax.jit, static_argnums=(2, 3))
def _forward(
  x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads
) -> jax.Array:
  return jax.lax.platform_dependent(
    x,
    kernel,
    cpu=functools.partial(_sum_of_taps, strides=strides, pads=pads),
    default=functools.partial(_lax, strides=strides, pads=pads),
  )


@functools.partial(jax.jit, static_argnums=(3, 4))
def _gradients(
  x: jax.Array, kernel: jax.Array, g: jax.Array, strides: Pair, pads: Pads
) -> tuple[jax.Array, jax.Array]:
  return jax.lax.platform_dependent(
    x,
    kernel,
    g,
    cpu=functools.partial(_gradients_of_taps, strides=strides, pads=pads),
    default=functools.partial(_gradients_of_lax, strides=strides, pads=pads),
  )


def _remember(x, kernel, strides, pads):
  return _forward(x, kernel, strides, pads), (x, kernel)


def _pull_back(strides, pads, residuals, g):
  return _gradients(*residuals, g, strides, pads)


_convolve.defvjp(_remember, _pull_back)


def _lax(
  x: jax.Array, kernel: jax.Array, *, strides: Pair, pads: Pads
) -> jax.Array:
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    strides,
    pads,
    feature_group_count=x.shape[-1],
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


def _gradients_of_lax(x, kernel, g, *, strides: Pair, pads: Pads):
  conv = functools.partial(_lax, strides=strides, pads=pads)
  return jax.vjp(conv, x, kernel)[1](g)


def _sum_of_taps(
  x: jax.Array, kernel: jax.Array, *, strides: Pair, pads: Pads
) -> jax.Array:
  x, dtype = _padded(x, pads), x.dtype
  shape = [
    (n - k) // s + 1
    for n, k, s in zip(x.shape[1:3], kernel.shape, strides, strict=False)
  ]
  weights = kernel.astype(_wide(dtype))
  y = sum(
    _tap(x, i, j, shape=shape, strides=strides) * weights[i : i + 1, j : j + 1]
    for i in range(kernel.shape[0])
    for j in range(kernel.shape[1])
  )
  return y.astype(dtype)


def _gradients_of_taps(x, kernel, g, *, strides: Pair, pads: Pads):
  return (
    _gradient_of_image(x, kernel, g, strides=strides, pads=pads),
    _gradient_of_kernel(x, kernel, g, strides=strides, pads=pads),
  )


def _gradient_of_kernel(x, kernel, g, *, strides: Pair, pads: Pads):
  """For each tap, the sum of the shifted image times the cotangent."""
  x, shape = _padded(x, pads), g.shape[1:3]
  g = g.astype(_wide(g.dtype))
  rows = [
    jnp.stack(
      [
        _sum_by_pairs(_tap(x, i, j, shape=shape, strides=strides) * g)
        for j in range(kernel.shape[1])
      ]
    )
    for i in range(kernel.shape[0])
  ]
  return jnp.stack(rows)[:, :, None].astype(kernel.dtype)


def _sum_by_pairs(products: jax.Array) -> jax.Array:
  """Returns the sum of (b, h, w, c) over all axes but the last.

  Up to sixteen neighbouring rows are added in one pass, if they are on one
  device (the batch is split over all devices). Longer sums would spill
  registers.
  """
  b, h, *_ = products.shape
  devices = jax.device_count()
  own = (b if b % devices else b // devices) * h
  rows = products.reshape(-1, *products.shape[2:])
  for _ in range(4):
    if own % 2 == 0:
      pairs = rows.reshape(-1, 2, *rows.shape[1:])
      rows = pairs[:, 0] + pairs[:, 1]
      own //= 2
  return rows.sum((0, 1))


def _gradient_of_image(x, kernel, g, *, strides: Pair, pads: Pads):
  """The gradient of the image, one phase of the stride at a time.

  Row r + s t of the image, with stride s, belongs to phase r. Its gradient sums
  the rows t + q, t + q - 1, ... of the cotangent times the taps f, f + s, ...,
  so each phase is a convolution of stride 1.
  """
  b, h, w, c = x.shape
  sizes = [-(-n // s) for n, s in zip((h, w), strides, strict=True)]
  phases = [
    [
      _phase(r, kernel.shape[axis], strides[axis], pads[axis][0])
      for r in range(s)
    ]
    for axis, s in enumerate(strides)
  ]
  around = [
    _border(phases[axis], sizes[axis], g.shape[1 + axis]) for axis in (0, 1)
  ]
  g = _padded(g, around)
  weights = kernel.astype(_wide(g.dtype))
  parts = [
    [
      sum(
        (
          _tap(
            g,
            around[0][0] + q0 - m0,
            around[1][0] + q1 - m1,
            shape=sizes,
            strides=(1, 1),
          )
          * weights[i : i + 1, j : j + 1]
          for m0, i in enumerate(taps0)
          for m1, j in enumerate(taps1)
        ),
        jnp.zeros((b, *sizes, c), weights.dtype),
      )
      for taps1, q1 in phases[1]
    ]
    for taps0, q0 in phases[0]
  ]
  image = jnp.stack([jnp.stack(row, 3) for row in parts], 2)
  image = image.reshape(b, sizes[0] * strides[0], sizes[1] * strides[1], c)
  return image[:, :h, :w].astype(x.dtype)


def _phase(
  phase: int, taps: int, stride: int, pad: int
) -> tuple[Sequence[int], int]:
  """Returns the taps of a phase, and q of the first tap."""
  first = (phase + pad) % stride
  return range(first, taps, stride), (phase + pad - first) // stride


def _border(
  phases: Sequence[tuple[Sequence[int], int]], size: int, length: int
) -> Pair:
  """Returns the zero padding of a cotangent of `length` rows at both ends."""
  reached = [(q - len(taps) + 1, q + size) for taps, q in phases if taps]
  low = min([0, *(first for first, _ in reached)])
  return -low, max([length, *(end for _, end in reached)]) - length


def _padded(x: jax.Array, pads: Sequence[Pair]) -> jax.Array:
  """Returns x with zeros around it (or cropped, by negative pads)."""
  zero = jnp.zeros((), x.dtype)
  config = ((0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0))
  # The barrier makes XLA compute x once, instead of once per tap.
  return jax.lax.optimization_barrier(jax.lax.pad(x, zero, config))


def _tap(
  x: jax.Array, row: int, column: int, *, shape: Sequence[int], strides: Pair
) -> jax.Array:
  """Returns the input of one tap: x from (row, column), strided."""
  ends = [
    start + (n - 1) * s + 1
    for start, n, s in zip((row, column), shape, strides, strict=True)
  ]
  seen = jax.lax.slice(
    x, (0, row, column, 0), (x.shape[0], *ends, x.shape[3]), (1, *strides, 1)
  )
  return seen.astype(_wide(x.dtype))


def _wide(dtype: jnp.dtype) -> jnp.dtype:
  """Returns the dtype of sums."""
  return jnp.promote_types(dtype, jnp.float32)

"""A trained model as one file that needs nothing of this package.

The file is a `jax.export` artifact: uint8 images (b, h, w, c) go in and
probabilities (b, k) float32 come out, for any b, on CPUs, NVIDIA's GPUs and
TPUs. Weights and normalisation are inside. docs/export.md has the lines that
use it.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.export
import jax.numpy as jnp

from jaxvision import data, files
from jaxvision.files import suffixes

Tree = Any

PLATFORMS = ("cpu", "cuda", "tpu")
# What a flatbuffer, of which the artifact is one, can hold.
_LARGEST = 2**31 - 2**20  # bytes; the rest is for the program


def check_path(path: str | pathlib.Path) -> None:
  """Raises ValueError for an ending that says another format."""
  suffixes.check(path, ".jax", what="an artifact of jax.export")


def save(
  path: str | pathlib.Path,
  model: nn.Module,
  variables: Tree,
  *,
  image_shape: tuple[int, int, int],
  normalization: data.Normalization,
  class_names: Sequence[str] = (),
) -> None:
  """Writes a model, and beside it the names of its classes.

  The file is as large as the weights, 102 MB for a ResNet-50 and 346 MB for a
  ViT-B/16; writing it takes about four times that in memory.

  Args:
    path: of the file, such as model.jax. The names go to the same path with
      the ending .txt, one a line; without names there is no such file.
    model: maps normalised images to logits, whose softmax the artifact gives.
    variables: of the model, on any devices of this process.
    image_shape: (h, w, c) of what goes in.
    normalization: of the pixels.
    class_names: in the order of the logits.

  Raises:
    ValueError: more or fewer names than logits; weights of 2 GiB and more, for
      which the format has no room; or an ending of another format.
  """
  path = pathlib.Path(path)
  check_path(path)
  variables = jax.device_get(variables)
  size = sum(leaf.nbytes for leaf in jax.tree.leaves(variables))
  if size > _LARGEST:
    raise ValueError(
      f"the weights are {size:,} bytes, but an artifact holds {_LARGEST:,}: "
      "export a smaller model, or weights in bfloat16"
    )

  def probabilities(images: jax.Array) -> jax.Array:
    pixels = data.normalize(images, normalization)
    logits = model.apply(variables, pixels, train=False)
    return jax.nn.softmax(logits.astype(jnp.float32))

  (batch,) = jax.export.symbolic_shape("b")
  exported = jax.export.export(jax.jit(probabilities), platforms=PLATFORMS)(
    jax.ShapeDtypeStruct((batch, *image_shape), jnp.uint8)
  )
  num_classes = exported.out_avals[0].shape[1]
  if class_names and len(class_names) != num_classes:
    raise ValueError(
      f"{len(class_names)} class names for a model of {num_classes} classes; "
      "give them all, or none"
    )
  if class_names:
    lines = "".join(f"{files.printable(name)}\n" for name in class_names)
    files.write_text(path.with_suffix(".txt"), lines)
  files.write_bytes(path, exported.serialize())

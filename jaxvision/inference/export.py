"""Export of a trained model to one file that runs without jaxvision.

The file is a `jax.export` artifact. Its input is uint8 images (b, h, w, c), its
output probabilities (b, k) float32, for any b, on CPUs, NVIDIA GPUs and TPUs.
It contains weights and normalisation. docs/export.md has the code to use it.
"""

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.export
import jax.numpy as jnp

from jaxvision import data, files
from jaxvision.files import suffixes

Tree = Any

FORMAT = "jax"
PLATFORMS = ("cpu", "cuda", "tpu")
_OTHERS = (
  "this command writes 'jax', an artifact of jax.export; `jaxvision weights "
  "convert` writes weights as .safetensors or .npz"
)
_NO_ONNX = (
  "ONNX cannot be written: the maintained converter, jax2onnx, requires "
  "another orbax-checkpoint than jaxvision (docs/export.md)"
)
# Size limit of a flatbuffer, the format of the artifact.
_LARGEST = 2**31 - 2**20  # bytes; the rest is for the program


def check_format(name: str) -> None:
  """Raises ValueError for a format other than `FORMAT`, with the reason."""
  if name != FORMAT:
    why = _NO_ONNX if name == "onnx" else f"unknown format {name!r}"
    raise ValueError(f"{why}; {_OTHERS}")


def check_path(path: str | pathlib.Path) -> None:
  """Raises ValueError for a suffix of another format."""
  if pathlib.Path(path).suffix.lower() == ".onnx":
    check_format("onnx")
  suffixes.check(path, ".jax", what="an artifact of jax.export")


def save_generator(
  path: str | pathlib.Path,
  generate: Callable[[Tree, jax.Array, jax.Array], jax.Array],
  variables: Tree,
  *,
  image_shape: tuple[int, int, int],
  noise: int,
) -> None:
  """Writes a generator: images uint8 and noise (b, noise) -> images uint8.

  Args:
    path: of the file, such as generator.jax.
    generate: of the generator of a task, see `tasks.contract.Generator`.
    variables: of the task.
    image_shape: (h, w, c) of the images.
    noise: its length.

  Raises:
    ValueError: the weights exceed the limit of the format, or the suffix is
      that of another format.
  """
  check_path(path)
  variables = _checked(variables)
  (batch,) = jax.export.symbolic_shape("b")
  exported = jax.export.export(
    jax.jit(functools.partial(generate, variables)),
    platforms=PLATFORMS,
  )(
    jax.ShapeDtypeStruct((batch, *image_shape), jnp.uint8),
    jax.ShapeDtypeStruct((batch, noise), jnp.float32),
  )
  files.write_bytes(path, exported.serialize())


def _checked(variables: Tree) -> Tree:
  """The variables in numpy arrays, after a check of their size."""
  variables = jax.device_get(variables)
  size = sum(leaf.nbytes for leaf in jax.tree.leaves(variables))
  if size > _LARGEST:
    raise ValueError(
      f"the weights have {size:,} bytes, but an artifact can have at most "
      f"{_LARGEST:,}: export a smaller model, or weights in bfloat16"
    )
  return variables


def save(
  path: str | pathlib.Path,
  model: nn.Module,
  variables: Tree,
  *,
  image_shape: tuple[int, int, int],
  normalization: data.Normalization | None = None,
  class_names: Sequence[str] = (),
  answer: Callable[[jax.Array], jax.Array] = jax.nn.softmax,
  mean: Sequence[float] = (),
  std: Sequence[float] = (),
) -> None:
  """Writes a model, and a text file with its class names.

  The file is as large as the weights: 102 MB for ResNet-50, 346 MB for
  ViT-B/16. Writing it needs about four times as much memory.

  Args:
    path: path of the file, such as model.jax. The class names are written to
      the same path with the suffix .txt, one per line.
    model: maps normalised images to logits.
    variables: the model's variables, on any devices of this process.
    image_shape: (h, w, c) of the input.
    normalization: normalisation of the pixels; None for that of mean and std.
    class_names: class names in the order of the logits; empty for no text file.
    answer: logits float32 -> the output of the artifact, as of a task.
    mean, std: per channel, in place of `normalization`.

  Raises:
    ValueError: the number of names differs from the number of logits; the
      weights have 2 GiB or more, the limit of the format; or the suffix is that
      of another format.
  """
  path = pathlib.Path(path)
  check_path(path)
  normalization = normalization or data.Normalization(mean, std)
  variables = _checked(variables)

  def probabilities(images: jax.Array) -> jax.Array:
    pixels = data.normalize(images, normalization)
    logits = model.apply(variables, pixels, train=False)
    return answer(logits.astype(jnp.float32))

  (batch,) = jax.export.symbolic_shape("b")
  exported = jax.export.export(jax.jit(probabilities), platforms=PLATFORMS)(
    jax.ShapeDtypeStruct((batch, *image_shape), jnp.uint8)
  )
  num_classes = exported.out_avals[0].shape[1]
  if class_names and len(class_names) != num_classes:
    raise ValueError(
      f"{len(class_names)} class names for a model with {num_classes} classes; "
      "give all names, or none"
    )
  if class_names:
    lines = "".join(f"{files.printable(name)}\n" for name in class_names)
    files.write_text(path.with_suffix(".txt"), lines)
  files.write_bytes(path, exported.serialize())

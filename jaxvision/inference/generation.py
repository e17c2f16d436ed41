"""Images that a trained generator makes of the images of a split."""

import functools
import os

import jax
import numpy as np

from jaxvision import data, files, parallel
from jaxvision.training.setup import restore


def is_generator(run: restore.TrainedRun) -> bool:
  """Whether a run has a generator and a critic instead of a classifier."""
  return run.task.generator is not None


def check_generator(run: restore.TrainedRun) -> None:
  """Raises ValueError unless a run has a generator."""
  if not is_generator(run):
    raise ValueError(
      f"{run.workdir or run.config.model.name} is a {type(run.model).__name__} "
      "without a generator; give the folder of a run with "
      "task.name='adversarial'"
    )


def generate(
  run: restore.TrainedRun,
  batches: data.Batches,
  *,
  per_image: int,
  seed: int = 0,
) -> dict[str, np.ndarray]:
  """The images that a run makes of a split, as arrays of a data set.

  Args:
    run: with a generator.
    batches: of any split, in order. Its classes need not be those of the run.
    per_image: number of images made of each image.
    seed: of the noise, which does not depend on the size of the batches.

  Returns:
    images (n * per_image, h, w, c) uint8: all images once, then all of them
    again; labels (n * per_image,) int64, the classes of the original images;
    generated (n * per_image,) uint8 of 1; and class_names.

  Raises:
    ValueError: the run has no generator, or images have another shape.
  """
  check_generator(run)
  if per_image < 1:
    raise ValueError(f"per_image is {per_image}; it must be at least 1")
  if batches.image_shape != run.image_shape:
    raise ValueError(
      f"the images are {batches.image_shape}, and the generator was trained on "
      f"{run.image_shape}; use images of this shape"
    )

  generator = run.task.generator

  @jax.jit
  def make(variables, pixels, key: jax.Array, numbers: jax.Array) -> jax.Array:
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(numbers)
    draw = functools.partial(jax.random.normal, shape=(generator.noise,))
    return generator.generate(variables, pixels, jax.vmap(draw)(keys))

  found = [], []
  for copy in range(per_image):
    key = jax.random.fold_in(jax.random.key(seed), copy)
    for number in range(batches.num_batches):
      batch = batches.at(number)
      pixels = parallel.put_batch(batch["image"], run.mesh)
      numbers = number * batches.batch_size + np.arange(batches.batch_size)
      made = np.asarray(make(run.variables, pixels, key, numbers))
      rows = batch["mask"] > 0
      found[0].append(made[rows])
      found[1].append(batch["label"][rows].astype(np.int64))
  images, labels = map(np.concatenate, found)
  return {
    "images": images,
    "labels": labels,
    "generated": np.ones(len(images), np.uint8),
    "class_names": np.asarray(batches.examples.dataset.class_names),
  }


def save(path: str | os.PathLike, arrays: dict[str, np.ndarray]) -> None:
  """Writes images as an .npz file, a data set of data.kind "npz"."""
  with files.writing(path) as file:
    np.savez_compressed(file, **arrays)

"""Predictions of a trained run for image files."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxvision import data, trees
from jaxvision.training.setup import restore
from jaxvision.weights import class_names


def predict(
  run: restore.TrainedRun,
  images: Sequence[str | pathlib.Path],
  *,
  top: int = 5,
) -> list[dict[str, Any]]:
  """The predictions for image files: for a classifier, the best classes.

  An image of another size than in evaluation is resized. The classes of
  ImageNet have names instead of their WordNet ids.

  Args:
    run: from `load_run`.
    images: paths of files.
    top: the number of classes per image, at most.

  Returns:
    Per file {"image": path, "top": [{"class", "probability"}, ...]}, or
    {"image": path, "error": the reason why it cannot be read}.

  Raises:
    trees.NotFinite: the model overflows.
  """
  read, answer = _make_reader(run), _make_answer(run)
  names, found = class_names.readable(run.class_names), []
  for path in map(str, images):
    try:
      image = read(path)
    except Exception as error:  # of this image; the others have results
      reason = data.reason_of(error)
      if reason is None:
        raise
      found.append({"image": path, "error": reason})
      continue
    answers = np.asarray(answer(run.variables, image))
    trees.check_finite(
      {"probabilities": answers}, what=f"{path}: the model overflows, and"
    )
    best = run.task.predictions(answers, names, top)
    found.append({"image": path, "top": best})
  return found


def _make_reader(run: restore.TrainedRun) -> Callable[[str], np.ndarray]:
  """path -> the pixels (h, w, c) uint8 of the model's input."""
  of_data = run.config.data
  transform = data.make_host_transform(of_data.eval_transforms)
  to_size = data.make_host_transform((f"resize({run.input_shape[:2]})",))

  def read(path: str) -> np.ndarray:
    image = data.read_image(
      path, channels=of_data.channels, max_pixels=of_data.max_pixels
    )
    image = transform(None, image)
    return image if image.shape == run.input_shape else to_size(None, image)

  return read


def _make_answer(run: restore.TrainedRun) -> Callable[..., jax.Array]:
  """(variables, image) -> the answers of the model, (k,)."""

  @jax.jit
  def answer(variables, image):
    pixels = data.normalize(image[None], run.normalization)
    if run.task.outputs is None:
      outputs = run.model.apply(variables, pixels, train=False)
    else:
      outputs = run.task.outputs(variables, pixels)
    return run.task.answer(outputs)[0]

  return answer

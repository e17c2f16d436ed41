"""Predictions of a trained run for image files."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxvision import data, trees
from jaxvision.inference import generation
from jaxvision.training.setup import restore
from jaxvision.weights import class_names


def predict(
  run: restore.TrainedRun,
  images: Sequence[str | pathlib.Path],
  *,
  top: int = 5,
  labels: Sequence[str] = (),
) -> list[dict[str, Any]]:
  """The predictions for image files: for a classifier, the best classes.

  An image of another size than in evaluation is resized. The classes of
  ImageNet have names instead of their WordNet ids. A captioner predicts its
  caption, {"caption", "probability"}; with labels it is a classifier without
  training, by the probability of each label as the caption of the image
  (Tschannen et al. 2023, section 4.3).

  Args:
    run: from `load_run`.
    images: paths of files.
    top: the number of classes per image, at most; a captioner without labels
      has one caption.
    labels: texts, for a captioner. The probabilities are those of the texts
      divided by their sum.

  Returns:
    Per file {"image": path, "top": [{"class", "probability"}, ...]}, or
    {"image": path, "error": the reason why it cannot be read}.

  Raises:
    ValueError: the run has a generator and a critic, or labels are given and it
      has no captions, or cannot tell them apart.
    trees.NotFinite: the model overflows.
  """
  if generation.is_generator(run):
    raise ValueError(
      f"{run.workdir} has a generator and a critic, which do not classify; "
      "`jaxvision generate OUT.npz --workdir RUN --data FOLDER` writes the "
      "images that they make"
    )
  read = make_reader(run)
  answer = _make_scores(run, labels) if labels else make_answer(run)
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
    if labels:
      best = _most_likely(answers, labels, top)
    else:
      best = run.task.predictions(answers, names, top)
    found.append({"image": path, "top": best})
  return found


def make_reader(run: restore.TrainedRun) -> Callable[[str], np.ndarray]:
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


def make_answer(run: restore.TrainedRun) -> Callable[..., jax.Array]:
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


def _make_scores(
  run: restore.TrainedRun, labels: Sequence[str]
) -> Callable[..., jax.Array]:
  """(variables, image) -> the log probability of each label, (k,)."""
  if run.task.score is None:
    raise ValueError(
      "labels need a run that was trained on captions (task.name="
      '"captioning"); leave them out: a classifier has its own classes'
    )

  @jax.jit
  def scores(variables, image):
    pixels = data.normalize(image[None], run.normalization)
    return run.task.score(variables, pixels, labels)[0]

  return scores


def _most_likely(
  log_p: np.ndarray, labels: Sequence[str], top: int
) -> list[dict[str, Any]]:
  """The `top` labels with the highest log probabilities (k,)."""
  shares = np.exp(log_p - np.logaddexp.reduce(log_p))
  best = np.argsort(-log_p, kind="stable")[:top]
  return [
    {
      "class": labels[i],
      "probability": float(shares[i]),
      "log_probability": float(log_p[i]),
    }
    for i in best
  ]

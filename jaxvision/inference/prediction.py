"""Predictions of a trained run for image files."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxvision import data, trees
from jaxvision.inference import generation, views
from jaxvision.training.setup import restore
from jaxvision.weights import class_names


def predict(
  run: restore.TrainedRun,
  images: Sequence[str | pathlib.Path],
  *,
  top: int | None = 5,
  labels: Sequence[str] = (),
  tta: str = "",
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
      has one caption. None gives the probabilities of all classes, in the order
      of the model or of the labels.
    labels: texts, for a captioner. The probabilities are those of the texts
      divided by their sum.
    tta: test-time augmentation, as in `views.choose`.

  Returns:
    Per file {"image": path, "top": [{"class", "probability"}, ...]}, or
    {"image": path, "error": the reason why it cannot be read}. If top is None,
    "probabilities" instead of "top".

  Raises:
    ValueError: the run has a generator and a critic, or labels are given and it
      has no captions, or cannot tell them apart; or top is None, and the run
      predicts numbers, or captions without labels; or the views of `tta` are
      unknown or do not fit to the run.
    trees.NotFinite: the model overflows.
  """
  _check(run, top, labels)
  chosen = views.choose(run, tta)
  read, answer = make_reader(run, chosen), _make_answer(run, labels, chosen)
  listed, found = _make_listing(run, top, labels), []
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
    found.append({"image": path, **listed(answers)})
  return found


def blank(
  run: restore.TrainedRun,
  *,
  top: int | None = 5,
  labels: Sequence[str] = (),
) -> dict[str, Any]:
  """The fields of a prediction, for a table in which no image can be read.

  The arguments and errors are those of `predict`. The numbers of the fields
  have no meaning. The model is traced, but not compiled.
  """
  _check(run, top, labels)
  image = jax.ShapeDtypeStruct(run.input_shape, np.uint8)
  shape = jax.eval_shape(_make_answer(run, labels), run.variables, image)
  zeros = np.zeros(shape.shape, shape.dtype)
  return _make_listing(run, top, labels)(zeros)


def _check(
  run: restore.TrainedRun, top: int | None, labels: Sequence[str]
) -> None:
  """Raises ValueError if a run cannot predict what is asked for."""
  if generation.is_generator(run):
    raise ValueError(
      f"{run.workdir} has a generator and a critic, which do not classify; "
      "`jaxvision generate OUT.npz --workdir RUN --data FOLDER` writes the "
      "images that they make"
    )
  if top is not None or labels:
    return
  if run.config.data.labels == "numbers":
    raise ValueError(
      f"{run.workdir} predicts numbers, which have no probabilities; omit "
      "--probabilities (top=None): all numbers are predicted without it"
    )
  if run.task.score is not None:
    raise ValueError(
      f"{run.workdir} predicts captions, and --probabilities (top=None) are of "
      "classes; omit it, or give --labels FILE (labels)"
    )


def _make_listing(
  run: restore.TrainedRun, top: int | None, labels: Sequence[str]
) -> Callable[[np.ndarray], dict[str, Any]]:
  """answers of an image -> the fields of its prediction."""
  names = class_names.readable(run.class_names)

  def listed(answers: np.ndarray) -> dict[str, Any]:
    if labels:
      every = _of_labels(answers, labels)
    elif top is None:
      every = _of_classes(answers, names)
    else:
      return {"top": run.task.predictions(answers, names, top)}
    if top is None:
      return {"probabilities": every}
    order = np.argsort(-answers, kind="stable")[:top]
    return {"top": [every[i] for i in order]}

  return listed


def _of_classes(
  probabilities: np.ndarray, names: Sequence[str]
) -> list[dict[str, Any]]:
  """The classes with their probabilities (k,), in the order of the model."""
  pairs = zip(names, probabilities.tolist(), strict=True)
  return [{"class": name, "probability": each} for name, each in pairs]


def _of_labels(
  log_p: np.ndarray, labels: Sequence[str]
) -> list[dict[str, Any]]:
  """The labels with their log probabilities (k,), in their order."""
  shares = np.exp(log_p - np.logaddexp.reduce(log_p))
  triples = zip(labels, shares.tolist(), log_p.tolist(), strict=True)
  return [
    {"class": label, "probability": share, "log_probability": each}
    for label, share, each in triples
  ]


def make_reader(
  run: restore.TrainedRun, chosen: views.Views | None = None
) -> Callable[[str], np.ndarray]:
  """path -> the pixels (h, w, c) uint8 of the model's input, or of its views.

  Args:
    run: from `load_run` or `pretrained.open_weights`.
    chosen: the views of test-time augmentation.
  """
  of_data = run.config.data
  calls = chosen.transforms if chosen else of_data.eval_transforms
  transform = data.make_host_transform(calls)
  shape = chosen.image_shape if chosen else run.input_shape
  to_size = data.make_host_transform((f"resize({shape[:2]})",))

  def read(path: str) -> np.ndarray:
    image = data.read_image(
      path, channels=of_data.channels, max_pixels=of_data.max_pixels
    )
    image = transform(None, image)
    return image if image.shape == shape else to_size(None, image)

  return read


def make_answer(
  run: restore.TrainedRun, chosen: views.Views | None = None
) -> Callable[..., jax.Array]:
  """(variables, image) -> the answers of the model, (k,).

  Args:
    run: from `load_run` or `pretrained.open_weights`.
    chosen: views of the image, whose predictions are averaged.
  """

  @jax.jit
  def answer(variables, image):
    images = image[None] if chosen is None else views.of(chosen, image[None])[0]
    pixels = data.normalize(images, run.normalization)
    if run.task.outputs is None:
      outputs = run.model.apply(variables, pixels, train=False)
    else:
      outputs = run.task.outputs(variables, pixels)
    if chosen is not None:
      outputs = run.task.averaging.mean(outputs[None])
    return run.task.answer(outputs)[0]

  return answer


def _make_answer(
  run: restore.TrainedRun,
  labels: Sequence[str],
  chosen: views.Views | None = None,
) -> Callable[..., jax.Array]:
  """(variables, image) -> the answers, or the log probability of each label."""
  return _make_scores(run, labels) if labels else make_answer(run, chosen)


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

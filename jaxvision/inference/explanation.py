"""Explanations of a trained run for image files: heat maps of a class."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import data, interpret, lookup, parallel, report, trees
from jaxvision.inference import generation, prediction
from jaxvision.training.setup import restore
from jaxvision.weights import class_names


def explain(
  run: restore.TrainedRun,
  images: Sequence[str | pathlib.Path],
  *,
  methods: Sequence[str] = (),
  target: str | int | None = None,
  top: int = 5,
) -> list[report.Explanation]:
  """Heat maps of image files, with the best classes.

  Args:
    run: from `load_run` or `pretrained.open_weights`.
    images: paths of files.
    methods: calls, such as "smoothgrad(samples=20)"; () for the first of
      rollout, gradcam and gradient that fits the model.
    target: the class that is explained: its name, or its number. None explains
      the class with the largest output of each image.
    top: number of classes for each image, at most.

  Returns:
    One for each file. A file that cannot be read has the reason in `error`.

  Raises:
    ValueError: the run predicts neither classes nor numbers, a method is
      unknown or does not fit (the message lists those that fit), or there is no
      such class (it lists the nearest names).
    trees.NotFinite: the model overflows.
  """
  _check_run(run)
  names = class_names.readable(run.class_names)
  chosen = None if target is None else class_number(target, names)
  methods = tuple(methods) or (default_method(run),)
  _check_methods(run, methods)
  read, answer = prediction.make_reader(run), prediction.make_answer(run)
  if chosen is None and _kind(run) == "numbers" and len(names) > 1:
    raise ValueError(
      f"the run predicts the numbers {', '.join(names)}; say which one is "
      "explained, by target (--target NAME)"
    )
  found = []
  for path in map(str, images):
    image, reason = _readable(read, path)
    if image is None:
      found.append(report.Explanation(path=path, error=reason))
      continue
    answers = np.asarray(answer(run.variables, image))
    trees.check_finite(
      {"outputs": answers}, what=f"{path}: the model overflows, and"
    )
    number = int(answers.argmax()) if chosen is None else chosen
    maps = _maps(run, methods, image, number)
    found.append(
      report.Explanation(
        path=path,
        image=image,
        target=names[number],
        top=tuple(run.task.predictions(answers, names, top)),
        maps=maps,
        overlays=_overlays(image, maps),
      )
    )
  return found


def default_method(run: restore.TrainedRun) -> str:
  """The method that explains a run by default."""
  return interpret.default_method(run.model, image_shape=run.input_shape)


def note(methods: Sequence[str]) -> str:
  """A sentence on the methods whose maps do not depend on the class."""
  names = [
    each
    for each in methods
    if interpret.method_name(each) in interpret.OF_NO_CLASS
  ]
  if not names:
    return ""
  return f"The same for every class: {', '.join(names)}."


def class_number(target: str | int, names: Sequence[str]) -> int:
  """The number of a class, given by its name or its number.

  A class whose name is a number is found by its name.

  Raises:
    ValueError: there is no such class, or several have this name.
  """
  text = str(target)
  same = [number for number, name in enumerate(names) if name == text]
  if len(same) > 1:
    raise ValueError(
      f"{len(same)} classes have the name {text!r}; give the number of one: "
      f"{', '.join(map(str, same))}"
    )
  if same:
    return same[0]
  if text.isdecimal() and int(text) < len(names):
    return int(text)
  if text.isdecimal():
    raise ValueError(
      f"there is no class {text}; expected 0 to {len(names) - 1}, or a name"
    )
  raise ValueError(lookup.unknown("class", text, names))


def _check_run(run: restore.TrainedRun) -> None:
  """Raises ValueError unless the model of a run predicts of single images."""
  if generation.is_generator(run):
    raise ValueError(
      f"{run.workdir} has a generator and a critic, which do not classify, so "
      "there is no class to explain; give a classifier"
    )
  if run.task.score or run.task.outputs or run.task.model_at:
    raise ValueError(
      f"{run.workdir} predicts captions, and heat maps explain the output of "
      "one class; give a classifier"
    )


def _check_methods(run: restore.TrainedRun, methods: Sequence[str]) -> None:
  interpret.check_methods(methods, run.model, image_shape=run.input_shape)
  if _kind(run) == "classes":
    return
  for each in methods:
    if _reads_softmax(each):
      raise ValueError(
        f"{each} measures the probability of one class among all, and this run "
        f"predicts {_kind(run)} (data.labels); use occlusion(score='logit'), "
        "or a method of gradients"
      )


def _reads_softmax(method: str) -> bool:
  if interpret.method_name(method) == "rise":
    return True
  options = getattr(interpret.attributions.create(method), "keywords", {})
  return options.get("score") == "probability"


def _kind(run: restore.TrainedRun) -> str:
  """What a run predicts: "classes", "sets" of classes, or "numbers"."""
  found = run.config.data.labels
  return "classes" if found == "none" else found


def _readable(read: Any, path: str) -> tuple[np.ndarray | None, str]:
  """The pixels of a file, or None and the reason why it cannot be read."""
  try:
    return read(path), ""
  except Exception as error:  # of this image; the others have results
    reason = data.reason_of(error)
    if reason is None:
      raise
    return None, reason


def _maps(
  run: restore.TrainedRun,
  methods: Sequence[str],
  image: np.ndarray,
  target: int,
) -> dict[str, np.ndarray]:
  """{method: map (h, w) float32, raw}."""
  pixels = data.normalize(jnp.asarray(image[None]), run.normalization)
  pixels = jax.device_put(pixels, parallel.replicated(run.mesh))
  return {
    lookup.as_written(method): interpret.attribute(
      method, run.model, run.model_variables, pixels, np.asarray([target])
    )[0]
    for method in methods
  }


def _overlays(
  image: np.ndarray, maps: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """{method: the map over the image, (h, w, 3) uint8}."""
  return {
    method: interpret.overlay(image[None], each[None])[0]
    for method, each in maps.items()
  }

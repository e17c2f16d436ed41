"""The contract of a task: everything that differs between kinds of training.

A task is a record of pure functions. The step, the loop, the evaluation, the
report and the commands use this record and do not depend on a specific task. A
new task needs one file in this folder and one line in its `__init__.py`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from jaxvision import data, metrics
from jaxvision.optimizers import freezing
from jaxvision.tasks.teachers import UNTAUGHT, Taught

Tree = Any
Batch = Mapping[str, jax.Array]
# (params, model_state, batch, key, *constants)
# -> (scalar, (model_state, sums))
TaskLoss = Callable[..., tuple[jax.Array, Tree]]
# (variables, batch, *constants) -> (sums, outputs (b, ...))
Evaluate = Callable[..., tuple[Tree, jax.Array]]


@dataclasses.dataclass(frozen=True)
class Components:
  """The objects from which a task is made.

  Attributes:
    model: called as model(images, train=...) -> outputs (b, k).
    loss: (outputs (b, k), targets) -> (b,).
    normalization: of the pixels.
    image_shape: (h, w, c) of the training images.
    class_names: the classes in the order of the outputs.
    auxiliary_weight: factor of the loss of each auxiliary classifier.
    penalty: parameters -> scalar, which is added to the mean loss.
    learning_rate_rules: None freezes parameters, see
      `jaxvision.optimizers.freezing`.
    device_transform: (key, batch) -> batch, after normalisation.
    labels: the kind of the labels, as data.labels of a config.
    taught: the teachers to learn from.
    train: the training split, for a task that makes something from it before
      the training, such as a vocabulary. None for a trained run.
    kept: the files that such a task has kept in the folder of the run, by name.
  """

  model: nn.Module
  loss: Callable[[jax.Array, jax.Array], jax.Array]
  normalization: data.Normalization
  image_shape: tuple[int, ...] = ()
  class_names: Sequence[str] = ()
  auxiliary_weight: float = 0.0
  penalty: Callable[[Tree], jax.Array] = lambda _: 0.0
  learning_rate_rules: freezing.Rules = ((".*", 1.0),)
  device_transform: Callable[[jax.Array, Batch], Batch] = lambda _, batch: batch
  labels: str = "classes"
  taught: Taught = UNTAUGHT
  train: data.Dataset | None = None
  kept: Mapping[str, bytes] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Averaging:
  """The evaluation of the mean prediction of several views of an image.

  Attributes:
    mean: outputs of v views (b, v, k) -> outputs (b, k) float32 of the mean of
      their predictions. For equal views they are the outputs of a view.
    sums: (outputs (b, k), batch) -> the sums of `evaluate`.
    evaluate: the evaluation of a task that this record belongs to. If a task
      has another one, its views cannot be averaged.
  """

  mean: Callable[[jax.Array], jax.Array]
  sums: Callable[[jax.Array, Batch], Tree]
  evaluate: Evaluate


@dataclasses.dataclass(frozen=True)
class Task:
  """A kind of training, as a record of pure functions.

  Attributes:
    batch: the fields of a batch: name -> (shape of one example, type). All
      have "image" and "mask". The mask is 1 for examples that count, else 0.
      Fields other than image, label and mask are asked from the data: a mask
      of pixels, such as "segmentation_mask" ((h, w, 1), uint8), is moved with
      its image; a text, such as "caption", is encoded, and "caption/text" is
      another encoding of this field; "partner" ((h, w, c), uint8) is another
      image of the class.
    init: key -> the variables of all networks that are trained.
    inputs: (batch, key) -> (batch for evaluation, batch for training).
    loss: the function that the step minimises. Its sums have "loss" and
      "count"; the log divides every sum by the count.
    evaluate: the sums of a batch in evaluation, and the outputs.
    merge: (sums, sums) of numpy arrays -> the sums over the examples of both;
      by default element by element. All arrays may have a leading axis for
      several runs.
    finish: sums -> metrics by name.
    logged: names of the sums of `loss` that are logged.
    measured: names of the metrics of `finish`.
    best: the metrics that may select the best checkpoint, the default first:
      name -> 1 where larger is better, -1 where smaller is.
    learnt: a metric that shows whether examples are memorised, and its value in
      this case; None for a task that does not memorise.
    untrained: () -> the expected loss of an untrained model; None if unknown.
    answer: outputs -> the numbers that predictions and exports contain, such
      as probabilities, (b, k) float32.
    rank: (outputs, batch) of numpy arrays -> (scores (b,), answers (b, ...));
      the report shows the examples with the highest finite scores.
    predictions: (answers (k,), class names, number of classes to list) -> the
      prediction of one image, for the screen and for JSON.
    artifacts: (evaluation, class names, ids of its examples) -> the content of
      the report except the curves.
    encode: name -> text -> array of the shape and type in `batch`, of each
      field that is text.
    unlabelled: whether the task can learn from images without labels, whose
      label is -1.
    uses_labels: whether `evaluate` reads the labels. If not, the classes of the
      data do not matter.
    constants: further arguments of `loss` and `evaluate`: trees of arrays that
      the training does not change, such as the variables of teachers. They are
      arguments of the compiled programs. They are not part of a checkpoint.
    turns: the parts of the parameters that a step updates in turns, by the
      first name of their paths, and the number of updates of each, as in
      (("critic", 5), ("generator", 1)). Each update has its own share of the
      batch. () updates all parameters at once.
    generator: the network that makes images; None without one. Then the model
      is no classifier, and the report shows its images.
    problem: metrics -> a warning about the training; "" if there is none.
    model_at: the name of the variables of `Components.model` in each
      collection, such as "encoder"; "" if all variables are of this model.
    outputs: (variables, normalised images (b, h, w, c)) -> outputs as of
      `evaluate`; None for those of the model.
    score: (variables, normalised images (b, h, w, c), texts) -> (b, number of
      texts) float32, the log probability of each text; None without texts.
    kept: files that the folder of the run keeps, see `Components.kept`.
    averaging: for test-time augmentation; None if predictions of several views
      of an image cannot be averaged.
  """

  batch: Mapping[str, tuple[tuple[int, ...], Any]]
  init: Callable[[jax.Array], Tree]
  inputs: Callable[[Batch, jax.Array], tuple[Batch, Batch]]
  loss: TaskLoss
  evaluate: Evaluate
  finish: Callable[[Tree], dict[str, float]]
  logged: Sequence[str]
  measured: Sequence[str]
  best: Mapping[str, int]
  untrained: Callable[[], float | None]
  answer: Callable[[jax.Array], jax.Array]
  rank: Callable[[np.ndarray, Batch], tuple[np.ndarray, np.ndarray]]
  predictions: Callable[[np.ndarray, Sequence[str], int], list[dict[str, Any]]]
  artifacts: Callable[
    [metrics.Evaluation, Sequence[str], Sequence[str]], "Artifacts"
  ]
  merge: Callable[[Tree, Tree], Tree] = metrics.add
  learnt: tuple[str, float] | None = ("top1", 1.0)
  encode: Mapping[str, Callable[[str], np.ndarray]] = dataclasses.field(
    default_factory=dict
  )
  unlabelled: bool = False
  uses_labels: bool = True
  constants: tuple[Tree, ...] = ()
  turns: Sequence[tuple[str, int]] = ()
  generator: "Generator | None" = None
  problem: Callable[[Mapping[str, float]], str] = lambda _: ""
  model_at: str = ""
  outputs: Callable[[Tree, jax.Array], jax.Array] | None = None
  score: Callable[[Tree, jax.Array, Sequence[str]], jax.Array] | None = None
  kept: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
  averaging: Averaging | None = None

  def check_features(self) -> None:
    """Raises ValueError if the model has no features of single images."""
    if self.generator is not None:
      raise ValueError(
        "the model is a generator and a critic, whose features depend on pairs "
        "of images; give a classifier"
      )


def of_model(task: Task, variables: Tree) -> Tree:
  """The variables of the model among those of a task."""
  if not task.model_at:
    return variables
  return {
    name: tree[task.model_at]
    for name, tree in variables.items()
    if task.model_at in tree
  }


def with_model(task: Task, variables: Tree, model: Tree) -> Tree:
  """The variables of a task, with those of its model replaced."""
  if not task.model_at:
    return model
  return {
    name: {**tree, task.model_at: model[name]} if name in model else tree
    for name, tree in variables.items()
  }


@dataclasses.dataclass(frozen=True)
class Generator:
  """A network that makes images of other images and of noise.

  Attributes:
    generate: (variables, images (b, h, w, c) uint8, noise (b, n) float32) ->
      images (b, h, w, c) uint8.
    noise: the length n of the noise, which is normal.
  """

  generate: Callable[[Tree, jax.Array, jax.Array], jax.Array]
  noise: int


@dataclasses.dataclass(frozen=True)
class Artifacts:
  """The files of a task in the folder of a run, for its report.

  Attributes:
    arrays: the content of evaluation.npz. With "positions" (n,) of examples in
      the split, their "ids" (n,) are added.
    pages: sections of the report, see `jaxvision.runs.pages`.
  """

  arrays: Mapping[str, np.ndarray]
  pages: Sequence[Any] = ()

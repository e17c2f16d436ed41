"""A trained run evaluated on a split."""

import logging

import jax
import numpy as np

from jaxvision import data, metrics, trees
from jaxvision.evaluation import evaluator, network, suites
from jaxvision.inference import views
from jaxvision.training import setup
from jaxvision.training.setup import data_record, restore

_LOGGER = logging.getLogger(__name__)


def evaluate(
  run: restore.TrainedRun,
  *,
  role: str = "test",
  data_changed: str = "refuse",
  tta: str = "",
) -> metrics.Evaluation:
  """Evaluates a run on a split of its own data.

  Warns of examples that the run was trained on.

  Args:
    run: from `load_run`.
    role: "train", "validation" or "test".
    data_changed: "accept" allows data that have changed since the training.
    tta: test-time augmentation, as in `views.choose`.

  Raises:
    ValueError: the config does not have this split, the data have changed, or
      the views of `tta` are unknown or do not fit to the run.
    trees.NotFinite: a metric is not finite.
  """
  if role not in setup.roles(run.config):
    raise ValueError(
      f"the run has no {role} split (data.{role} = "
      f"{run.config.data.get(role)!r}); choose another split"
    )
  chosen = views.choose(run, tta)
  dataset = setup.open_split(run.config, role)
  if run.task.uses_labels:
    _check_classes(run, dataset)
  if run.workdir:
    data_record.check_role(run.workdir, role, dataset, changed=data_changed)
  batches = setup.make_batches(
    run.config,
    dataset,
    train=False,
    mesh=run.mesh,
    transforms=chosen and chosen.transforms,
    size=views.batch_size(run, chosen),
  )
  return measure(run, batches, chosen)


def _check_classes(run: restore.TrainedRun, dataset: data.Dataset) -> None:
  """Raises ValueError unless the data have the classes of the run."""
  if dataset.class_names == run.class_names:
    return
  if run.config.data.labels == "none":
    raise ValueError(
      "the run was trained on images without labels; evaluate it on data with "
      "the labels of its classes (--data)"
    )
  raise ValueError(
    f"{dataset.name} has {len(dataset.class_names)} classes "
    f"{dataset.class_names[:5]}..., but the run was trained on "
    f"{len(run.class_names)}: {run.class_names[:5]}..."
  )


def measure(
  run: restore.TrainedRun,
  batches: data.Batches,
  chosen: views.Views | None = None,
) -> metrics.Evaluation:
  """Evaluates a run on batches of any split that has the classes of the run.

  Args:
    run: from `load_run` or `pretrained.open_weights`.
    batches: of the split.
    chosen: the views of test-time augmentation. The batches have their host
      transforms.

  Raises:
    ValueError: the data lack a field that the task asks for.
    trees.NotFinite: a metric is not finite.
  """
  if run.averaged:
    _LOGGER.info("evaluated: the moving average of the parameters")
  batches = batches.with_fields(run.task.batch, run.task.encode)
  task = setup.surround(run.config, run.task, run.model, run.mesh)
  if chosen:
    task = views.averaged(task, chosen)
  evaluate_all = evaluator.make_evaluator(
    task.evaluate,
    batches,
    run.mesh,
    finish=task.finish,
    merge=task.merge,
    rank=task.rank,
    constants=task.constants,
  )
  measured = evaluate_all(run.variables)
  split = batches.examples.dataset.split
  trees.check_finite(
    jax.tree.map(np.asarray, measured.metrics),
    what=f"step {run.step}, evaluated on {split}: the model overflows, and",
  )
  return measured


def evaluate_suite(run: restore.TrainedRun, call: str) -> network.Outcome:
  """Evaluates a run or weights with a suite on its own data.

  Args:
    run: from `load_run` or `pretrained.open_weights`; a classifier.
    call: of the suite with its data, "backgrounds(root='data/in9')".

  Raises:
    FileNotFoundError: the data do not exist.
    ValueError: the suite is unknown, the run is no classifier, or the data do
      not fit to it.
    trees.NotFinite: a metric is not finite.
  """
  run.task.check_features()
  if run.averaged:
    _LOGGER.info("evaluated: the moving average of the parameters")
  seen = network.Network(
    model=run.model,
    class_names=run.class_names,
    image_shape=run.input_shape,
    normalization=run.normalization,
    mesh=run.mesh,
    labels=run.config.data.labels,
  )
  measured = suites.make_evaluator((call,), seen)(run.model_variables)
  (found,) = measured.values()
  trees.check_finite(
    {name: np.asarray(value) for name, value in found.metrics.items()},
    what=f"{suites.name_of(call)}: the model overflows, and",
  )
  return found


def describe(run: restore.TrainedRun) -> str:
  """The checkpoint in use: "step 48, moving average of the parameters"."""
  average = ", moving average of the parameters" if run.averaged else ""
  return f"step {run.step}{average}"

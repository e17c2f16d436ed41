"""The command `jaxvision probe`: simple classifiers on frozen features."""

import argparse
import logging
import pathlib

from jaxvision import files, user_code
from jaxvision.cli import parsing
from jaxvision.files import paths
from jaxvision.processes import console


def add(commands) -> None:
  """Declares the command."""
  command = parsing.add(
    commands,
    "probe",
    _probe,
    "evaluate frozen features with simple classifiers",
    examples=(
      "probe --workdir runs/mlp --data digits",
      "probe --workdir runs/mlp --data digits --probes 'knn(k=10),lda'",
      "probe --weights resnet50.pth --model resnet50 --data path/to/images",
    ),
  )
  parsing.add_source(command)
  command.add_argument(
    "--data", type=paths.expanded, required=True, help=parsing.SOURCE_OF_DATA
  )
  command.add_argument("--train", default="train", help="split to fit")
  command.add_argument("--test", default="test", help="split to evaluate")
  command.add_argument(
    "--probes",
    default="knn,lda,logistic",
    help="calls, separated by commas: knn(k=20),fewshot,lda,pixels/knn",
  )
  parsing.add_data_changed(command)
  command.add_argument("--batch_size", type=int, default=64)
  command.add_argument("--json", action="store_true", help="print JSON")


def _probe(options: argparse.Namespace) -> None:
  from jaxvision import data, inference, lookup
  from jaxvision.evaluation import probes
  from jaxvision.inference import pretrained
  from jaxvision.xla import settings

  settings.tune_cpu()
  run = parsing.open_source(options)
  run.task.check_features()
  kind, name = data.kind_of(options.data)
  train, test = (
    pretrained.make_batches(run, kind, name, split, size=options.batch_size)
    for split in (options.train, options.test)
  )
  of_run = run.config.data
  _check(
    run,
    {"train": train.examples.dataset, "test": test.examples.dataset},
    own=(kind, name) == user_code.as_written((of_run.kind, of_run.name)),
    changed=options.data_changed,
  )
  measure = probes.make_evaluator(
    _names(lookup.split(options.probes)),
    run.model,
    train,
    test,
    num_classes=len(train.examples.dataset.class_names),
    normalization=run.normalization,
    mesh=run.mesh,
  )
  found = measure(run.model_variables)
  if options.json:
    console.say(files.to_json(found, indent=1))
    return
  if options.workdir:
    console.say(f"features: {inference.describe(run)}")
  for name, metrics in found.items():
    values = ", ".join(f"{k} {v:.4f}" for k, v in metrics.items())
    console.say(f"{name}: {values}")


def _names(calls: tuple[str, ...]) -> tuple[str, ...]:
  """The probes; those of the user's own code are resolved."""
  typed = {"evaluate": {"probes": calls}}
  found = user_code.resolve(typed, folders=[pathlib.Path()])
  return found["evaluate"]["probes"]


def _check(run, splits, *, own: bool, changed: str) -> None:
  """Checks that the splits have the same classes; warns of shared images.

  Args:
    run: the run whose features are probed.
    splits: {"train": dataset, "test": dataset}.
    own: whether they come from the data that the run was trained on.
    changed: "refuse" or "accept", if these data have changed since.
  """
  from jaxvision import data
  from jaxvision.training.setup import data_record

  train, test = splits["train"], splits["test"]
  if train.class_names != test.class_names:
    raise ValueError(
      f"{train.split!r} and {test.split!r} of {train.name} have different "
      "classes, or another order of them; give both the same list of classes"
    )
  for text in data.overlaps(splits, data.identify(splits)[1]):
    logging.getLogger(__name__).warning("%s", text)
  if not run.workdir:
    return
  data_record.say_trained_on(run.workdir, test)
  # With folds, the first two are parts of a split, and are not probed.
  roles = (
    ("test",) if run.config.data.folds else ("train", "validation", "test")
  )
  for role in roles if own else ():
    for split in splits.values():
      if split.split == run.config.data[role]:
        data_record.check_role(
          run.workdir, role, split, changed=changed, warn=False
        )

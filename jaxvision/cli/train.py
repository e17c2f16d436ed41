"""The command `jaxvision train`."""

import argparse
import contextlib
import logging
import pathlib
import signal
from collections.abc import Iterator, Mapping
from typing import Any

from jaxvision.cli import parsing
from jaxvision.files import paths
from jaxvision.processes import console


def add(commands) -> None:
  """Declares the command."""
  command = parsing.add(
    commands,
    "train",
    _train,
    "train a model from a config, or resume a run",
    examples=(
      "train --config configs/digits.py:mlp --workdir runs/mlp",
      "train --config configs/digits.py --workdir runs/a --config.seed=1",
      "train --workdir runs/mlp --extend '70 epochs'",
    ),
    note="Any key of the config can be set: "
    "--config.optimizer.learning_rate=0.1",
  )
  command.add_argument(
    "--config",
    type=paths.expanded,
    metavar="FILE.py[:ARGUMENT]",
    help="the recipe; without it the run in --workdir is resumed",
  )
  command.add_argument(
    "--workdir", type=paths.expanded, required=True, help="the run's folder"
  )
  command.add_argument(
    "--extend",
    default="",
    metavar="DURATION",
    help="resume the run and train it up to this total duration, as "
    "'40 epochs'; without --config",
  )
  command.add_argument(
    "--extend-schedule",
    default="",
    metavar="stretch|constant",
    help="learning-rate schedule of the extended run: stretch to the new "
    "duration (default), or keep the schedule and then its last rate",
  )
  parsing.add_trust(command)
  command.add_argument(
    "--overfit",
    type=int,
    default=0,
    metavar="N",
    help="train on N examples only, to check that the model can overfit them",
  )
  parsing.add_data_changed(command)
  command.add_argument(
    "--profile",
    default="",
    metavar="steps=FROM:TO",
    help="trace these steps into WORKDIR/profile, for xprof or TensorBoard",
  )


def _train(options: argparse.Namespace) -> None:
  from jaxvision import training
  from jaxvision.processes import agreement, cluster
  from jaxvision.training.loop import profiling
  from jaxvision.xla import settings

  if options.extend_schedule and not options.extend:
    raise ValueError("--extend-schedule needs --extend DURATION; give both")
  steps = profiling.parse(options.profile) if options.profile else range(0)
  settings.tune_cpu()
  cluster.start()
  if not agreement.is_first():
    console.log_to_screen(logging.WARNING)
  with _default_interrupt():
    result = training.train(
      options.config,
      workdir=options.workdir,
      overrides=options.overrides,
      overfit=options.overfit,
      data_changed=options.data_changed,
      profile=steps,
      extend=options.extend,
      extend_schedule=options.extend_schedule,
    )
  if agreement.is_first():
    _print_result(options, result)


def _print_result(
  options: argparse.Namespace, result: Mapping[str, Any]
) -> None:
  report = pathlib.Path(options.workdir).absolute() / "report.html"
  final = result["final"]
  measured = ""
  if final:
    split, average, _ = final["split"].partition("_ema")
    measured = f", {split} {_main_metric(final['metrics'])}"
    measured += " (moving average of the parameters)" if average else ""
  console.say(f"report: {report}{measured}")


def _main_metric(metrics: Mapping[str, float]) -> str:
  """The accuracy; of a task without classes, its main metric."""
  from jaxvision import report

  name = report.main_metric(metrics)
  if name == "top1":
    return f"accuracy {metrics['top1']:.2%}"
  return f"{name} {metrics[name]:.4g}"


@contextlib.contextmanager
def _default_interrupt() -> Iterator[None]:
  """Ctrl-C ends the process during compilation; training handles it later."""
  before = signal.signal(signal.SIGINT, signal.SIG_DFL)
  try:
    yield
  finally:
    signal.signal(signal.SIGINT, before)

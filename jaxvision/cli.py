"""The commands: each parses its arguments and calls one function.

Exit codes: 0 done, 2 wrong arguments or data, 3 the loss diverged, 42 stopped
by a signal and saved (start the same command again), 130 interrupted, 1
anything else, such as a full disk.
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence

from jaxvision import screen, tracking

DIVERGED = 3
PREEMPTED = 42
INTERRUPTED = 130
_OF_LAYERS = {  # What `models NAME` takes.
  "image_size": "of the table of layers (the native one)",
  "num_classes": "of the table of layers (1000)",
  "depth": "of its paths (the deepest that fits on a screen)",
}


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs a command; returns its exit code."""
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  parser = _make_parser()
  options, rest = parser.parse_known_args(arguments)
  options.overrides = _overrides(rest, parser)
  if options.overrides and options.command != "train":
    parser.error(f"{options.command} takes no --config.KEY=VALUE")
  screen.log_to_screen()
  try:
    options.run(options)
  except BrokenPipeError:  # as in `jaxvision data list | head`
    sys.stderr.close()
    return 0
  except KeyboardInterrupt:
    print("jaxvision: interrupted", file=sys.stderr)
    return INTERRUPTED
  except (ValueError, OSError) as error:
    return _fail(error, 1 if tracking.disk_is_full(error) else 2)
  except Exception as error:
    return _fail(error, _exit_code(error))
  return 0


def _exit_code(error: Exception) -> int:
  """The code of an error that has a meaning of its own; others are bugs."""
  from jaxvision import checkpoint, train_loop

  if isinstance(error, train_loop.Preempted):
    return PREEMPTED
  if isinstance(error, train_loop.Diverged):
    return DIVERGED
  if isinstance(error, checkpoint.CheckpointError):
    return 1
  raise error


def _fail(error: Exception, code: int) -> int:
  if os.environ.get("JAXVISION_TRACEBACK"):
    raise error
  print(f"jaxvision: {error}", file=sys.stderr)
  return code


def _overrides(
  rest: Sequence[str], parser: argparse.ArgumentParser
) -> dict[str, str]:
  """{"optimizer.learning_rate": "0.1"} from --config.KEY=VALUE or two words."""
  found, words = {}, list(rest)
  while words:
    word = words.pop(0)
    if not word.startswith("--config."):
      parser.error(f"unrecognised argument: {word}")
    key, equals, value = word.removeprefix("--config.").partition("=")
    if not equals and not words:
      parser.error(f"{word} needs a value: {word}=VALUE")
    found[key] = value if equals else words.pop(0)
  return found


def _make_parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="jaxvision",
    description="Image classification research in JAX: every model a config.",
    epilog="JAXVISION_TRACEBACK=1 in the environment shows where in the code "
    "an error comes from.",
    allow_abbrev=False,
  )
  commands = parser.add_subparsers(dest="command", required=True)
  _add_train(commands)
  _add_evaluate(commands)
  _add_predict(commands)
  _add_report(commands)
  _add_models(commands)
  _add_data(commands)
  return parser


def _add(commands, name: str, run: Callable, text: str, epilog: str = ""):
  command = commands.add_parser(
    name, help=text, description=text, epilog=epilog, allow_abbrev=False
  )
  command.set_defaults(run=run)
  return command


def _add_train(commands) -> None:
  command = _add(
    commands,
    "train",
    _train,
    "train what a config says, or go on with it",
    "Any key of the config can be set: --config.optimizer.learning_rate=0.1",
  )
  command.add_argument("--config", required=True, metavar="FILE.py[:ARGUMENT]")
  command.add_argument("--workdir", required=True, help="the run's folder")
  command.add_argument(
    "--overfit",
    type=int,
    default=0,
    metavar="N",
    help="learn only N examples, by heart, to see that the model can",
  )


def _train(options: argparse.Namespace) -> None:
  from jaxvision import startup, training

  startup.tune_cpu()
  with _interrupted_at_once():
    result = training.train(
      options.config,
      workdir=options.workdir,
      overrides=options.overrides,
      overfit=options.overfit,
    )
  report = pathlib.Path(options.workdir).absolute() / "report.html"
  final = result["final"]
  accuracy = ""
  if final:
    split, average, _ = final["split"].partition("_ema")
    accuracy = f", {split} accuracy {final['metrics']['top1']:.2%}"
    accuracy += " (moving average of the parameters)" if average else ""
  print(f"report: {report}{accuracy}")


@contextlib.contextmanager
def _interrupted_at_once() -> Iterator[None]:
  """Ctrl-C ends even the compiler; the training takes it over and saves."""
  before = signal.signal(signal.SIGINT, signal.SIG_DFL)
  try:
    yield
  finally:
    signal.signal(signal.SIGINT, before)


def _add_checkpoint(command: argparse.ArgumentParser) -> None:
  command.add_argument("--workdir", required=True, help="the run's folder")
  command.add_argument(
    "--checkpoint", default="last", help="last (default), best or a step"
  )


def _add_evaluate(commands) -> None:
  command = _add(
    commands, "evaluate", _evaluate, "measure a trained run on its own data"
  )
  _add_checkpoint(command)
  command.add_argument(
    "--split", default="test", choices=("train", "validation", "test")
  )
  command.add_argument("--json", action="store_true", help="print JSON")


def _evaluate(options: argparse.Namespace) -> None:
  from jaxvision import inference, startup

  startup.tune_cpu()
  run = inference.load_run(options.workdir, which=options.checkpoint)
  values = inference.evaluate(run, role=options.split).metrics
  if options.json:
    print(json.dumps({"step": run.step, "split": options.split, **values}))
    return
  print(f"step {run.step}, {options.split}")
  for name, value in values.items():
    print(f"  {name:<18} {value:.4f}")


def _add_predict(commands) -> None:
  command = _add(
    commands, "predict", _predict, "name what is in images, with a trained run"
  )
  _add_checkpoint(command)
  command.add_argument("--json", action="store_true", help="print JSON")
  command.add_argument("--top", type=int, default=5, help="classes to name")
  command.add_argument(
    "images", nargs="+", metavar="IMAGE", help="files, or folders of them"
  )


def _predict(options: argparse.Namespace) -> None:
  from jaxvision import data, inference, startup

  startup.tune_cpu()
  images = data.list_images(options.images)
  run = inference.load_run(options.workdir, which=options.checkpoint)
  found = inference.predict(run, images, top=options.top)
  if options.json:
    print(json.dumps(found, ensure_ascii=False, indent=1))
  else:
    for each in found:
      _print_prediction(each)
  unreadable = [each["image"] for each in found if "error" in each]
  if unreadable:
    raise ValueError(f"{len(unreadable)} of {len(found)} could not be read")


def _print_prediction(prediction: dict) -> None:
  print(prediction["image"])
  if "error" in prediction:
    print(f"  {prediction['error']}")
  for each in prediction.get("top", ()):
    print(f"  {each['probability']:7.2%}  {each['class']}")


def _add_report(commands) -> None:
  command = _add(
    commands,
    "report",
    _report,
    "write report.html for each run, and a comparison of several",
  )
  command.add_argument("runs", nargs="+", metavar="RUN", help="their folders")
  command.add_argument(
    "--output",
    default="comparison.html",
    help="the comparison, where there are several (comparison.html)",
  )


def _report(options: argparse.Namespace) -> None:
  from jaxvision import analysis

  for run in options.runs:
    print(f"report: {analysis.write_report(run)}")
  if len(options.runs) > 1:
    path = analysis.write_comparison(options.runs, options.output)
    print(f"comparison: {path}")


def _add_models(commands) -> None:
  command = _add(
    commands, "models", _models, "list the models, or the layers of one"
  )
  command.add_argument(
    "pattern", nargs="?", default="*", help="as in 'resnet*' (all), or a name"
  )
  for name, text in _OF_LAYERS.items():
    command.add_argument(f"--{name}", type=int, metavar="N", help=text)


def _models(options: argparse.Namespace) -> None:
  from jaxvision import models, spelling, tables

  names = models.names(options.pattern)
  if not names:
    raise ValueError(spelling.unknown("model", options.pattern, models.names()))
  wanted = {name: getattr(options, name) for name in _OF_LAYERS}
  wanted = {k: number for k, number in wanted.items() if number is not None}
  if names == [options.pattern]:
    tables.print_layers(options.pattern, **wanted)
  elif wanted:
    raise ValueError(f"--{min(wanted)} needs one model, not {options.pattern}")
  else:
    tables.print_models(names)


def _add_data(commands) -> None:
  data = _add(commands, "data", None, "list, inspect or prepare data sets")
  actions = data.add_subparsers(dest="action", required=True)
  listing = _add(actions, "list", _data_list, "what is there, what can be made")
  inspect = _add(
    actions, "inspect", _data_inspect, "counts per class and a contact sheet"
  )
  prepare = _add(actions, "prepare", _data_prepare, "make a data set")
  for command in (listing, inspect, prepare):
    command.add_argument(
      "--data_dir", help="$TFDS_DATA_DIR, or ~/tensorflow_datasets"
    )
  inspect.add_argument("name", help="NAME[:VERSION], a folder or an .npz file")
  inspect.add_argument("--split", help="as in 'train[:80%%]'; all by default")
  inspect.add_argument(
    "--sheet", default="contact_sheet.png", help="the picture to write"
  )
  prepare.add_argument("name", help="as `jaxvision data list` shows it")


def _data_list(options: argparse.Namespace) -> None:
  from jaxvision import data

  for each in data.list_datasets(options.data_dir):
    splits = ", ".join(f"{k} {v:,}" for k, v in each.splits.items())
    state = each.remedy or f"{splits}; {each.num_bytes / 2**20:,.1f} MiB"
    print(f"{each.name:<20} {each.version:<8} {state}")


def _data_prepare(options: argparse.Namespace) -> None:
  from jaxvision import data

  print(f"prepared: {data.prepare(options.name, data_dir=options.data_dir)}")


def _data_inspect(options: argparse.Namespace) -> None:
  from jaxvision import analysis, data
  from jaxvision.configs import default

  config = default.get_config().data
  config.kind = _kind(options.name)
  config.name, config.data_dir = options.name, options.data_dir
  splits = [options.split] if options.split else list(data.split_sizes(config))
  for summary in data.inspect(config, splits=splits):
    _print_summary(summary)
  shown = data.open_dataset(config, splits[0])
  images, titles = data.sample(shown, per_class=8, channels=config.channels)
  analysis.write_contact_sheet(images, titles, options.sheet)
  print(f"contact sheet of {splits[0]}: {options.sheet}")


def _kind(name: str) -> str:
  if pathlib.Path(name).is_dir():
    return "folder"
  return "npz" if name.endswith(".npz") else "tfds"


def _print_summary(summary) -> None:
  sizes = ", ".join(f"{h}x{w} ({n})" for (h, w), n in summary.sizes.items())
  print(f"{summary.split}: {summary.num_examples:,} images, {sizes}")
  for name, count in summary.counts.items():
    print(f"  {count:>8,}  {name}")
  for name, reason in summary.unreadable.items():
    print(f"  unreadable: {name}: {reason}")

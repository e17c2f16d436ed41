"""How a command is declared."""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any

from jaxvision.files import paths

SOURCE_OF_DATA = (
  "NAME[:VERSION] of TFDS, a folder of images or of tar shards, an .npz file "
  "or FILE.py:FUNCTION"
)


def add(
  commands, name: str, run: Callable | None, text: str, *, epilog: str = ""
) -> argparse.ArgumentParser:
  """Returns a new command.

  Args:
    commands: where it is added, from `add_subparsers`.
    name: of the command.
    run: takes the parsed options; None where it has commands of its own.
    text: one line for the help.
    epilog: what the help ends with.
  """
  command = commands.add_parser(
    name, help=text, description=text, epilog=epilog, allow_abbrev=False
  )
  command.set_defaults(run=run)
  return command


def overrides(
  rest: Sequence[str], parser: argparse.ArgumentParser
) -> dict[str, str]:
  """{"optimizer.learning_rate": "0.1"} from --config.KEY=VALUE or two words.

  Args:
    rest: the words that no option has taken.
    parser: shows its usage and ends where they are something else.
  """
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


def add_run(
  command: argparse.ArgumentParser, *, required: bool, text: str
) -> None:
  """Declares a run and one of its checkpoints; `text` is for the help."""
  command.add_argument(
    "--workdir", type=paths.expanded, required=required, help=text
  )
  command.add_argument(
    "--checkpoint", default="last", help="last (default), best or a step"
  )
  add_trust(command)


def add_trust(command: argparse.ArgumentParser) -> None:
  """Declares that code in the folder of a run may be run; `cli` reads it."""
  command.add_argument(
    "--trust",
    action="store_true",
    help="run code of a folder that was never typed on this account",
  )


def add_data_changed(command: argparse.ArgumentParser) -> None:
  """Declares what to do about data other than the run was trained on."""
  command.add_argument(
    "--data-changed",
    default="refuse",
    choices=("refuse", "accept"),
    help="what to do when the data are not those that the run began with "
    "(refuse)",
  )


def add_source(command: argparse.ArgumentParser) -> None:
  """Declares where a trained network comes from: a run, or weights."""
  add_run(command, required=False, text="the folder of a run")
  command.add_argument(
    "--weights",
    type=paths.expanded,
    help="in place of a run: a file, or its address",
  )
  command.add_argument("--model", help="of the weights: its name")
  command.add_argument(
    "--image_size",
    type=size,
    metavar="N|HxW",
    help="for the weights, in pixels",
  )
  command.add_argument(
    "--class_names",
    type=paths.expanded,
    metavar="FILE",
    help="of the weights: a name on each line, in the order of the logits",
  )
  command.add_argument(
    "--preprocessing",
    metavar="LABEL",
    help="of images for the weights, in place of what the file implies: as for "
    "a published file (`jaxvision weights list`), or torchvision, timm, ...",
  )
  for name, text in (
    ("mean", "one number or three, as in 0.485,0.456,0.406"),
    ("std", "likewise"),
  ):
    command.add_argument(
      f"--{name}", type=_numbers, metavar="NUMBERS", help=f"likewise: {text}"
    )
  command.add_argument(
    "--crop_fraction",
    type=float,
    metavar="SHARE",
    help="likewise: of the resized image, cut out of its middle",
  )
  command.add_argument(
    "--interpolation", metavar="METHOD", help="likewise: of resizing"
  )


_OF_WEIGHTS = (
  "model",
  "image_size",
  "class_names",
  "preprocessing",
  "mean",
  "std",
  "crop_fraction",
  "interpolation",
)


def size(text: str) -> tuple[int, int]:
  """(height, width) of "224" or "192x224"."""
  match = re.fullmatch(r"([1-9]\d{0,5})(?:x([1-9]\d{0,5}))?", text)
  if match is None:
    raise argparse.ArgumentTypeError(
      f"{text!r} is no size; write 224, or HEIGHTxWIDTH as in 192x224"
    )
  return int(match[1]), int(match[2] or match[1])


def _numbers(text: str) -> tuple[float, ...]:
  try:
    numbers = tuple(map(float, text.split(",")))
  except ValueError:
    numbers = ()
  if len(numbers) not in (1, 3):
    raise argparse.ArgumentTypeError(
      f"{text!r}: write one number or three, as in 0.485,0.456,0.406"
    )
  return numbers


def open_source(options: argparse.Namespace) -> Any:
  """Returns the `inference.TrainedRun` that the options name.

  Raises:
    ValueError: neither a run nor weights with their model, or both.
  """
  if bool(options.workdir) == bool(options.weights):
    raise ValueError("say either --workdir RUN, or --weights FILE --model NAME")
  if options.workdir:
    from jaxvision import inference

    _refuse_of_weights(options)
    return inference.load_run(options.workdir, which=options.checkpoint)
  if options.checkpoint != "last":
    raise ValueError("--checkpoint is of a run: say --workdir RUN")
  if not options.model:
    raise ValueError(
      "--weights needs --model NAME; `jaxvision weights inspect "
      f"{options.weights}` says which it is"
    )
  from jaxvision.inference import pretrained

  return pretrained.open_weights(
    options.weights,
    options.model,
    image_size=options.image_size,
    names=options.class_names,
    like=options.preprocessing or "",
    mean=options.mean,
    std=options.std,
    crop_fraction=options.crop_fraction,
    interpolation=options.interpolation,
  )


def _refuse_of_weights(options: argparse.Namespace) -> None:
  given = [each for each in _OF_WEIGHTS if getattr(options, each) is not None]
  if given:
    raise ValueError(
      f"--{given[0]} is of --weights; a run has its own in config.json: leave "
      "it out"
    )

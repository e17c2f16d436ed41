"""Images as arguments of commands, and their predictions on the screen."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvision import files
from jaxvision.files import paths
from jaxvision.processes import console

TOP = 5  # classes of an image


def add_images(command: argparse.ArgumentParser) -> None:
  """Declares the images of a command."""
  command.add_argument(
    "images",
    type=paths.expanded,
    nargs="+",
    metavar="IMAGE",
    help="image files, or folders of them",
  )


def say(prediction: Mapping[str, Any]) -> None:
  """Prints the predictions of an image, or why it cannot be read."""
  console.say(files.printable(prediction["image"]))
  if "error" in prediction:
    console.say(f"  {files.printable(prediction['error'])}")
  listed = prediction.get("probabilities", prediction.get("top", ()))
  for each in listed:
    name = files.printable(name_of(each))
    if "probability" in each:
      console.say(f"  {each['probability']:7.2%}  {name}")
    else:
      console.say(f"  {each['value']:8.5g}  {name}")


def name_of(predicted: Mapping[str, Any]) -> str:
  """The class or the caption that is predicted."""
  return predicted["caption" if "caption" in predicted else "class"]


def check_readable(found: Sequence[Mapping[str, Any]]) -> None:
  """Raises ValueError if an image has an error."""
  unreadable = sum("error" in each for each in found)
  if unreadable:
    raise ValueError(f"{unreadable} of {len(found)} could not be read")

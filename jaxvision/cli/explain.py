"""The command `jaxvision explain`."""

import argparse
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxvision import files, lookup
from jaxvision.cli import parsing, predictions
from jaxvision.files import paths
from jaxvision.processes import console


def add(commands) -> None:
  """Declares the command."""
  command = parsing.add(
    commands,
    "explain",
    _explain,
    "show where a network looks: heat maps of a class over images",
    examples=(
      "explain --workdir runs/mlp path/to/images",
      "explain --workdir runs/images --method 'gradcam,rise' cat.jpg",
      "explain --weights resnet50.pth --model resnet50 --target tabby cat.jpg",
    ),
    note="The methods are in docs/interpretation.md. The error of a method "
    "that does not fit lists those that fit.",
  )
  parsing.add_source(command)
  command.add_argument(
    "--method",
    action="append",
    default=[],
    metavar="METHODS",
    help='one or more, as in "gradcam,smoothgrad(samples=20)"; may be '
    "repeated (the first of rollout, gradcam and gradient that fits)",
  )
  command.add_argument(
    "--target",
    dest="of_class",
    metavar="CLASS",
    help="name or number of the class to explain (the predicted class)",
  )
  command.add_argument(
    "--output",
    type=paths.expanded,
    default="explanations",
    metavar="FOLDER",
    help="folder of the page and the pictures (explanations)",
  )
  command.add_argument(
    "--top",
    type=parsing.positive,
    default=predictions.TOP,
    metavar="N",
    help=f"number of classes per image ({predictions.TOP})",
  )
  command.add_argument(
    "--json", action="store_true", help="print the files and classes as JSON"
  )
  predictions.add_images(command)


def _explain(options: argparse.Namespace) -> None:
  from jaxvision import data, inference, report
  from jaxvision.xla import settings

  settings.tune_cpu()
  images = data.list_images(options.images)
  methods = tuple(
    parsing.resolved(call)
    for text in options.method
    for call in lookup.split(text)
  )
  run = parsing.open_source(options)
  found = inference.explain(
    run, images, methods=methods, target=options.of_class, top=options.top
  )
  name = options.model if options.weights else options.workdir
  used = next((tuple(each.maps) for each in found if each.maps), ())
  pictures = report.write_explanations(
    found,
    options.output,
    title=str(name),
    note=inference.explanation.note(used),
  )
  page = pathlib.Path(options.output, report.EXPLANATIONS)
  records = [_record(each, pictures) for each in found]
  if options.json:
    about = {"page": str(page), "images": records}
    console.say(files.to_json(about, indent=1))
  else:
    for each in records:
      predictions.say(each)
      _say_picture(each)
    console.say(f"page: {files.printable(str(page))}")
  predictions.check_readable(records)


def _record(each: Any, pictures: Mapping[str, pathlib.Path]) -> dict[str, Any]:
  """What is printed about an image."""
  if each.error:
    return {"image": each.path, "error": each.error}
  return {
    "image": each.path,
    "picture": str(pictures[each.path]),
    "target": each.target,
    "methods": list(each.maps),
    "top": list(each.top),
  }


def _say_picture(record: Mapping[str, Any]) -> None:
  if "error" in record:
    return
  methods, target = ", ".join(record["methods"]), record["target"]
  picture = files.printable(record["picture"])
  console.say(f"  {methods} of {files.printable(target)}: {picture}")

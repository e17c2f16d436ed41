"""The commands `jaxvision evaluate`, `predict` and `report`."""

import argparse
import sys
from typing import Any

from jaxvision import files
from jaxvision.cli import grids, parsing, predictions
from jaxvision.cli import prediction_rows as table
from jaxvision.files import paths, spreadsheets
from jaxvision.processes import console

ROLES = ("train", "validation", "test")


def add(commands) -> None:
  """Declares the three commands."""
  _add_evaluate(commands)
  _add_predict(commands)
  _add_report(commands)


def _add_evaluate(commands) -> None:
  command = parsing.add(
    commands,
    "evaluate",
    _evaluate,
    "evaluate a trained run on its own data, or a network on other data",
    examples=(
      "evaluate --workdir runs/mlp --split validation --checkpoint best",
      "evaluate --workdir runs/mlp --data path/to/images --split test --json",
      "evaluate --weights resnet50.pth --model resnet50 --data imagenet2012",
    ),
  )
  parsing.add_source(command)
  command.add_argument(
    "--data",
    type=paths.expanded,
    help=f"instead of the run's own data: {parsing.SOURCE_OF_DATA}",
  )
  command.add_argument(
    "--split",
    help="train, validation or test (default) of the run's own data; any split "
    "of --data, as 'test[:50%%]'",
  )
  command.add_argument(
    "--suite",
    metavar="CALL",
    help="instead of the task: an evaluation on its own form of --data, "
    "backgrounds, backgrounds_challenge or explanations, with options as in "
    "\"backgrounds(split='train')\"",
  )
  parsing.add_data_changed(command)
  parsing.add_tta(command)
  command.add_argument("--json", action="store_true", help="print JSON")


def _evaluate(options: argparse.Namespace) -> None:
  from jaxvision import data, inference
  from jaxvision.inference import pretrained
  from jaxvision.xla import settings

  settings.tune_cpu()
  if options.suite:
    return _evaluate_suite(options)
  options.split = options.split or "test"
  if options.data is None:
    _check_own_data(options)
  elif options.data_changed != "refuse":
    raise ValueError("--data-changed is for the run's own data, not for --data")
  run = parsing.open_source(options)
  chosen = inference.views.choose(run, options.tta)
  if options.data is None:
    values = inference.evaluate(
      run,
      role=options.split,
      data_changed=options.data_changed,
      tta=options.tta,
    ).metrics
  else:
    kind, name = data.kind_of(options.data)
    values = pretrained.evaluate(
      run, kind, name, options.split, tta=options.tta
    ).metrics
  of_data = {} if options.data is None else {"data": options.data}
  if options.json:
    step = {"step": run.step} if options.workdir else {}
    about = {**step, **of_data, "split": options.split, **_about(chosen)}
    console.say(files.to_json({**about, **values}))
    return
  what = f"step {run.step}" if options.workdir else options.model
  console.say(", ".join([what, *of_data.values(), options.split]))
  if chosen:
    console.say(inference.views.describe(chosen))
  for name, value in values.items():
    console.say(f"  {name:<18} {value:.4f}")


def _about(chosen: Any) -> dict[str, Any]:
  """The fields of JSON about the views; none without views."""
  if not chosen:
    return {}
  return {"tta": ",".join(chosen.calls), "views": chosen.count}


def _evaluate_suite(options: argparse.Namespace) -> None:
  from jaxvision import inference
  from jaxvision.evaluation import suites

  if options.data is None or options.split or options.data_changed != "refuse":
    raise ValueError(
      "--suite needs --data, and neither --split nor --data-changed; options "
      "of the suite are written as in --suite \"backgrounds(split='train')\""
    )
  if options.tta:
    raise ValueError(
      f"--tta {options.tta} is for the evaluation of the task, and --suite "
      "has its own; remove one of them"
    )
  if options.crop_fraction is not None or options.interpolation is not None:
    raise ValueError(
      "--suite resizes images to the input of the network without a crop; "
      "remove --crop_fraction and --interpolation"
    )
  call = suites.with_data(parsing.resolved(options.suite), options.data)
  found = inference.evaluate_suite(parsing.open_source(options), call)
  if options.json:
    about = {"suite": options.suite, "data": options.data}
    console.say(files.to_json({**about, **found.metrics, **found.details}))
    return
  console.say(f"{options.suite}, {files.printable(options.data)}")
  for line in grids.lines(found.metrics):
    console.say(f"  {files.printable(line)}")
  for name, value in found.details.items():
    console.say(f"  {name:<34} {files.printable(str(value))}")


def _check_own_data(options: argparse.Namespace) -> None:
  if options.weights:
    raise ValueError("--weights has no data of its own; give --data SOURCE")
  if options.split not in ROLES:
    raise ValueError(
      f"--split {options.split} is not a split of the run; give one of "
      f"{', '.join(ROLES)}, or --data SOURCE for other data"
    )


def _add_predict(commands) -> None:
  command = parsing.add(
    commands,
    "predict",
    _predict,
    "classify or caption images with a run or weights",
    examples=(
      "predict --workdir runs/mlp image.png",
      "predict --workdir runs/mlp --csv-wide --probabilities path/to/images",
      "predict --weights resnet50.pth --model resnet50 --top 3 image.png",
    ),
  )
  parsing.add_source(command)
  form = command.add_mutually_exclusive_group()
  form.add_argument("--json", action="store_true", help="print JSON")
  form.add_argument(
    "--csv-wide",
    action="store_true",
    help="print CSV, a row per image: image,class_1,probability_1,...,error; "
    "caption,probability of a captioner; a column per number of a regression",
  )
  form.add_argument(
    "--csv",
    action="store_true",
    help="print CSV, a row per class of an image: "
    "image,rank,class,probability,error",
  )
  classes = command.add_mutually_exclusive_group()
  classes.add_argument(
    "--top",
    type=parsing.positive,
    metavar="N",
    help=f"number of classes per image ({predictions.TOP}); not of captions: "
    "an image has one",
  )
  classes.add_argument(
    "--probabilities",
    action="store_true",
    help="instead of the best classes: the probabilities of all, in the order "
    "of the model; with --csv-wide a column per class",
  )
  command.add_argument(
    "--labels",
    type=paths.expanded,
    metavar="FILE",
    help="for a captioner: classify by the probability of these captions, one "
    "text per line",
  )
  parsing.add_tta(command)
  predictions.add_images(command)


def _predict(options: argparse.Namespace) -> None:
  from jaxvision import data, inference
  from jaxvision.weights import class_names
  from jaxvision.xla import settings

  settings.tune_cpu()
  if options.probabilities and options.csv:
    raise ValueError(
      "--csv has a row per rank, and --probabilities has no ranks; give "
      "--csv-wide, or --top N instead of --probabilities"
    )
  images = data.list_images(options.images)
  labels = class_names.read(options.labels) if options.labels else ()
  run = parsing.open_source(options)
  if options.top and run.task.score and not labels:
    raise ValueError(
      f"--top {options.top} is a number of classes, and {options.workdir} "
      "predicts one caption of an image; omit it, or give --labels FILE"
    )
  top = None if options.probabilities else options.top or predictions.TOP
  chosen = inference.views.choose(run, options.tta)
  found = inference.predict(
    run, images, top=top, labels=labels, tta=options.tta
  )
  if chosen:
    # A table has no place for it: its rows have the same columns as without.
    of_table = options.csv_wide or options.csv or options.json
    console.say(
      inference.views.describe(chosen),
      stream=sys.stderr if of_table else sys.stdout,
    )
  if options.json:
    found = [{**each, **_about(chosen)} for each in found]
    console.say(files.to_json(found, indent=1))
  elif options.csv_wide or options.csv:
    readable = (each for each in found if "error" not in each)
    like = next(readable, None) or inference.blank(run, top=top, labels=labels)
    rows = table.per_image if options.csv_wide else table.per_class
    text = spreadsheets.to_csv(rows(found, like=like), keep="\n\t")
    console.say(text.removesuffix("\n"))
  else:
    for each in found:
      predictions.say(each)
  predictions.check_readable(found)


def _add_report(commands) -> None:
  command = parsing.add(
    commands,
    "report",
    _report,
    "write report.html for each run or sweep, and a comparison of several runs",
    examples=(
      "report runs/mlp",
      "report runs/mlp runs/linear --output mlp_or_linear.html",
      "report runs/optimizers",
    ),
  )
  command.add_argument(
    "runs",
    type=paths.expanded,
    nargs="+",
    metavar="RUN",
    help="folders of runs, sweeps or searches",
  )
  command.add_argument(
    "--output",
    type=paths.expanded,
    default="comparison.html",
    help="the comparison of several runs (comparison.html)",
  )


def _report(options: argparse.Namespace) -> None:
  from jaxvision import report

  sweeps = [each for each in options.runs if report.is_sweep(each)]
  searches = [each for each in options.runs if report.is_search(each)]
  runs = [each for each in options.runs if each not in [*sweeps, *searches]]
  for search in searches:
    console.say(f"report: {report.write_search(search)}")
  for sweep in sweeps:
    console.say(f"report: {report.write_sweep(sweep)}")
  for run in runs:
    console.say(f"report: {report.write_report(run)}")
  if len(runs) > 1:
    path = report.write_comparison(runs, options.output)
    console.say(f"comparison: {path}")

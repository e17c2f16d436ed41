"""`jaxvision evaluate`, `predict` and `report`: what trained runs are worth."""

import argparse
import json

from jaxvision import paths
from jaxvision.commands import parsing


def add(commands) -> None:
  """Declares the three commands."""
  _add_evaluate(commands)
  _add_predict(commands)
  _add_report(commands)


def _add_evaluate(commands) -> None:
  command = parsing.add(
    commands, "evaluate", _evaluate, "measure a trained run on its own data"
  )
  parsing.add_run(command, required=True, text="the run's folder")
  command.add_argument(
    "--split", default="test", choices=("train", "validation", "test")
  )
  parsing.add_data_changed(command)
  command.add_argument("--json", action="store_true", help="print JSON")


def _evaluate(options: argparse.Namespace) -> None:
  from jaxvision import inference, startup

  startup.tune_cpu()
  run = inference.load_run(options.workdir, which=options.checkpoint)
  values = inference.evaluate(
    run, role=options.split, data_changed=options.data_changed
  ).metrics
  if options.json:
    print(json.dumps({"step": run.step, "split": options.split, **values}))
    return
  print(f"step {run.step}, {options.split}")
  for name, value in values.items():
    print(f"  {name:<18} {value:.4f}")


def _add_predict(commands) -> None:
  command = parsing.add(
    commands,
    "predict",
    _predict,
    "name what is in images, by a run or weights",
  )
  parsing.add_source(command)
  command.add_argument("--json", action="store_true", help="print JSON")
  command.add_argument("--top", type=int, default=5, help="classes to name")
  command.add_argument(
    "images",
    type=paths.expanded,
    nargs="+",
    metavar="IMAGE",
    help="files, or folders of them",
  )


def _predict(options: argparse.Namespace) -> None:
  from jaxvision import data, inference, startup

  startup.tune_cpu()
  images = data.list_images(options.images)
  run = parsing.open_source(options)
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
  command = parsing.add(
    commands,
    "report",
    _report,
    "write report.html for each run or sweep, and a comparison of several runs",
  )
  command.add_argument(
    "runs", type=paths.expanded, nargs="+", metavar="RUN", help="their folders"
  )
  command.add_argument(
    "--output",
    type=paths.expanded,
    default="comparison.html",
    help="the comparison, where there are several (comparison.html)",
  )


def _report(options: argparse.Namespace) -> None:
  from jaxvision import analysis

  sweeps = [each for each in options.runs if analysis.is_sweep(each)]
  runs = [each for each in options.runs if each not in sweeps]
  for sweep in sweeps:
    print(f"report: {analysis.write_sweep(sweep)}")
  for run in runs:
    print(f"report: {analysis.write_report(run)}")
  if len(runs) > 1:
    path = analysis.write_comparison(runs, options.output)
    print(f"comparison: {path}")

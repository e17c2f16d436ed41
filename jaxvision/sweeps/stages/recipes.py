"""The recipes of the networks of the final stage."""

import pathlib

import numpy as np

from jaxvision import config as configs
from jaxvision import files
from jaxvision.runs import search_folder, sweep_folder
from jaxvision.sweeps.stages import definition
from jaxvision.sweeps.stages.definition import Definition


def write(workdir: pathlib.Path, asked: Definition) -> list[pathlib.Path]:
  """Writes recipes/LABEL.py for each network of the final stage.

  A recipe is complete: it reads no file of the search and no other recipe.

  Args:
    workdir: the folder of the search.
    asked: the definition of the search, with the copies of code of the folder.

  Returns:
    The paths of the recipes, in the order of the networks.
  """
  networks = search_folder.read_networks(workdir)
  values = {label: each["overrides"] for label, each in networks.items()}
  experiment = definition.final_experiment(asked, values)
  sweep = sweep_folder.read_sweep(
    workdir / search_folder.FINAL, with_runs=False
  )
  folder = workdir / "recipes"
  folder.mkdir(exist_ok=True)
  written = []
  for label, overrides in values.items():
    config = configs.load(
      experiment.recipe,
      {**experiment.overrides, **overrides},
      copies=experiment.copies,
    )
    path = folder / f"{search_folder.file_name(label)}.py"
    about = _about(asked, label, sweep, name=path.stem)
    files.write_text(path, configs.write_recipe({label: config}, about=about))
    written.append(path)
  return written


def _about(
  asked: Definition, label: str, sweep: sweep_folder.Sweep, *, name: str
) -> str:
  """The docstring of a recipe: its origin, its result and its command."""
  results = [
    trial.value
    for trial in sweep.trials
    if trial.settings[search_folder.NETWORK] == label
    and trial.state == "complete"
  ]
  result = "no complete run"
  if results:
    spread = ""
    if len(results) > 1:
      spread = f", standard deviation {np.std(results, ddof=1):.2g}"
    result = f"mean {np.mean(results):.4g}{spread}, {len(results)} seeds"
  return (
    f"The network {label} of a search.\n\n"
    f"  jaxvision train --config {name}.py --workdir runs/{name}\n\n"
    f"Written by `jaxvision search {files.printable(asked.file)}`. "
    f"Question: {asked.experiment.question}\n"
    f"{sweep.metric} of the final stage: {result}."
  )

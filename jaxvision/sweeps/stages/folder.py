"""The definition of a search in its folder, which all its workers share."""

import dataclasses
import json
import pathlib
from typing import Any

from jaxvision import files, user_code
from jaxvision.runs import search_folder
from jaxvision.sweeps.experiment import space
from jaxvision.sweeps.stages.definition import Definition
from jaxvision.sweeps.workers import folder, opening


def claim(workdir: pathlib.Path, asked: Definition) -> Definition:
  """Writes search.json, or checks that the folder has the same search.

  Args:
    workdir: the folder of the search.
    asked: the definition of the search.

  Returns:
    The definition with the copies of code in the folder: all sweeps of the
    search use these copies.

  Raises:
    ValueError: the folder belongs to another search or to a sweep, or has code
      that this account does not trust.
  """
  if (workdir / "sweep.json").exists() or (workdir / "config.json").exists():
    raise ValueError(
      f"{workdir} is the folder of a sweep or a run; give another --workdir"
    )
  with folder.locked(workdir):
    content = _content(asked)
    if search_folder.is_search(workdir):
      found = search_folder.read_definition(workdir)
      folder.refuse_other(workdir, found, content, what="search")
    else:
      found = content
      for bundle in asked.experiment.copies.values():
        user_code.allow(bundle)
      found["code"] = user_code.write_copies(workdir, asked.experiment.copies)
      files.write_json(workdir / "search.json", found)
  experiment = opening.use_copies(asked.experiment, workdir, found)
  return dataclasses.replace(asked, experiment=experiment)


def _content(asked: Definition) -> dict[str, Any]:
  experiment = asked.experiment
  content = {
    "experiment": asked.file,
    "question": experiment.question,
    "read": experiment.read,
    "recipe": experiment.recipe,
    "overrides": experiment.overrides,
    "space": space.describe(experiment.space),
    "genotypes": {
      key: axis.genotypes for key, axis in space.find_cells(experiment.space)
    },
    "objective": dataclasses.asdict(experiment.objective),
    "pruning": experiment.pruning and dataclasses.asdict(experiment.pruning),
    "searches": [dataclasses.asdict(part) for part in asked.parts],
    "children": asked.children,
  }
  return json.loads(files.to_json(content, default=str))

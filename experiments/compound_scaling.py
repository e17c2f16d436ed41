"""Is a network better if its depth, width and resolution grow together?

  jaxvision data prepare mnist --source=package/data     # see docs/data.md
  python experiments/compound_scaling.py grid runs/scaling
  jaxvision sweep runs/scaling/grid.py --workdir runs/scaling/grid
  python experiments/compound_scaling.py family runs/scaling
  jaxvision sweep runs/scaling/comparison.py --workdir runs/scaling/comparison
  python experiments/compound_scaling.py figures runs/scaling

Tan and Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks, section 3, for any base network. A definition says what is scaled
(--definition; compound_mnist.py has the names it needs). Costs are the
multiply-accumulates of the real networks, whose layers, features and pixels are
rounded. To count a network takes a few seconds, so the first two commands count
once and write what the sweeps read.

  grid      lists the factors (alpha, beta, gamma) of depth, width and
            resolution with 2 times the cost of the base network, one for each
            different network, and writes the experiment grid.py
  family    selects the factors of the best objective, accuracy * (cost /
            target)^-0.07, on the validation split. The target is 2 times the
            base. It writes family.py, the recipes of phi = 0 to 3: "jaxvision
            train --config runs/scaling/family.py:phi2". It also writes the
            experiment comparison.py: the base, the members phi = 1 and 2, and
            networks of the same costs that are scaled in one dimension only
  figures   prints the table and the verdict. It draws curves of one dimension
            (figure 3 of the paper) and of all ways to scale (figure 8)

How to read the answer: cells are means over the seeds and half-widths of their
95 % intervals (Student's t). All networks of a seed have the same images and
the same order of images; differences are paired over the seeds. The verdict on
a member of the family is

  holds       its test accuracy is above that of each single dimension of equal
              cost, and the intervals of all three differences are above 0
  reversed    the interval of a difference is below 0
  not shown   otherwise

Costs are equal if they differ by at most 15 %. If the rounding does not allow
such a network, the member is "not comparable", unless it is reversed. If the
grid selects one dimension only, the claim does not hold. The grid selects on
the validation split, and the comparison tests on other images. This rule was
written down before the runs. All networks have the options of training of the
base network, so a large one may need more epochs than it gets.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import compound_figures
import compound_networks
import numpy as np
from compound_figures import Row
from compound_networks import Plan

from jaxvision import files
from jaxvision.runs import sweep_folder
from jaxvision.sweeps.search import compound_scaling
from jaxvision.sweeps.search.compound_scaling import Scaling

QUESTION = (
  "Is a network better if its depth, width and resolution grow together?"
)
DEFINITION = pathlib.Path(__file__).with_name("compound_mnist.py")
RATIO = 2.0  # of the cost of phi + 1 to that of phi
MEMBERS = 4  # of the family: phi = 0 to 3
COMPARED = 3  # of them are trained: phi = 0 to 2
_GRID_QUESTION = "Which factors of depth, width and resolution are best?"
_GRID_READ = (
  "`python experiments/compound_scaling.py family FOLDER` prints the "
  "objective, which corrects for small differences of the costs."
)
_READ = (
  "Compound scaling is better if its test accuracy is above that of each "
  "single dimension of equal cost, and the intervals of the paired differences "
  "are above 0: `python experiments/compound_scaling.py figures FOLDER`."
)


def plan_grid(definition, *, band: float, step: float) -> Plan:
  """Returns the different networks of the grid."""
  macs = compound_networks.count_macs(definition)
  found = compound_scaling.distinct(
    compound_scaling.candidates(macs, ratio=RATIO, band=band, step=step),
    lambda each: compound_networks.identify(definition, each),
    ratio=RATIO,
  )
  return {str(each): _network(macs, each) for each in found}


def plan_comparison(definition, coefficients: Scaling) -> Plan:
  """Returns the base, and compound and single scalings at equal costs."""
  macs = compound_networks.count_macs(definition)
  base, *members = compound_scaling.family(coefficients, members=COMPARED)
  plan = {"phi 0: base": _network(macs, base)}
  for phi, member in enumerate(members, start=1):
    plan[f"phi {phi}: {compound_figures.COMPOUND}"] = _network(macs, member)
    target = macs(*dataclasses.astuple(member))
    for name in compound_figures.DIMENSIONS:
      alone = compound_scaling.single(macs, dimension=name, target=target)
      plan[f"phi {phi}: {name}"] = _network(macs, alone)
  return plan


def _network(macs: compound_scaling.Macs, scaling: Scaling) -> dict[str, Any]:
  return {
    "scaling": dataclasses.asdict(scaling),
    "macs": macs(*dataclasses.astuple(scaling)),
  }


def read_rows(workdir: pathlib.Path, plan: Plan) -> list[Row]:
  """Returns the networks of a finished sweep, in the order of the plan.

  Raises:
    ValueError: a run is not complete, or the run of a network has another cost
      than the plan.
  """
  runs: dict[str, list[sweep_folder.Trial]] = {label: [] for label in plan}
  for trial in sweep_folder.read_sweep(workdir).trials:
    runs[trial.settings["scaling"]].append(trial)
  return [_row(label, plan[label], trials) for label, trials in runs.items()]


def _row(
  label: str, network: dict[str, Any], trials: Sequence[sweep_folder.Trial]
) -> Row:
  states = {trial.state for trial in trials}
  if states != {"complete"}:
    raise ValueError(
      f"the runs of {label!r} are {', '.join(sorted(states)) or 'missing'}; "
      "finish the sweep first"
    )
  trials = sorted(trials, key=lambda trial: trial.settings["seed"])
  for trial in trials:
    flops = trial.run.result.get("flops_per_image")
    if flops is not None and round(flops / 2) != network["macs"]:
      raise ValueError(
        f"{label!r} has {flops / 2:,.0f} multiply-accumulates in its run and "
        f"{network['macs']:,} in the plan; image_size() of the definition must "
        "agree with the transforms of scale()"
      )
  return Row(
    label,
    Scaling(**network["scaling"]),
    network["macs"],
    np.array([trial.value for trial in trials]),
    np.array([_test_accuracy(trial) for trial in trials]),
  )


def _test_accuracy(trial: sweep_folder.Trial) -> float:
  return trial.run.result["final"]["metrics"]["top1"]


def write_grid(
  definition, workdir: pathlib.Path, *, band: float, step: float, seeds: int
) -> None:
  """Writes the experiment of the grid and its plan."""
  plan = plan_grid(definition, band=band, step=step)
  _write(
    definition, workdir / "grid", plan, _GRID_QUESTION, _GRID_READ, seeds=seeds
  )


def write_family(definition, workdir: pathlib.Path, *, seeds: int) -> None:
  """Selects the coefficients; writes the family and the comparison."""
  rows = read_rows(workdir / "grid", files.read_json(workdir / "grid.json"))
  base = compound_networks.count_macs(definition)(1.0, 1.0, 1.0)
  target = RATIO * base
  print(compound_figures.grid_table(rows, target=target))
  chosen = compound_figures.best(rows, target=target).scaling
  print(f"selected: {chosen}")
  members = compound_scaling.family(chosen, members=MEMBERS)
  text = compound_networks.family_text(
    definition,
    {f"phi{phi}": each for phi, each in enumerate(members)},
    about=f"The family phi = 0 to {MEMBERS - 1} of {chosen}.",
  )
  files.write_text(workdir / "family.py", text)
  print(f"recipes: {workdir / 'family.py'}")
  plan = plan_comparison(definition, chosen)
  _write(definition, workdir / "comparison", plan, QUESTION, _READ, seeds=seeds)


def _write(
  definition,
  path: pathlib.Path,
  plan: Plan,
  question: str,
  read: str,
  *,
  seeds: int,
) -> None:
  """Writes an experiment PATH.py and its plan PATH.json."""
  path.parent.mkdir(parents=True, exist_ok=True)
  files.write_json(path.with_suffix(".json"), plan)
  text = compound_networks.experiment_text(
    definition, plan, question=question, read=read, seeds=seeds
  )
  files.write_text(path.with_suffix(".py"), text)
  for label, network in plan.items():
    print(f"{network['macs'] / 1e6:8.2f} MMACs  {label}")
  print(f"{len(plan)} networks with {seeds} seeds each; run them:")
  print(f"  jaxvision sweep {path}.py --workdir {path}")


def write_figures(workdir: pathlib.Path) -> None:
  """Prints the table and the verdicts, and draws the figures."""
  plan = files.read_json(workdir / "comparison.json")
  rows = read_rows(workdir / "comparison", plan)
  print(compound_figures.table(rows))
  for member, verdict in compound_figures.judge(rows).items():
    print(f"{member}: {verdict}")
  for name, draw in (
    ("single_dimensions.png", compound_figures.draw_singles),
    ("compound_scaling.png", compound_figures.draw_comparison),
  ):
    draw(rows).savefig(workdir / name, dpi=110)
    print(f"figure: {workdir / name}")


def main(arguments: Sequence[str] | None = None) -> None:
  """Runs a step of the study."""
  options = _parser().parse_args(arguments)
  workdir = options.workdir.absolute()
  if options.command == "figures":
    write_figures(workdir)
    return
  definition = compound_networks.open_definition(options.definition)
  if options.command == "grid":
    write_grid(
      definition,
      workdir,
      band=options.band,
      step=options.step,
      seeds=options.seeds,
    )
  else:
    write_family(definition, workdir, seeds=options.seeds)


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(description=QUESTION)
  commands = parser.add_subparsers(dest="command", required=True)
  for name, seeds in (("grid", 2), ("family", 5), ("figures", 0)):
    command = commands.add_parser(name)
    command.add_argument("workdir", type=pathlib.Path, help="of the study")
    if not seeds:
      continue
    command.add_argument("--definition", type=pathlib.Path, default=DEFINITION)
    command.add_argument(
      "--seeds", type=int, default=seeds, help=f"of the sweep ({seeds})"
    )
    if name == "grid":
      command.add_argument(
        "--band",
        type=float,
        default=0.1,
        help="largest difference of the ratio of costs from 2 (0.1)",
      )
      command.add_argument(
        "--step", type=float, default=0.1, help="of the factors (0.1)"
      )
  return parser


if __name__ == "__main__":
  main()

"""The record of a claim, which each script of this folder writes.

A script has a `Claim`, a rule in its docstring that was written before the
runs, and a function that measures. `run` calls it and writes two files of the
script's name in the folder of results: a JSON record and a picture. gallery.py
makes pages of the records.
"""

import argparse
import dataclasses
import json
import pathlib
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

FOLDER = pathlib.Path(__file__).parent
RESULTS = FOLDER / "results"
VERDICTS = (
  "holds",
  "holds in part",
  "not at this scale",
  "does not hold",
)


@dataclasses.dataclass(frozen=True)
class Claim:
  """What a paper or a lecture says.

  Attributes:
    sentence: the claim in our words.
    source: the paper or lecture, with its table or figure.
    published: the published value; "" if there is none.
    data: the data of our experiment.
    untested: what the experiment does not show.
  """

  sentence: str
  source: str
  published: str
  data: str
  untested: str


@dataclasses.dataclass(frozen=True)
class Finding:
  """What an experiment found.

  Attributes:
    ours: our values, with their intervals.
    verdict: one of VERDICTS, by the rule of the script.
    seeds: number of seeds; 0 if there is no chance.
    figure: a matplotlib figure.
  """

  ours: str
  verdict: str
  seeds: int
  figure: Any


def run(
  script: str,
  claim: Claim,
  measure: Callable[..., Finding],
  arguments: Sequence[str] | None = None,
  *,
  of_sweep: bool = False,
  before: Sequence[str] = (),
) -> None:
  """The command line of a script: measures, and writes the record.

  Args:
    script: the script's `__file__`.
    claim: of the script.
    measure: (quick) -> finding; if the script judges runs, (folder) -> finding.
    arguments: of the command line; None for those of the process.
    of_sweep: whether the script judges the runs of a sweep that it defines.
    before: commands that make the runs which the script judges, with {runs} for
      their folder.

  Raises:
    ValueError: the verdict is not one of VERDICTS.
  """
  path = pathlib.Path(script)
  parser = argparse.ArgumentParser(description=claim.sentence)
  judges = of_sweep or bool(before)
  if judges:
    parser.add_argument("runs", type=pathlib.Path, help="folder of the runs")
  else:
    parser.add_argument(
      "--quick", action="store_true", help="fewer repetitions, as a check"
    )
  parser.add_argument(
    "--output",
    type=pathlib.Path,
    default=RESULTS,
    help="folder of the record and the picture (results)",
  )
  options = parser.parse_args(arguments)
  start = time.monotonic()
  finding = measure(options.runs if judges else options.quick)
  if finding.verdict not in VERDICTS:
    raise ValueError(
      f"the verdict {finding.verdict!r} is not one of {', '.join(VERDICTS)}"
    )
  # Runs that are judged took their own time.
  seconds = seconds_of(options.runs) if judges else 0.0
  seconds = seconds or time.monotonic() - start
  record = {
    **dataclasses.asdict(claim),
    "script": path.name,
    "ours": finding.ours,
    "verdict": finding.verdict,
    "seeds": finding.seeds,
    "seconds": round(seconds, 1),
    "commands": commands(path.stem, of_sweep=of_sweep, before=before),
  }
  options.output.mkdir(parents=True, exist_ok=True)
  text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
  (options.output / f"{path.stem}.json").write_text(text, "utf-8")
  finding.figure.savefig(options.output / f"{path.stem}.png", dpi=100)
  print(f"{path.stem}: {finding.verdict}: {finding.ours}")


def commands(
  name: str,
  *,
  of_sweep: bool,
  before: Sequence[str] = (),
  runs: pathlib.Path | None = None,
) -> list[str]:
  """The commands that measure the claim of a script.

  Args:
    name: of the script.
    of_sweep, before: as in `run`.
    runs: the folder of the runs; None for runs/claims/NAME.
  """
  script, folder = f"experiments/papers/{name}.py", f"runs/claims/{name}"
  folder = shlex.quote(str(runs)) if runs else folder
  if of_sweep:
    before = (f"jaxvision sweep {script} --workdir {{runs}} --vectorize auto",)
  last = f"python {script}" + f" {folder}" * bool(before)
  return [*(each.format(runs=folder) for each in before), last]


def seconds_of(workdir: pathlib.Path) -> float:
  """Returns the sum of the seconds of all runs in a folder."""
  results = (json.loads(p.read_text()) for p in workdir.rglob("result.json"))
  return sum(each.get("seconds", 0.0) for each in results)


def verdict(parts: Sequence[bool]) -> str:
  """Returns "holds" if all parts of a claim do, "holds in part" if some do."""
  if all(parts):
    return "holds"
  return "holds in part" if any(parts) else "does not hold"


def mean_and_half(values: Sequence[float]) -> tuple[float, float]:
  """Returns the mean and the half-width of its 95 % interval (Student's t)."""
  from jaxvision.report import interval

  array = np.asarray(values, float)
  return float(array.mean()), interval(array)


def draw_means(
  axes: Any,
  x: Sequence[float],
  samples: Iterable[Sequence[float]],
  **style: Any,
) -> None:
  """Draws the mean of each sample over x, with its 95 % interval.

  Args:
    axes: of matplotlib.
    x: the place of each sample.
    samples: values by seed.
    **style: of `axes.errorbar`.
  """
  means, halves = zip(*map(mean_and_half, samples), strict=True)
  axes.errorbar(x, means, halves, **style)


def figure(
  columns: int = 1, *, width: float = 4.0, height: float = 3.0
) -> tuple[Any, Sequence[Any]]:
  """Returns a matplotlib figure, and its axes in one row."""
  import matplotlib.figure

  made = matplotlib.figure.Figure(
    figsize=(width * columns, height), layout="constrained"
  )
  return made, np.atleast_1d(made.subplots(1, columns))

"""Tiny searches whose children are not trained: their values are a formula."""

import json
import pathlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxvision import sweeps

ARCH = "model.options.arch"
METRIC = "validation/top1"
_RECIPE = """
from jaxvision.configs import default


def get_config():
  config = default.get_config()
  config.model.name = "nasbench201"
  config.model.options = {"cells": 1, "channels": 2, "stages": 1}
  config.data.num_classes = 3
  return config
"""
_TEXT = """
from jaxvision import sweep
QUESTION = "Which cell & why?"
BASE = {recipe!r}
OVERRIDES = {{"train.duration": "4 steps"}}
SPACE = {{"model.options.arch": sweep.cells("nasbench201")}}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The highest."
SEARCHERS = ("evolution(population=3, sample=2)", "random")
SEARCH_SEEDS = 2
CHILDREN = 5
FINAL_OVERRIDES = {{"model.options.channels": 4, "train.duration": "8 steps"}}
FINAL_SEEDS = 2
"""


class Stopped(Exception):
  """The worker must stop."""


def write(folder: pathlib.Path, *, more: str = "") -> pathlib.Path:
  """Writes an experiment file and its recipe.

  Args:
    folder: of both files.
    more: text after the constants, which replaces some of them.
  """
  recipe = folder / "recipe.py"
  recipe.write_text(_RECIPE, "utf-8")
  path = folder / "asked.py"
  path.write_text(_TEXT.format(recipe=str(recipe)) + more, "utf-8")
  return path


def value_of(overrides: Mapping[str, Any]) -> float:
  """The value of a child: more convolutions are better, the seed is noise."""
  arch = overrides[ARCH]
  noise = zlib.crc32(f"{arch} {overrides['seed']}".encode()) % 1000 / 1e6
  larger = 0.1 * (overrides.get("model.options.channels", 2) > 2)
  return 0.3 + 0.1 * arch.count("conv") + larger + noise


def run(recipe: str, *, workdir, overrides, watch) -> sweeps.Outcome:
  """A fake training run: calls the watch, and writes the files of a run."""
  value = value_of(overrides)
  for step in (1, 2):
    if reason := watch(step, 2, {METRIC: value}):
      return sweeps.Outcome("pruned", reason)
  write_run(workdir, value, recipe=recipe, overrides=overrides)
  return sweeps.Outcome("complete")


def write_run(workdir: pathlib.Path, value: float, **origin: Any) -> None:
  """Writes config.json, metrics.jsonl and result.json of a finished run."""
  workdir.mkdir(parents=True, exist_ok=True)
  origin = {"recipe": "r.py", "overrides": {}, "config": {}, **origin}
  result = {
    "status": "finished",
    "step": 2,
    "seconds": 1.5,
    "parameters": 4321,
    "flops_per_image": 2.5e6,
    "final": {"split": "test", "metrics": {"top1": value - 0.01}},
  }
  (workdir / "config.json").write_text(json.dumps(origin))
  (workdir / "metrics.jsonl").write_text(json.dumps({"step": 2, METRIC: value}))
  (workdir / "result.json").write_text(json.dumps(result))


def run_search(
  workdir: pathlib.Path,
  definition: sweeps.SearchDefinition,
  *,
  runner: Any = run,
) -> sweeps.SearchDefinition:
  """Runs a search in this process; returns its definition with the copies."""
  definition = sweeps.claim_search(workdir, definition)
  for opened in each_sweep(workdir, definition):
    sweeps.work(opened, runner, interrupted=Stopped)
  return definition


def each_sweep(
  workdir: pathlib.Path, definition: sweeps.SearchDefinition
) -> Iterator[sweeps.Sweep]:
  """The sweeps of a search with the storages in their folders."""
  return sweeps.each_sweep(workdir, definition, storage="", grace=30)


def read_trials(folder: pathlib.Path) -> list[dict[str, Any]]:
  """The records of the trials of a sweep, by number."""
  paths = sorted((folder / "trials").glob("*/trial.json"))
  return [json.loads(path.read_text("utf-8")) for path in paths]


def write_folder(
  workdir: pathlib.Path,
  searches: Mapping[str, Sequence[Mapping[str, Any]]],
  *,
  final: Mapping[str, Sequence[float]] | None = None,
  proxies: Mapping[str, float] | None = None,
  children: int = 4,
  genotypes: Mapping[str, str] | None = None,
) -> pathlib.Path:
  """Writes the folder of a search without any run.

  Args:
    workdir: of the search.
    searches: "random-0" -> trials: {"settings", "value", "state", ...}.
    final: label -> values of the final stage by seed.
    proxies: label -> value as a child.
    children: of each search.
    genotypes: config key -> space of genotypes.
  """
  workdir.mkdir(parents=True)
  objective = {"metric": METRIC, "goal": "maximize", "at": "last"}
  shared = {"question": "Which <cell>?", "read": "The highest & best."}
  shared |= {"recipe": "r.py", "overrides": {}, "objective": objective}
  parts = [
    {"name": name, "searcher": name[:-2], "seed": int(name[-1])}
    for name in searches
  ]
  (workdir / "search.json").write_text(
    json.dumps(
      {
        **shared,
        "experiment": "asked.py",
        "children": children,
        "searches": parts,
        "genotypes": genotypes or {},
      }
    )
  )
  sweep = {**shared, "study": "fake", "pruning": None}
  for name, trials in searches.items():
    if trials:
      facts = {"searcher": name[:-2], "trials": children, "draws": children}
      _write_sweep(workdir / name, {**sweep, **facts}, trials)
  if final:
    rows = [
      {"settings": {"network": label, "seed": seed}, "value": value}
      for label, values in final.items()
      for seed, value in enumerate(values)
    ]
    facts = {"searcher": "grid", "trials": len(rows), "draws": 1}
    _write_sweep(workdir / "final", {**sweep, **facts}, rows)
    networks = {
      label: {
        "overrides": {ARCH: label},
        "children": [],
        "proxy": (proxies or {}).get(label),
      }
      for label in final
    }
    path = workdir / "final" / "networks.json"
    path.write_text(json.dumps(networks))
  return workdir


def _write_sweep(
  folder: pathlib.Path,
  definition: Mapping[str, Any],
  trials: Sequence[Mapping[str, Any]],
) -> None:
  folder.mkdir()
  (folder / "sweep.json").write_text(json.dumps(definition))
  for number, trial in enumerate(trials):
    facts = {"state": "complete", "reason": "", "value": None, **trial}
    facts |= {"number": number, "overrides": facts["settings"]}
    run = folder / "trials" / f"{number:04d}"
    if facts["value"] is not None:
      write_run(run, facts["value"])
    run.mkdir(parents=True, exist_ok=True)
    (run / "trial.json").write_text(json.dumps(facts))

"""Measures all claims again, one after the other, and writes the gallery.

  python experiments/papers/all.py runs/claims            # or: make claims
  python experiments/papers/all.py runs/claims --quick    # make claims QUICK=1

A script that has a SPACE is a sweep, and one that has BEFORE judges the runs of
another experiment; the others measure by themselves. Records and pictures are
written to FOLDER/results, and the page to FOLDER/gallery.html.
A claim that has a record there is not measured again, and a sweep that was
stopped goes on, so the same command resumes.

With --quick, sweeps take two steps, other experiments are left out, and the
rest repeats less: this shows that the scripts work, and the verdicts mean
nothing.
"""

import argparse
import ast
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Sequence

import claims

# Modules that are not claims.
_SHARED = ("all", "arms", "claims", "gallery", "permutations", "small_mnist")


def scripts() -> list[pathlib.Path]:
  """The scripts of all claims, sorted."""
  found = sorted(claims.FOLDER.glob("*.py"))
  return [path for path in found if path.stem not in _SHARED]


def constants(script: pathlib.Path) -> dict[str, ast.expr]:
  """The values that a script gives to names, not evaluated."""
  return {
    target.id: node.value
    for node in ast.parse(script.read_text("utf-8")).body
    if isinstance(node, ast.Assign)
    for target in node.targets
    if isinstance(target, ast.Name)
  }


def commands(
  script: pathlib.Path, folder: pathlib.Path, *, quick: bool
) -> list[list[str]]:
  """The commands that measure a claim and write its record to `folder`."""
  python, results = sys.executable, f"--output={folder / 'results'}"
  runs, known = str(folder / script.stem), constants(script)
  judge = [python, str(script), runs, results]
  if "BEFORE" in known:
    before = ast.literal_eval(known["BEFORE"])
    own = [shlex.split(each.format(runs=runs)) for each in before]
    made = [[python, *each[1:]] for each in own]  # each begins with python
    return [] if quick else [*made, judge]
  if "SPACE" in known:
    sweep = [python, "-m", "jaxvision", "sweep", str(script)]
    sweep += ["--workdir", runs, "--vectorize", "auto"]
    return [[*sweep, *["--config.train.duration=2 steps"] * quick], judge]
  return [[python, str(script), results, *["--quick"] * quick]]


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs all commands; returns 1 if one of them failed."""
  parser = argparse.ArgumentParser(description="measures all claims")
  parser.add_argument("folder", type=pathlib.Path)
  parser.add_argument("--quick", action="store_true")
  options = parser.parse_args(arguments)
  failed = []
  for script in scripts():
    if (options.folder / "results" / f"{script.stem}.json").exists():
      print(f"{script.stem}: has a record")
      continue
    for command in commands(script, options.folder, quick=options.quick):
      if subprocess.run(command, check=False).returncode:
        failed.append(script.stem)
        break
  gallery = [sys.executable, str(claims.FOLDER / "gallery.py")]
  gallery += [str(options.folder / "gallery.html")]
  gallery += [f"--results={options.folder / 'results'}"]
  subprocess.run(gallery, check=True)
  print(f"page: {options.folder / 'gallery.html'}")
  if failed:
    print(f"failed: {', '.join(failed)}; the same command tries them again")
  return 1 if failed else 0


if __name__ == "__main__":
  sys.exit(main())

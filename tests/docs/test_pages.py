"""The documents are correct: commands run, and tables agree with the code.

Run this file as a script to renew the tables.
"""

import argparse
import functools
import os
import pathlib
import re
import shlex
import subprocess
import sys

import models_page
import numpy as np
import pytest
from PIL import Image

from jaxvision import cli, models
from jaxvision import config as configs
from jaxvision.cli import parsing

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")]
README = (ROOT / "README.md").read_text("utf-8")


def _blocks(language: str) -> list[str]:
  return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
  """A folder with the files that the commands of the README name."""
  folder = tmp_path_factory.mktemp("clone")
  for name in ("configs", "experiments"):
    (folder / name).symlink_to(ROOT / name)
  rng = np.random.default_rng(0)
  for number, name in enumerate(("cat", "dog")):
    images = folder / "path/to/images" / name
    images.mkdir(parents=True)
    for i in range(20):
      pixels = rng.integers(0, 128, (48, 64, 3), np.uint8)
      pixels[..., number] += 127
      Image.fromarray(pixels).save(images / f"{i}.png")
  return folder


def _run(command: list[str], folder: pathlib.Path) -> str:
  environment = os.environ | {
    "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
    "TFDS_DATA_DIR": str(folder / "data"),
    "JAX_NUM_CPU_DEVICES": "1",
  }
  del environment["XLA_FLAGS"]  # the commands set their own
  done = subprocess.run(
    command, cwd=folder, env=environment, capture_output=True, text=True
  )
  assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
  return done.stdout


def test_first_two_commands_are_targets_of_the_makefile():
  commands = _blocks("bash")[0].splitlines()
  assert [c.split("#")[0].split() for c in commands] == [
    ["make", "demo"],
    ["make", "test"],
  ]
  for target in ("demo", "test"):
    plan = _run(["make", "-C", str(ROOT), "--dry-run", target], ROOT)
    assert "jaxvision" in plan or "pytest" in plan


def test_the_keys_in_the_table_of_wishes_are_accepted():
  """Each `--config.KEY=VALUE` alone fits to a recipe of the digits."""
  _, _, table = README.partition("People often look for these.")
  words = [
    shlex.split(each)
    for each in re.findall(r"`(--config\.[^`]*)`", table.partition("## ")[0])
  ]
  words = [word for (word,) in words if ".py:" not in word]
  assert len(words) >= 11
  recipe = str(ROOT / "configs/digits.py:mlp")
  before = configs.load(recipe).to_dict()
  for word in words:
    changed = parsing.overrides([word], argparse.ArgumentParser())
    after = configs.load(recipe, changed).to_dict()
    (path,) = (key.split(".") for key in changed)
    old, new = (
      functools.reduce(dict.__getitem__, path, c) for c in (before, after)
    )
    assert old != new, word


# Shorter trainings for a default run of the tests.
SHORTER = {
  # A step a call compiles faster than several.
  "--config configs/": (
    "--config.train.duration='2 epochs' "
    "--config.train.steps_per_dispatch=1 --config configs/"
  ),
  "--extend '70 epochs'": "--extend '3 epochs'",
  # One small network for the images, instead of a ResNet-18.
  "--workdir runs/images\njaxvision predict": (
    "--workdir runs/images --config.model.options.blocks='(1,)' "
    "--config.model.options.features=8\njaxvision predict"
  ),
}


# The commands that take longest; the script of the slow test has them, too.
LONG = ("--overfit", "jaxvision plan", "jaxvision sweep")


@pytest.fixture
def in_clone(clone, monkeypatch):
  monkeypatch.chdir(clone)
  monkeypatch.setenv("TFDS_DATA_DIR", str(clone / "data"))


@pytest.mark.slow
def test_the_commands_run(in_clone, clone, capsys):
  """In this process, with shorter trainings."""
  script = "".join(_blocks("bash")[1:])
  for long, short in SHORTER.items():
    assert long in script
    script = script.replace(long, short)
  export, *lines = script.splitlines()
  assert export == 'export PATH="$PWD/.venv/bin:$PATH"'
  for line in lines:
    if any(each in line for each in LONG):
      continue
    command, *words = shlex.split(line)
    assert command == "jaxvision"
    assert cli.main(words) == 0, f"{line}\n{capsys.readouterr().err}"
  _assert_complete(capsys.readouterr().out, clone, reports=5)


@pytest.mark.slow
def test_the_whole_script_runs_in_a_shell(clone):
  script = "".join(_blocks("bash")[1:])
  output = _run(["bash", "-euxo", "pipefail", "-c", script], clone)
  _assert_complete(output, clone, reports=6)


def _assert_complete(output, clone, *, reports):
  assert output.count("report: ") >= reports
  assert (clone / "comparison.html").exists()
  assert (clone / "contact_sheet.png").exists()


@pytest.mark.slow
def test_python_runs(in_clone, capsys):
  assert cli.main(["data", "prepare", "digits"]) == 0
  printed = []
  for code in _blocks("python"):
    capsys.readouterr()
    exec(code, {})
    printed.append(capsys.readouterr().out)
  accuracy, parameters = printed[0].split()[-2:]
  assert 0.5 < float(accuracy) <= 1
  assert int(parameters) == 11_689_512
  assert printed[1].splitlines()[-1] == "(192, 3) gelu_erf"  # after the log
  assert printed[2] == "(1, 4, 4, 512)\n"


def _with_models(readme: str) -> str:
  """Returns the README with the table between its marks renewed."""
  return re.sub(
    r"(<!-- models -->\n).*(<!-- /models -->)",
    lambda match: f"{match[1]}{models_page.readme_table()}\n{match[2]}",
    readme,
    flags=re.DOTALL,
  )


def test_models_are_those_of_the_code():
  renew = "run PYTHONPATH=tests python tests/docs/test_pages.py"
  assert _with_models(README) == README, renew
  assert (DOCS / "models.md").read_text("utf-8") == models_page.page(), renew
  for name in models.names():
    assert f"`{name}`" in README


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_link_targets_exist(path):
  text = path.read_text("utf-8")
  for target, _, anchor in re.findall(
    r"\]\((?!https?:)([^)#]*)(#([^)]+))?\)", text
  ):
    page = path.parent / target if target else path
    assert page.exists(), target
    assert not anchor or anchor in _anchors(page), f"{target}#{anchor}"


def _anchors(page: pathlib.Path) -> list[str]:
  """Returns the anchors that GitHub gives to the headings of a page."""
  titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
  return [
    re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles
  ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_files_that_are_named_exist(path):
  named = re.findall(
    r"`((?:jaxvision|tests|experiments|configs|docs)/[\w./]+)`",
    path.read_text("utf-8"),
  )
  assert [name for name in named if not (ROOT / name).exists()] == []


if __name__ == "__main__":
  (ROOT / "README.md").write_text(_with_models(README), "utf-8")
  (DOCS / "models.md").write_text(models_page.page(), "utf-8")

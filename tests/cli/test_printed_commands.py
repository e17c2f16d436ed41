"""The commands that a page shows run when they are pasted into a shell."""

import html
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import parsed_page
import pytest
import sweep_cases
from PIL import Image

pytestmark = pytest.mark.slow

_FOLDER = "my runs & more"  # a name that a shell must have in quotes


def _paste(command, folder):
  programs = os.pathsep.join(
    [str(pathlib.Path(sys.executable).parent), os.environ["PATH"]]
  )
  environment = {**os.environ, "PATH": programs, "JAX_NUM_CPU_DEVICES": "1"}
  done = subprocess.run(
    ["bash", "-e", "-c", command],
    cwd=folder,
    env=environment,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, (command, done.stderr[-2000:])
  return done.stdout


def _commands(page):
  """The commands of a page."""
  found = re.findall(r"<pre>(.*?)</pre>", page.source, re.DOTALL)
  return [html.unescape(each) for each in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """A folder with a finished sweep, whose trials have reports."""
  folder = tmp_path_factory.mktemp("work") / _FOLDER
  folder.mkdir()
  asked = sweep_cases.write(
    folder,
    rates=(0.1,),
    seeds=2,
    data__placement="device",
    log__tensorboard=False,
  )
  _paste(f"jaxvision sweep {asked.name!r} --workdir 'of rates'", folder)
  return folder


def test_the_commands_of_a_sweep(folder):
  page = parsed_page.Page(folder / "of rates" / "report.html")
  best, again = _commands(page)
  assert best.startswith("jaxvision train") and "--rerun" in again
  _paste(best, folder)
  assert (folder / "of rates-best" / "result.json").exists()
  _paste(again, folder)
  results = [*(folder / "of rates-again").glob("trials/*/result.json")]
  assert len(results) == 10


def test_the_commands_of_a_run(folder):
  trial = "of rates/trials/0001"
  shown = parsed_page.Page(folder / trial / "report.html")
  first, resumed, evaluated, predicted = _commands(shown)
  # The test is not about the checkout in which it runs.
  again = [x for x in first.splitlines() if not x.startswith("git checkout")]
  _paste("\n".join(again), folder)
  kept, made = (
    json.loads((folder / each / "result.json").read_text("utf-8"))["final"]
    for each in (trial, f"{trial}-again")
  )
  assert made == kept
  _paste(resumed, folder)
  assert "top1" in _paste(evaluated, folder)
  assert predicted.endswith(" IMAGE...")
  side = 8
  pixels = np.random.default_rng(0).integers(0, 255, (side, side), np.uint8)
  Image.fromarray(pixels).save(folder / "an image.png")
  _paste(predicted.replace("IMAGE...", "'an image.png'"), folder)

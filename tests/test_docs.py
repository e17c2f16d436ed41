"""The README is true: its commands run, its tables are what the code says."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jaxvision import models

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def _blocks(language: str) -> list[str]:
  return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
  """A folder in which the README's commands find what they name."""
  folder = tmp_path_factory.mktemp("clone")
  (folder / "configs").symlink_to(ROOT / "configs")
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


def test_every_command_runs(clone):
  script = "".join(_blocks("bash")[1:])
  assert "jaxvision predict" in script
  output = _run(["bash", "-euxo", "pipefail", "-c", script], clone)
  assert output.count("report: ") >= 6
  assert (clone / "comparison.html").exists()
  assert (clone / "contact_sheet.png").exists()


def test_python_runs(clone):
  _run(["jaxvision", "data", "prepare", "digits"], clone)
  for code in _blocks("python"):
    printed = _run([sys.executable, "-c", code], clone).split()
    accuracy, parameters = printed[-2:]
    assert 0.5 < float(accuracy) <= 1
    assert int(parameters) == 11_689_512


def model_table() -> str:
  """The table of the README between its two marks."""
  rows = [
    "| name | image | parameters | from |",
    "|---|---:|---:|---|",
  ]
  for spec in map(models.spec, models.names()):
    rows.append(
      f"| `{spec.name}` | {spec.image_size} | {spec.parameters:,} "
      f"| {spec.paper} |"
    )
  return "\n".join(rows)


def test_table_of_models():
  written = README.split("<!-- models -->\n")[1].split("\n<!-- /models -->")[0]
  assert written == model_table()


def test_links_lead_somewhere():
  targets = re.findall(r"\]\(([^)#:]+)\)", README)
  assert targets
  for target in targets:
    assert (ROOT / target).exists(), target


if __name__ == "__main__":
  marked = re.sub(
    r"(<!-- models -->\n).*(<!-- /models -->)",
    lambda match: f"{match[1]}{model_table()}\n{match[2]}",
    README,
    flags=re.DOTALL,
  )
  (ROOT / "README.md").write_text(marked, "utf-8")

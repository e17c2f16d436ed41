"""`jaxvision completion`: the script, run by the shells."""

import pathlib
import shlex
import shutil
import subprocess

import pytest

from jaxvision import cli, models
from jaxvision.config import keys

_ROOT = pathlib.Path(__file__).parents[2]
# The function that `complete` has registered, with the words of a line.
_BASH = """
source {script}
set -- {words}
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
registered=$(complete -p jaxvision)
registered=${{registered##*-F }}
${{registered%% *}}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
  """A function: shell -> the path of its script."""
  folder = tmp_path_factory.mktemp("completion")

  def write(shell, capsys):
    path = folder / f"jaxvision.{shell}"
    if not path.exists():
      assert cli.main(["completion", shell]) == 0
      path.write_text(capsys.readouterr().out, "utf-8")
    return path

  return write


def _bash(script, *words):
  code = _BASH.format(script=script, words=shlex.join(["jaxvision", *words]))
  done = subprocess.run(
    ["bash", "-c", code], cwd=_ROOT, capture_output=True, text=True, check=True
  )
  assert not done.stderr
  return done.stdout.split()


@pytest.mark.parametrize(
  ("words", "expected"),
  [
    (["ev"], {"evaluate"}),
    (["data", "pre"], {"prepare", "preview"}),
    (["launch", ""], {"local", "slurm", "ray", "tpu"}),
    (["train", "--over"], {"--overfit"}),
    (["train", "--data-changed", ""], {"refuse", "accept"}),
    (["train", "--config", "configs/dig"], {"configs/digits.py"}),
    (["sweep", "experiments/optim"], {"experiments/optimizers.py"}),
    (["report", "--output", "READ"], {"README.md"}),
    (["train", "--workdir", "exp"], {"experiments"}),
    (["evaluate", "--workdir", "READ"], set()),
    (["evaluate", "--model", "resnet101"], set(models.names("resnet101*"))),
    (["models", "vit_"], set(models.names("vit_*"))),
    (
      ["train", "--config.model.name", "vit_"],
      set(models.names("vit_*")),
    ),
    (
      ["train", "--config.optimizer.l"],
      {
        f"--config.{key}" for key in keys.TYPES if key.startswith("optimizer.l")
      },
    ),
    (["report", "--config.opt"], set()),
    (["completion", ""], {"bash", "zsh", "fish"}),
  ],
  ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_bash_completes(words, expected, script, capsys):
  assert set(_bash(script("bash", capsys), *words)) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_accepts_the_script(shell, script, capsys):
  path = script(shell, capsys)
  assert "resnet50" in path.read_text("utf-8")
  if shutil.which(shell) is None:
    pytest.skip(f"{shell} is not installed")
  subprocess.run([shell, "-n", path], check=True)

"""Makes the kept folders and files anew, with the installed jaxvision.

  python tests/kept/make.py /tmp/kept

Commands make all of them, except for `expected.json` and `expected.npz`: these
hold what the commands print and what the models return.
"""

import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

# Two processes are bit-equal only under the same flags.
XLA_FLAGS = (
  "--xla_disable_hlo_passes=cse_barrier_expander "
  "--xla_backend_optimization_level=0"
)
PROBES = "knn(k=10),lda"
_HERE = pathlib.Path(__file__).parent
_SOURCES = ("recipe.py", "my_model.py", "my_layers.py", "question.py")
_NOT_KEPT = ("cache", "data", "extended", "vit", "whole_sweep")
_OF_WHOLE = ("metrics.jsonl", "result.json")
_PREEMPTED = 42
_TRIES = 10


def main(folder: pathlib.Path) -> None:
  """Makes everything in a new folder, which must not exist."""
  folder.mkdir()
  for name in _SOURCES:
    shutil.copy(_HERE / name, folder)
  os.chdir(folder)
  os.environ |= {
    "JAX_NUM_CPU_DEVICES": "1",
    "JAX_PLATFORMS": "cpu",
    # An exported model names the files of its code: without their folders.
    "JAX_HLO_SOURCE_FILE_CANONICALIZATION_REGEX": ".*/",
    "TFDS_DATA_DIR": str(folder / "data"),
    "XDG_CACHE_HOME": str(folder / "cache"),
    "XLA_FLAGS": XLA_FLAGS,
  }
  _run("data", "prepare", "digits")
  _make_runs()
  _make_sweep()
  _make_files()
  _write_expected()
  _remove_rest()


def machine() -> dict[str, str]:
  """What the rounding of a program depends on: versions and processor."""
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:
    lines = []
  flags = [line for line in lines if line.startswith(("flags", "Features"))]
  processor = flags[0] if flags else platform.processor()
  return {
    "jax": importlib.metadata.version("jax"),
    "jaxlib": importlib.metadata.version("jaxlib"),
    "processor": hashlib.sha256(processor.encode()).hexdigest()[:16],
  }


def _command(*words: str) -> list[str]:
  return [sys.executable, "-m", "jaxvision", *words]


def _run(*words: str) -> str:
  done = subprocess.run(
    _command(*words), check=True, stdout=subprocess.PIPE, text=True
  )
  return done.stdout


def _make_runs() -> None:
  _run("train", "--config", "recipe.py:mlp", "--workdir", "whole")
  _run("train", "--config", "recipe.py:vit", "--workdir", "vit")
  _run("train", "--config", "recipe.py:resnet", "--workdir", "finished")
  _run("train", "--config", "recipe.py:own", "--workdir", "own_code")
  shutil.copytree("finished", "extended")
  _run("train", "--workdir", "extended", "--extend", "120 steps")
  words = ("train", "--config", "recipe.py:mlp", "--workdir", "interrupted")
  _stop("interrupted", words, when=lambda path: 100 <= _step(path) < 220)


def _make_sweep() -> None:
  words = ("sweep", "question.py", "--vectorize", "2", "--workdir")
  _run(*words, "whole_sweep")
  _stop("sweep", (*words, "sweep"), when=_in_the_middle)


def _stop(
  name: str, words: Sequence[str], *, when: Callable[[pathlib.Path], bool]
) -> None:
  """Sends SIGTERM when a condition holds; repeats this if it was too late."""
  path = pathlib.Path(name)
  for _ in range(_TRIES):
    shutil.rmtree(path, ignore_errors=True)
    process = subprocess.Popen(_command(*words))
    while process.poll() is None and not when(path):
      time.sleep(0.0005)
    process.send_signal(signal.SIGTERM)
    if process.wait() == _PREEMPTED and when(path):
      return
  raise RuntimeError(
    f"{name} was not interrupted in the middle in {_TRIES} tries; "
    "run make.py on a machine without other load"
  )


def _step(path: pathlib.Path) -> int:
  metrics = path / "metrics.jsonl"
  lines = metrics.read_text().splitlines() if metrics.exists() else []
  try:
    return json.loads(lines[-1])["step"] if lines else 0
  except ValueError:  # The last line is incomplete.
    return 0


def _in_the_middle(path: pathlib.Path) -> bool:
  """Two trials are complete, two are running, and two have not begun."""
  trials = [path / "trials" / f"{number:04d}" for number in range(6)]
  complete = all((trial / "result.json").exists() for trial in trials[:2])
  running = all(20 <= _step(trial) < 100 for trial in trials[2:4])
  return complete and running and not trials[4].exists()


def _make_files() -> None:
  from PIL import Image

  _run("export", "model.jax", "--workdir", "finished")
  _run("weights", "convert", "finished", "resnet.safetensors")
  _run("weights", "convert", "vit", "vit.npz")
  Image.fromarray(_images()[0, ..., 0]).save("digit.png")


def _images() -> np.ndarray:
  """The last eight digits of scikit-learn, (8, 8, 8, 1) uint8."""
  from sklearn import datasets

  images = datasets.load_digits().images[-8:, ..., None]
  return np.rint(images * (255 / 16)).astype(np.uint8)


def _write_expected() -> None:
  finished, extended = ("--workdir", "finished"), pathlib.Path("extended")
  probe = ("probe", *finished, "--data", "digits", "--probes", PROBES)
  trials = sorted(pathlib.Path("whole_sweep/trials").glob("*/trial.json"))
  expected = {
    "machine": machine(),
    "evaluate": json.loads(_run("evaluate", *finished, "--json")),
    "predict": json.loads(_run("predict", *finished, "--json", "digit.png")),
    "probe": json.loads(_run(*probe, "--json")),
    "extended": json.loads((extended / "result.json").read_text()),
    "trials": [json.loads(path.read_text())["value"] for path in trials],
  }
  text = json.dumps(expected, indent=1)
  pathlib.Path("expected.json").write_text(text + "\n")
  np.savez_compressed("expected.npz", **_outputs())


def _outputs() -> dict[str, np.ndarray]:
  """Probabilities of the exported model; logits of the files of weights."""
  import jax.export

  import jaxvision

  images = _images()
  exported = jax.export.deserialize(
    bytearray(pathlib.Path("model.jax").read_bytes())
  )
  found = {"images": images, "exported": exported.call(images)}
  pixels = np.float32(images / 127.5 - 1)
  for file, name in (
    ("resnet.safetensors", "resnet18"),
    ("vit.npz", "vit_ti16"),
  ):
    model, variables = jaxvision.weights.load(file, name)
    found[file] = jax.jit(model.apply, static_argnames="train")(
      variables, pixels, train=False
    )
  return {key: np.asarray(value) for key, value in found.items()}


def _remove_rest() -> None:
  """Removes what the tests need not, and the reports, which are large."""
  for name in _NOT_KEPT:
    shutil.rmtree(name)
  for path in pathlib.Path("whole").iterdir():
    if path.is_dir():
      shutil.rmtree(path)
    elif path.name not in _OF_WHOLE:
      path.unlink()
  for path in pathlib.Path().rglob("report.html"):
    path.unlink()


if __name__ == "__main__":
  main(pathlib.Path(sys.argv[1]).absolute())

"""Time and memory of loading weights.

  python experiments/benchmarks/weights.py
  python experiments/benchmarks/weights.py --models bit_r152x4

Writes random weights in the layout of their authors, and loads each file in
new processes. The table shows medians over the runs:

  load s     time of `weights.load` alone; the file is in the page cache
  peak/file  peak resident memory during loading, minus that before, over the
             size of the file
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

_WRITE = """
import sys
import jax, numpy as np
from jaxvision import models, variables, weights
name, path = sys.argv[1:]
model = models.create(name, num_classes=1000)
size = models.spec(name).image_size
shapes = variables.variable_shapes(model, image_shape=(size, size, 3))
rng = np.random.default_rng(0)
draw = lambda s: rng.random(s.shape, np.float32)
weights.save(path, name, jax.tree.map(draw, shapes))
"""
_LOAD = """
import json, sys, threading, time
import jax
from jaxvision import weights
name, path = sys.argv[1:]
jax.block_until_ready(jax.numpy.zeros(1) + 1)


def resident():
  with open("/proc/self/statm") as file:
    return int(file.read().split()[1]) * 4096


before, most, done = resident(), 0, False


def watch():
  global most
  while not done:
    most = max(most, resident())
    time.sleep(0.002)


watcher = threading.Thread(target=watch)
watcher.start()
start = time.perf_counter()
model, variables = weights.load(path, name)
jax.block_until_ready(variables)
seconds = time.perf_counter() - start
done = True
watcher.join()
print(json.dumps({"seconds": seconds, "peak": most - before}))
"""


def main() -> None:
  """Writes and loads the files, and prints the table."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--models", nargs="+", default=["bit_r50x1", "vit_b16"])
  parser.add_argument("--runs", type=int, default=5)
  options = parser.parse_args()
  print("| model | file, MB | load s | peak/file |\n|---|---:|---:|---:|")
  for name in options.models:
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / "weights.npz"
      _python(_WRITE, name, path)
      size = path.stat().st_size
      runs = [
        json.loads(_python(_LOAD, name, path)) for _ in range(options.runs)
      ]
    seconds = statistics.median(run["seconds"] for run in runs)
    peak = statistics.median(run["peak"] for run in runs)
    print(
      f"| {name} | {size / 1e6:,.1f} | {seconds:.2f} | {peak / size:.2f} |",
      flush=True,
    )


def _python(code: str, *arguments: str | pathlib.Path) -> str:
  command = [sys.executable, "-c", code, *map(str, arguments)]
  done = subprocess.run(command, capture_output=True, text=True)
  if done.returncode:
    raise RuntimeError(done.stderr)
  return done.stdout


if __name__ == "__main__":
  main()

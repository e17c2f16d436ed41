"""Time and memory of reading a file of torch, beside torch itself.

  python experiments/benchmarks/torch_file.py

Needs torch (requirements-parity.txt). Writes a file of 100 MB with the arrays
of a ResNet-50, and reads it in new processes, ours and torch's in turn. Both
end with a copy of each array in numpy. The file is in the page cache. The table
shows medians over the rounds:

  seconds    time of opening and copying, without imports
  peak/file  peak resident memory during it, minus that before, over the size of
             the file
  ratio      ours over torch's; of the times, the median of the ratios of rounds
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
import torch
generator = torch.Generator().manual_seed(0)
shapes = [(64, 3, 7, 7), (1000, 2048), (1000,)]
for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
  for block in range(blocks):
    inputs = 4 * width if block else max(64, 2 * width)
    shapes += [(width, inputs, 1, 1), (width, width, 3, 3)]
    shapes += [(4 * width, inputs, 1, 1)] * (not block)
    shapes += [(4 * width, width, 1, 1)] + 10 * [(width,)] + [()]
arrays = [torch.randn(shape, generator=generator) for shape in shapes]
torch.save(
  {f"layer{i}.weight": array for i, array in enumerate(arrays)}, sys.argv[1]
)
"""
_READ = """
import json, pathlib, sys, threading, time
import numpy as np
{imports}
path = pathlib.Path(sys.argv[1])


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
arrays = {{}}
{read}
seconds = time.perf_counter() - start
done = True
watcher.join()
peak = max(most, resident()) - before
total = float(sum(array.sum(dtype=np.float64) for array in arrays.values()))
print(json.dumps({{"seconds": seconds, "peak": peak, "total": total}}))
"""
_READERS = {
  "jaxvision": _READ.format(
    imports="from jaxvision.weights import formats",
    read="""
file = formats.open_file(path)
for name, entry in file.entries.items():
  arrays[name] = np.array(entry.read())
  entry.forget()
""",
  ),
  "torch, mmap=True": _READ.format(
    imports="import torch",
    read="""
for name, tensor in torch.load(path, mmap=True, weights_only=True).items():
  arrays[name] = np.array(tensor.numpy())
""",
  ),
}


def main() -> None:
  """Writes and reads the file, and prints the table."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--rounds", type=int, default=11)
  options = parser.parse_args()
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "weights.pth"
    _python(_WRITE, path)
    size = path.stat().st_size
    rounds = [
      {name: json.loads(_python(code, path)) for name, code in _READERS.items()}
      for _ in range(options.rounds)
    ]
  totals = {each["total"] for found in rounds for each in found.values()}
  assert len(totals) == 1, totals
  print(f"{size / 1e6:.1f} MB, {options.rounds} rounds")
  print("| reader | seconds | peak/file |\n|---|---:|---:|")
  medians = {}
  for name in _READERS:
    seconds = statistics.median(found[name]["seconds"] for found in rounds)
    peak = statistics.median(found[name]["peak"] for found in rounds) / size
    medians[name] = peak
    print(f"| {name} | {seconds:.3f} | {peak:.2f} |")
  ours, theirs = _READERS
  ratio = statistics.median(
    found[ours]["seconds"] / found[theirs]["seconds"] for found in rounds
  )
  print(f"| ratio | {ratio:.2f} | {medians[ours] / medians[theirs]:.2f} |")


def _python(code: str, path: pathlib.Path) -> str:
  done = subprocess.run(
    [sys.executable, "-c", code, str(path)], capture_output=True, text=True
  )
  if done.returncode:
    raise RuntimeError(done.stderr)
  return done.stdout


if __name__ == "__main__":
  main()

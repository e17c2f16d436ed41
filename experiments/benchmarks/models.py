"""Time of train steps and inference of jaxvision, torch and Keras networks.

  python experiments/benchmarks/models.py
  python experiments/benchmarks/models.py --models efficientnet_b0 \
    --engines jaxvision jaxvision+lax torch+channels_last --rounds 9
  python experiments/benchmarks/models.py --mode init --models vit_h14

A train step is forward, softmax cross-entropy with integer labels, backward,
SGD with momentum. Inference is forward alone. All engines get random normalised
images that are on the device, 1000 classes, and no dropout. With `--dtype
bfloat16` parameters are float32, and each engine computes in bfloat16 in its
own way (torch: autocast). engines/__init__.py lists the compared networks. The
table states a number of parameters that differs from that of jaxvision.

An engine is a framework with options:

  jaxvision       one jitted, donated step, with the settings of the process
                  that the command line applies
    +plain        without those settings
    +lax          depthwise convolutions as Flax calls them
    +scan_layers  a scan over repeated blocks
  torch           eager, (b, c, h, w), on all cores, fused optimizer
    +channels_last, +compile
    +tuned        an allocator that keeps freed memory (engines/rounds.py)
  keras           Keras on JAX, one jitted, donated step
    +tuned

Each engine runs in its own process. All engines of a network run at the same
time and take turns in rounds, with a block of steps each. Within a block
nothing is read back. This compensates only slow changes of the load. If other
processes use cores, the threads of torch wait for each other much longer than
those of XLA; the script prints this load. The table shows medians over the
rounds, and the median of the ratios to the first engine within a round (above 1
the first engine is faster).

  init s        initialisation of the weights, compilation included
  first step s  the first step, compilation included; nothing is cached
  peak MiB      peak resident memory during the rounds, minus that before the
                initialisation; on a GPU the peak of the framework's allocator,
                compilation included
  TFLOP/s       analytic operations of the jaxvision network, three forward
                passes for a train step; MFU is their share of --peak_tflops
"""

import argparse
import dataclasses
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Mapping, Sequence

import engines
from engines import rounds

from jaxvision import files

MODES = ("train", "infer", "init")
COLUMNS = (
  "model",
  "mode",
  "engine",
  "init s",
  "first step s",
  "ms/step",
  "images/s",
  "time / first",
  "peak MiB",
  "TFLOP/s",
  "MFU",
)
# Dense bfloat16 of the data sheets, by the first name in the device's name.
PEAK_TFLOPS = {
  "H200": 989.0,
  "H100 PCIe": 756.0,
  "H100": 989.0,
  "A100": 312.0,
  "L40S": 362.0,
  "L4": 121.0,
}


def ratio(result: rounds.Result, first: rounds.Result) -> float:
  """Returns the median over rounds of `result`'s times over `first`'s."""
  pairs = zip(result.step, first.step, strict=True)
  return statistics.median(own / other for own, other in pairs)


def peak_of(device: str, *, dtype: str) -> float | None:
  """Returns the TFLOP/s of a device in a dtype; None if unknown."""
  if dtype != "bfloat16":
    return None
  return next((v for name, v in PEAK_TFLOPS.items() if name in device), None)


def table_row(
  head: tuple[str, str],
  result: rounds.Result,
  *,
  first: rounds.Result,
  batch_size: int,
  peak_tflops: float | None,
) -> str:
  """Returns the line of one engine in a Markdown table, see `COLUMNS`.

  Args:
    head: the model and the mode.
    result: of the engine.
    first: of the engine to compare with; its parameters and operations are
      used.
    batch_size: images of a step.
    peak_tflops: of the device; None if unknown.
  """
  engine, parameters = result.engine, result.facts["parameters"]
  if parameters != first.facts["parameters"]:
    engine += f", {parameters:,} parameters"
  cells = [*head, engine, f"{statistics.median(result.init):.1f}"]
  if result.step:
    seconds = statistics.median(result.step)
    passes = 3 if "train" in head else 1
    rate = passes * batch_size * first.facts.get("flops", 0) / seconds / 1e12
    cells += [
      f"{result.first_step:.1f}",
      f"{1e3 * seconds:,.4g}",
      f"{batch_size / seconds:,.4g}",
      f"{ratio(result, first):.2f}",
      f"{result.peak_bytes / 2**20:,.0f}" if result.peak_bytes else "-",
      f"{rate:.3g}" if rate else "-",
      f"{rate / peak_tflops:.1%}" if rate and peak_tflops else "-",
    ]
  return _line(cells + ["-"] * (len(COLUMNS) - len(cells)))


def summary(
  measured: Mapping[tuple[str, str], Sequence[rounds.Result]],
) -> list[str]:
  """Returns a table of the fastest engines of other frameworks.

  Args:
    measured: the results of all engines by model and mode; the others are
      compared with the first.
  """
  lines = []
  for head, (first, *rest) in measured.items():
    own = first.engine.split("+")[0]
    others = [each for each in rest if each.engine.split("+")[0] != own]
    if first.step and others:
      best = min(others, key=lambda each: statistics.median(each.step))
      lines.append(_line([*head, best.engine, f"{ratio(best, first):.2f}"]))
  columns = ("model", "mode", "fastest other", "its time / first")
  return [_line(columns), "|---|---|---|---:|", *lines] if lines else []


def _line(cells: Sequence[str]) -> str:
  return f"| {' | '.join(cells)} |"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__.splitlines()[0],
    epilog=__doc__[__doc__.index("A train step") :],
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  add = parser.add_argument
  add("--models", nargs="+", default=list(engines.COUNTERPARTS))
  add("--engines", nargs="+", default=list(engines.DEFAULT))
  add("--mode", default="train,infer", help=f"some of {','.join(MODES)}")
  add("--rounds", type=int, default=5)
  add("--block_seconds", type=float, default=0.5, help="fastest engine")
  add("--batch", type=int, default=8)
  add("--size", type=int, default=128, help="side of the images, in pixels")
  add("--dtype", choices=("float32", "bfloat16"), default="float32")
  add("--peak_tflops", type=float, help="peak; data sheet by default")
  add("--json", type=pathlib.Path, help="file for the times of every round")
  options = parser.parse_args(arguments)
  try:
    for mode in options.mode.split(","):
      if mode not in MODES:
        raise ValueError(f"no mode {mode!r}; there are {', '.join(MODES)}")
    for engine in options.engines:
      engines.check(engine)
  except ValueError as error:
    parser.error(str(error))
  return options


def measure(
  model: str, mode: str, options: argparse.Namespace
) -> list[rounds.Result]:
  """Returns the results of one model in one mode, of the engines that have it.

  Args:
    model: one of ours.
    mode: one of `MODES`.
    options: of the command line.
  """
  jobs = engines.make_jobs(
    model,
    options.engines,
    mode="train" if mode == "train" else "infer",
    options={
      "batch_size": options.batch,
      "image_size": options.size,
      "dtype": options.dtype,
    },
  )
  if mode == "init":
    return rounds.measure_init(jobs, rounds=options.rounds)
  return rounds.measure(
    jobs, rounds=options.rounds, block_seconds=options.block_seconds
  )


def conditions(
  measured: Mapping[tuple[str, str], Sequence[rounds.Result]],
) -> str:
  """Returns the device, the versions and the load of the measurement."""
  results = [each for group in measured.values() for each in group]
  facts = [each.facts for each in results]
  devices = sorted({each["device"] for each in facts})
  versions = {"Python": platform.python_version()}
  for each in facts:
    versions |= each["versions"]
  named = [f"{name} {version}" for name, version in versions.items()]
  line = ", ".join([time.strftime("%Y-%m-%d"), *devices, *named])
  others = [number for each in results for number in each.other_cores]
  if others:
    line += (
      f"; of {os.cpu_count()} cores other processes kept "
      f"{statistics.median(others):.1f} busy"
    )
  return line


def main(arguments: Sequence[str] | None = None) -> None:
  """Measures the models of the command line and prints Markdown tables."""
  options = _parse(arguments)
  print(_line(COLUMNS))
  print("|---|---|---|" + "---:|" * (len(COLUMNS) - 3), flush=True)
  measured = {}
  for model in options.models:
    for mode in options.mode.split(","):
      results = measure(model, mode, options)
      for each in results:
        peak = peak_of(each.facts["device"], dtype=options.dtype)
        line = table_row(
          (model, mode),
          each,
          first=results[0],
          batch_size=options.batch,
          peak_tflops=options.peak_tflops or peak,
        )
        print(line, flush=True)
      if results:
        measured[model, mode] = results
  print("", *summary(measured), "", conditions(measured), sep="\n")
  if options.json:
    found = [
      {"model": model, "mode": mode, **dataclasses.asdict(each)}
      for (model, mode), results in measured.items()
      for each in results
    ]
    settings = {k: v for k, v in vars(options).items() if k != "json"}
    files.write_json(options.json, {**settings, "results": found})


if __name__ == "__main__":
  main()

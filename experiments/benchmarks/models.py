"""Time of train steps and inference of our networks, beside torch and Keras.

  python experiments/benchmarks/models.py
  python experiments/benchmarks/models.py --models efficientnet_b0 \
    --engines jaxvision jaxvision+lax torch+channels_last --rounds 9
  python experiments/benchmarks/models.py --mode init --models vit_h14

A train step is forward, softmax cross-entropy with integer labels, backward,
SGD with momentum; inference is forward alone. All engines get the same random
normalised images on the device, 1000 classes, and rates of dropout and drop
path of 0. With `--dtype bfloat16` parameters are float32 and each computes in
bfloat16 in its own way (torch: autocast). `COUNTERPARTS` says what is compared;
the table says so where a counterpart has another number of parameters.

An engine is a framework, and what is different about it:

  jaxvision       one jitted, donated step, with the settings of the process
                  that the command line applies
    +plain        without those settings
    +lax          depthwise convolutions as Flax calls them
    +scan_layers  repeated blocks scanned over
  torch           eager, (b, c, h, w), on all cores, fused optimizer
    +channels_last, +compile
    +tuned        with an allocator that keeps what is freed, see `TUNED`
  keras           Keras on JAX, one jitted, donated step
    +tuned

Each engine has a process of its own. All of a model are alive and take turns, a
block of steps each, round after round: on a machine with other load only what
stands next to each other can be compared. Within a block nothing is read back.
Printed are medians over the rounds, and the median of the ratios to the first
engine within a round (above 1 the first engine is faster).

  init s        making the initial weights, compilation included
  first step s  the first step, compilation included; nothing is cached
  peak MiB      most resident memory during the rounds, more than there was
                before the weights were made; on a GPU the most that the
                framework's allocator had in use, compilation included
  TFLOP/s       analytic operations of our network, three forward passes for a
                train step; MFU is their share of `--peak_tflops`
"""

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

_WORKER = pathlib.Path(__file__).with_name("models_worker.py")

# The same network elsewhere; "own" is a class in models_torch.py. The ResNet-50
# of Keras is the older one, which strides in 1x1 convolutions and has biases.
COUNTERPARTS = {
  "alexnet": {"torch": "torchvision.alexnet"},
  "vgg16": {"torch": "torchvision.vgg16", "keras": "VGG16"},
  "resnet50": {"torch": "torchvision.resnet50", "keras": "ResNet50"},
  "bit_r50x1": {"torch": "timm.resnetv2_50x1_bit"},
  "vit_s16": {"torch": "timm.vit_small_patch16_224"},
  "mixer_s16": {"torch": "timm.mixer_s16_224"},
  "efficientnet_b0": {
    "torch": "timm.efficientnet_b0",
    "keras": "EfficientNetB0",
  },
  "shufflenet_v2_x1_0": {"torch": "torchvision.shufflenet_v2_x1_0"},
  "nasnet_a_mobile": {"torch": "own.nasnet_a_mobile", "keras": "NASNetMobile"},
}
OPTIONS = {
  "jaxvision": ("plain", "lax", "scan_layers"),
  "torch": ("channels_last", "compile", "tuned"),
  "keras": ("tuned",),
}
PACKAGES = {
  "jaxvision": ("jaxvision",),
  "torch": ("torch", "torchvision", "timm"),
  "keras": ("keras",),
}
DEFAULT_ENGINES = ("jaxvision", "torch", "torch+channels_last+tuned", "keras")
MODES = ("train", "infer", "init")

# By default glibc gives large buffers back to the system at every step.
TUNED = (
  "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=34359738368"
  ":glibc.malloc.arena_max=1"
)
# A first step that was cached says nothing, and JAX must leave some of a GPU's
# memory to the others.
_ENVIRONMENT = {
  "JAX_ENABLE_COMPILATION_CACHE": "false",
  "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
  "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.3",
}
# Dense bfloat16 of the data sheets; the first name that occurs in the device's.
PEAK_TFLOPS = {
  "H200": 989.0,
  "H100 PCIe": 756.0,
  "H100": 989.0,
  "A100": 312.0,
  "L40S": 362.0,
  "L4": 121.0,
}
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


class Stopped(Exception):
  """A worker ended before it answered."""


@dataclasses.dataclass(frozen=True)
class Worker:
  """A process that runs one engine on one model.

  Attributes:
    process: reads a command a line, answers each with a line of JSON.
    errors: what it writes to stderr.
  """

  process: subprocess.Popen
  errors: IO[str]


@dataclasses.dataclass(frozen=True)
class Result:
  """What was measured of one engine on one model in one mode.

  Attributes:
    engine: its name.
    facts: as the worker has them: device, versions, parameters, flops.
    init: seconds, of each time.
    first_step: seconds; None where no step was made.
    step: seconds per step of each round.
    peak_bytes: most memory of all rounds; None where it cannot be known.
  """

  engine: str
  facts: Mapping[str, Any]
  init: Sequence[float]
  first_step: float | None = None
  step: Sequence[float] = ()
  peak_bytes: int | None = None


def check_engine(engine: str) -> None:
  """Checks that an engine exists, and is installed.

  Args:
    engine: a framework and its options, joined by "+".

  Raises:
    ValueError: it does not exist, or not here; says what to do.
  """
  framework, *options = engine.split("+")
  if framework not in OPTIONS:
    raise ValueError(f"no engine {framework!r}; there are {', '.join(OPTIONS)}")
  for option in options:
    if option not in OPTIONS[framework]:
      raise ValueError(
        f"{framework} has no option {option!r}; it has "
        f"{', '.join(OPTIONS[framework])}"
      )
  for package in PACKAGES[framework]:
    if importlib.util.find_spec(package) is None:
      raise ValueError(
        f"the engine {engine} needs {package}, which is not installed; "
        "`pip install -r requirements-parity.txt`, or leave it out: "
        "--engines jaxvision"
      )


def make_jobs(
  model: str, engines: Sequence[str], *, mode: str, options: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
  """Returns what each worker is told, by engine; those that have the model.

  Args:
    model: one of ours.
    engines: as `check_engine` takes them.
    mode: "train" or "infer".
    options: batch_size, image_size, dtype.
  """
  names = {"jaxvision": model, **COUNTERPARTS.get(model, {})}
  frameworks = {engine: engine.split("+") for engine in engines}
  return {
    engine: {
      "framework": framework,
      "options": changes,
      "network": names[framework],
      "mode": mode,
      **options,
    }
    for engine, (framework, *changes) in frameworks.items()
    if framework in names
  }


@contextlib.contextmanager
def open_worker(job: Mapping[str, Any]) -> Iterator[Worker]:
  """Starts a process for a job; ends it on leaving."""
  environment = {**_ENVIRONMENT, **os.environ}
  if "tuned" in job["options"]:
    environment["GLIBC_TUNABLES"] = TUNED
  command = [sys.executable, str(_WORKER), json.dumps(job)]
  with (
    tempfile.TemporaryFile("w+") as errors,
    subprocess.Popen(
      command,
      env=environment,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=errors,
      text=True,
    ) as process,
  ):
    try:
      yield Worker(process, errors)
    finally:
      process.kill()


def ask(worker: Worker, command: str = "") -> dict[str, Any]:
  """Sends a command, if there is one, and returns the answer.

  Raises:
    Stopped: there is none; says what the worker wrote last.
  """
  with contextlib.suppress(BrokenPipeError):
    if command:
      worker.process.stdin.write(f"{command}\n")
      worker.process.stdin.flush()
  line = worker.process.stdout.readline()
  if line:
    return json.loads(line)
  code = worker.process.wait()
  worker.errors.seek(0)
  written = worker.errors.read().strip().splitlines() or [f"exit code {code}"]
  raise Stopped(written[-1])


def ask_all(
  workers: dict[str, Worker], command: str = ""
) -> dict[str, dict[str, Any]]:
  """Asks one worker after the other; removes those that have stopped."""
  answers = {}
  for engine, worker in list(workers.items()):
    try:
      answers[engine] = ask(worker, command)
    except Stopped as error:
      print(f"{engine} stopped: {error}", file=sys.stderr)
      del workers[engine]
  return answers


def measure(
  jobs: Mapping[str, Mapping[str, Any]], *, rounds: int, block_seconds: float
) -> list[Result]:
  """Returns what was measured of each engine that did not stop.

  Args:
    jobs: by engine, what its worker is told.
    rounds: number of blocks of each.
    block_seconds: what a block of the fastest engine takes, about. Blocks have
      equally many steps, at least one.
  """
  with contextlib.ExitStack() as stack:
    workers = {
      engine: stack.enter_context(open_worker(job))
      for engine, job in jobs.items()
    }
    started = ask_all(workers)
    built = ask_all(workers, "build")
    first = ask_all(workers, "1")
    warm = ask_all(workers, "1")
    fastest = min((each["seconds"] for each in warm.values()), default=1.0)
    steps = max(1, round(block_seconds / fastest))
    blocks = [ask_all(workers, str(steps)) for _ in range(rounds)]
    return [
      Result(
        engine=engine,
        facts={**started[engine], **built[engine]},
        init=[built[engine]["seconds"]],
        first_step=first[engine]["seconds"],
        step=[block[engine]["seconds"] / steps for block in blocks],
        peak_bytes=_largest(block[engine]["peak_bytes"] for block in blocks),
      )
      for engine in workers
    ]


def _largest(values: Iterator[int | None]) -> int | None:
  return max((value for value in values if value is not None), default=None)


def measure_init(
  jobs: Mapping[str, Mapping[str, Any]], *, rounds: int
) -> list[Result]:
  """As `measure`, of the initialisation alone, in new processes each round."""
  facts, seconds = {}, {engine: [] for engine in jobs}
  for _ in range(rounds):
    for engine, job in jobs.items():
      with open_worker(job) as worker:
        workers = {engine: worker}
        started, built = ask_all(workers), ask_all(workers, "build")
      if workers:
        facts[engine] = {**started[engine], **built[engine]}
        seconds[engine].append(built[engine]["seconds"])
  return [Result(each, facts[each], init=seconds[each]) for each in facts]


def row(
  model: str,
  mode: str,
  results: Sequence[Result],
  result: Result,
  *,
  batch_size: int,
  peak_tflops: float | None,
) -> str:
  """Returns one line of the Markdown table, see `COLUMNS`.

  Args:
    model: which was measured.
    mode: one of `MODES`.
    results: of all engines; the first one is what the others are compared to,
      and has the parameters and operations that count.
    result: one of them.
    batch_size: images of a step.
    peak_tflops: of the device; None where it is unknown.
  """
  facts, first = result.facts, results[0]
  engine = result.engine
  if facts["parameters"] != first.facts["parameters"]:
    engine += f", {facts['parameters']:,} parameters"
  cells = [model, mode, engine, f"{statistics.median(result.init):.1f}"]
  if not result.step:
    return _line([*cells, *["-"] * (len(COLUMNS) - len(cells))])
  seconds = statistics.median(result.step)
  passes = 3 if mode == "train" else 1
  flops = first.facts.get("flops", math.nan)
  rate = passes * batch_size * flops / seconds / 1e12
  peak = result.peak_bytes
  cells += [
    f"{result.first_step:.1f}",
    f"{1e3 * seconds:,.4g}",
    f"{batch_size / seconds:,.4g}",
    f"{ratio(result, first):.2f}",
    "-" if peak is None else f"{peak / 2**20:,.0f}",
    "-" if math.isnan(rate) else f"{rate:.3g}",
    f"{rate / peak_tflops:.1%}" if peak_tflops and rate > 0 else "-",
  ]
  return _line(cells)


def _line(cells: Sequence[str]) -> str:
  return f"| {' | '.join(cells)} |"


def ratio(result: Result, first: Result) -> float:
  """Returns the median over rounds of the times of `result` to `first`'s."""
  pairs = zip(result.step, first.step, strict=True)
  return statistics.median(own / other for own, other in pairs)


def summary(measured: Mapping[tuple[str, str], Sequence[Result]]) -> list[str]:
  """Returns a table of the fastest of the other frameworks, by (model, mode).

  Its time is divided by that of the first engine.
  """
  lines = []
  for (model, mode), (first, *rest) in measured.items():
    framework = first.engine.split("+")[0]
    others = [
      each
      for each in rest
      if each.step and each.engine.split("+")[0] != framework
    ]
    if others:
      best = min(others, key=lambda each: statistics.median(each.step))
      cells = (model, mode, best.engine, f"{ratio(best, first):.2f}")
      lines.append(_line(cells))
  if not lines:
    return []
  head = ("model", "mode", "fastest other", "its time / ours")
  return ["", _line(head), "|---|---|---|---:|", *lines]


def peak_of(device: str, *, dtype: str) -> float | None:
  """Returns the TFLOP/s of a device in a dtype; None if they are not known."""
  if dtype != "bfloat16":
    return None
  return next((v for name, v in PEAK_TFLOPS.items() if name in device), None)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__.splitlines()[0],
    epilog=__doc__[__doc__.index("A train step") :],
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("--models", nargs="+", default=list(COUNTERPARTS))
  parser.add_argument("--engines", nargs="+", default=list(DEFAULT_ENGINES))
  parser.add_argument("--mode", default="train,infer", help="of train,infer,init")
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--block_seconds", type=float, default=0.5)
  parser.add_argument("--batch", type=int, default=16)
  parser.add_argument("--size", type=int, default=128, help="side, in pixels")
  parser.add_argument(
    "--dtype", choices=("float32", "bfloat16"), default="float32"
  )
  parser.add_argument("--peak_tflops", type=float, help="of the device, for MFU")
  parser.add_argument("--json", type=pathlib.Path, help="file for all numbers")
  options = parser.parse_args(arguments)
  options.modes = options.mode.split(",")
  unknown = set(options.modes) - set(MODES)
  if unknown:
    parser.error(f"no mode {unknown.pop()!r}; there are {', '.join(MODES)}")
  try:
    for engine in options.engines:
      check_engine(engine)
  except ValueError as error:
    parser.error(str(error))
  return options


def main(arguments: Sequence[str] | None = None) -> None:
  """Measures what the command line says and prints Markdown tables."""
  options = _options(arguments)
  shared = {
    "batch_size": options.batch,
    "image_size": options.size,
    "dtype": options.dtype,
  }
  print(_line(COLUMNS))
  print("|---|---|---|" + "---:|" * (len(COLUMNS) - 3), flush=True)
  measured = {}
  for model in options.models:
    for mode in options.modes:
      jobs = make_jobs(model, options.engines, mode=mode, options=shared)
      if mode == "init":
        results = measure_init(jobs, rounds=options.rounds)
      else:
        results = measure(
          jobs, rounds=options.rounds, block_seconds=options.block_seconds
        )
      measured[model, mode] = results
      for result in results:
        peak = options.peak_tflops or peak_of(
          result.facts["device"], dtype=options.dtype
        )
        print(
          row(
            model,
            mode,
            results,
            result,
            batch_size=options.batch,
            peak_tflops=peak,
          ),
          flush=True,
        )
  print("\n".join(summary(measured)))

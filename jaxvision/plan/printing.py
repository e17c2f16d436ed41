"""The printed text of a plan."""

import shlex
from collections.abc import Iterator

from jaxvision.plan import advice, compilation, planning

_STATE = {
  "parameters": "parameters",
  "optimizer": "optimizer",
  "average": "moving average",
  "statistics": "batch statistics",
  "batch": "batch",
  "constants": "teachers, other constants",
}
_WIDTH = 36  # width of the column of names


def show(plan: planning.Plan) -> str:
  """Returns the text of a plan."""
  blocks = [
    _subject(plan),
    _memory(plan.figures),
    _work(plan.figures),
    _sent(plan.figures),
    _remedies(plan),
    _batches(plan),
  ]
  return "\n\n".join("\n".join(lines) for lines in map(list, blocks) if lines)


def _subject(plan: planning.Plan) -> Iterator[str]:
  figures = plan.figures
  mesh = " x ".join(f"{axis} {size}" for axis, size in figures.mesh.items())
  each = figures.batch_size / plan.devices
  yield (
    f"{plan.model} on {plan.topology}: {plan.devices} x {plan.device}, mesh "
    f"{mesh}, batch {figures.batch_size} ({each:g} a device)"
  )
  if plan.missing:
    shape = "x".join(map(str, plan.image_shape))
    yield (
      f"the data are missing; planned for images of {shape} and "
      f"{plan.num_classes} classes ({plan.missing})"
    )


def _memory(figures: compilation.Figures) -> Iterator[str]:
  yield _line("memory of a device", "MiB")
  for key, name in _STATE.items():
    if figures.state[key]:
      yield _line(f"  {name}", _mib(figures.state[key]))
  if figures.padding >= 2**16:
    yield _line("  layout of these", _mib(figures.padding))
  yield _line("  activations and temporaries", _mib(figures.temporaries))
  if figures.program:
    yield _line("  program", _mib(figures.program))
  total = _line("  together", _mib(figures.total))
  if not figures.capacity:
    yield f"{total}  (the memory of the device is unknown: give --memory GIB)"
    return
  share = figures.total / figures.capacity
  verdict = "fits" if figures.fits else "DOES NOT FIT"
  yield f"{total} of {_mib(figures.capacity)} ({share:.0%}): {verdict}"


def _work(figures: compilation.Figures) -> Iterator[str]:
  line = _line("products of a device in a step", _flops(figures.flops))
  if figures.peak_flops:
    seconds = figures.flops / figures.peak_flops
    line += (
      f", {1000 * seconds:.3g} ms at the peak of "
      f"{figures.peak_flops / 1e12:g} TFLOP/s (bfloat16)"
    )
  yield line


def _sent(figures: compilation.Figures) -> Iterator[str]:
  if figures.refused:
    return
  yield _line("sent by a device in a step", "MiB") + "   operations"
  for kind, each in figures.sent.items():
    yield _line(f"  {kind}", _mib(each["bytes"])) + f"{each['number']:13,.0f}"
  yield _line("  together", _mib(figures.sent_bytes))


def _remedies(plan: planning.Plan) -> Iterator[str]:
  if not plan.remedies:
    return
  yield "tried to make it fit, each compiled:"
  yield from map(_trial, plan.remedies)
  last = plan.remedies[-1]
  if last.fits:
    yield f"it fits with {_options(last)}"
  else:
    yield "no change fits: use more devices, or a smaller batch"


def _batches(plan: planning.Plan) -> Iterator[str]:
  if not plan.batches:
    return
  yield "other batches of the same config, each compiled:"
  yield from map(_trial, plan.batches)
  if plan.largest_batch:
    yield f"the largest of these that fits: {plan.largest_batch}"
  else:
    yield "none of these fits"


def _trial(trial: advice.Trial) -> str:
  if trial.figures is None:
    return f"{'not compiled':>29}   {_options(trial)}: {trial.reason}"
  verdict = "fits" if trial.fits else "does not fit"
  return f"{_mib(trial.figures.total):>12} MiB, {verdict:12}  {_options(trial)}"


def _options(trial: advice.Trial) -> str:
  return " ".join(
    shlex.quote(f"--config.{key}={value}")
    for key, value in trial.changes.items()
  )


def _line(name: str, number: str) -> str:
  return f"{name:{_WIDTH}}{number:>12}"


def _mib(size: float) -> str:
  return f"{size / 2**20:,.1f}"


def _flops(count: float) -> str:
  return f"{count / 1e12:.3g} TFLOP" if count >= 1e11 else f"{count:.3g} FLOP"

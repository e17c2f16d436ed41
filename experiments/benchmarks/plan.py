"""What large models keep and send on slices of TPUs, from compiling for them.

  python experiments/benchmarks/plan.py
  python experiments/benchmarks/plan.py --models vit_b16 --topologies v5e:4x4

Needs libtpu (pip install 'jaxvision[tpu-plan]'), but no TPU. Each model's step
is compiled for each slice: with its state whole on each chip, and split over
all of them. Printed is, of one chip: what the state takes (the parameters,
what the optimizer keeps); the parameters, against an even split; what the
chip's tiles of 8 x 128 numbers add; the memory in all; and what is sent in a
step, against 2 x gradients where the state is whole and 3 x parameters where it
is split, in the type of the computation. "groups" splits it over 16 chips, and
the batch over all.

Products are in bfloat16, layers are scanned, nothing is rematerialised (which
would gather parameters once more), and there is no augmentation. What was
compiled before is remembered, and read at once.
"""

import argparse

from jaxvision import models, plan

# Recipe, and examples on a chip.
MODELS = {
  "vit_b16": ("configs/vit_s16_i1k.py", 16),
  "mixer_l16": ("configs/mixer_b16_i1k.py", 16),
  "vit_l16": ("configs/vit_s16_i1k.py", 16),
  "bit_r152x4": ("configs/bit_pretrain_i1k.py", 4),
}
TOPOLOGIES = ("v5e:4x4", "v5e:8x8", "v5e:16x16")
# Chips -> over how many the state is split; arrays that are sent.
LAYOUTS = {
  "split": (lambda chips: chips, 3),
  "groups": (lambda chips: 16, 3),
  "whole": (lambda chips: 1, 2),
}
_TYPE = 2  # bytes of a bfloat16
_HEAD = (
  "| model | chips | state | state a chip, MiB | x chips / whole | padding, "
  "MiB | HBM, GiB | sent, MiB | / theory | seconds |\n"
  "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|"
)


def main() -> None:
  """Prints the table, a row as soon as it is known."""
  options = _options()
  print(_HEAD, flush=True)
  for layout in options.layouts:
    for model in options.models:
      for topology in options.topologies:
        print(_row(model, topology, layout), flush=True)


def _options() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  for name, known in (
    ("models", MODELS),
    ("topologies", TOPOLOGIES),
    ("layouts", LAYOUTS),
  ):
    parser.add_argument(f"--{name}", nargs="+", default=[*known])
  return parser.parse_args()


def _row(model: str, topology: str, layout: str) -> str:
  recipe, examples = MODELS[model]
  group, times = LAYOUTS[layout]
  chips = len(plan.devices(topology))
  fsdp = group(chips)
  figures = plan.plan(
    recipe,
    topology=topology,
    mesh={"data": chips // fsdp, "fsdp": fsdp},
    overrides={
      "model.name": model,
      "model.options": {"scan_layers": True},
      "precision.compute": "bfloat16",
      "train.batch_size": examples * chips,
      "data.num_classes": 1000,
      "data.device_transforms": (),
    },
    tries=0,
  ).figures
  whole = models.spec(model).parameters
  kept = figures.state["parameters"] + figures.state["optimizer"]
  of_all = figures.state["parameters"] * fsdp
  sent = figures.sent_bytes
  theory = times * whole * _TYPE
  cells = (
    *(model, str(chips), layout),
    *(f"{kept / 2**20:,.1f}", f"{of_all / (4 * whole):.3f}"),
    f"{figures.padding / 2**20:,.1f}",
    f"{figures.total / 2**30:.2f}{'' if figures.fits else ' (no)'}",
    *(f"{sent / 2**20:,.1f}", f"{sent / theory:.3f}"),
    f"{figures.seconds:.0f}",
  )
  return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
  main()

"""Memory and communication of large models on TPU slices, by compilation.

  python experiments/benchmarks/plan.py
  python experiments/benchmarks/plan.py --models vit_b16 --topologies v5e:4x4

Needs libtpu (pip install 'jaxvision[tpu-plan]'), but no TPU. The step of each
model is compiled for each slice: with the whole state on each chip, and with
the state split over all chips. The table shows, for one chip: the size of the
state (parameters and optimizer state); the parameters relative to an even
split; the padding of the chip's tiles of 8 x 128 numbers; the total memory; and
the sent bytes of a step. These are relative to 2 x gradients if the state is
whole, and to 3 x parameters if it is split, in the type of the computation.
"groups" splits the state over 16 chips, and the batch over all chips.

Products are in bfloat16, and layers are scanned. There is no rematerialisation
(it would gather parameters once more) and no augmentation. Earlier compilations
are read from the cache.
"""

import argparse

from jaxvision import models, plan

# Recipe, and examples per chip.
MODELS = {
  "vit_b16": ("configs/vit_s16_i1k.py", 16),
  "mixer_l16": ("configs/mixer_b16_i1k.py", 16),
  "vit_l16": ("configs/vit_s16_i1k.py", 16),
  "bit_r152x4": ("configs/bit_pretrain_i1k.py", 4),
}
TOPOLOGIES = ("v5e:4x4", "v5e:8x8", "v5e:16x16")
# Chips -> number of chips that the state is split over; sent arrays.
LAYOUTS = {
  "split": (lambda chips: chips, 3),
  "groups": (lambda chips: 16, 3),
  "whole": (lambda chips: 1, 2),
}
_TYPE = 2  # bytes of a bfloat16 number
_HEAD = (
  "| model | chips | state | state a chip, MiB | x chips / whole | padding, "
  "MiB | HBM, GiB | sent, MiB | / theory | seconds |\n"
  "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|"
)


def main() -> None:
  """Prints each row of the table when it is known."""
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

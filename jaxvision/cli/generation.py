"""The commands `jaxvision generate` and `distance`."""

import argparse

from jaxvision import files
from jaxvision.cli import parsing
from jaxvision.files import paths, suffixes
from jaxvision.processes import console

_BATCH = 100


def add(commands) -> None:
  """Declares the two commands."""
  generate = parsing.add(
    commands,
    "generate",
    _generate,
    "write images that the generator of a run makes of others",
    examples=(
      "generate one.npz --workdir runs/dagan --data few.npz",
      "generate many.npz --workdir runs/dagan --data few.npz --per_image 50",
      "generate other.npz --workdir runs/dagan --data digits --split test",
    ),
  )
  generate.add_argument(
    "target", type=paths.expanded, help="the file, as generated.npz"
  )
  parsing.add_run(generate, required=True, text="the folder of a run")
  generate.add_argument(
    "--data", type=paths.expanded, required=True, help=parsing.SOURCE_OF_DATA
  )
  generate.add_argument("--split", default="train", help="of the data (train)")
  generate.add_argument(
    "--per_image",
    type=int,
    default=1,
    metavar="N",
    help="images made of each image (1)",
  )
  generate.add_argument("--seed", type=int, default=0, help="of the noise (0)")
  distance = parsing.add(
    commands,
    "distance",
    _distance,
    "compare generated images with real ones, in features of a network",
    examples=(
      "distance --workdir runs/a --data digits --generated many.npz",
      "distance --workdir runs/a --data digits --generated b.npz --split train",
      "distance --workdir runs/a --data digits --generated many.npz --json",
    ),
  )
  parsing.add_source(distance)
  for name, text in (("data", "real"), ("generated", "generated")):
    distance.add_argument(
      f"--{name}",
      type=paths.expanded,
      required=True,
      help=f"the {text} images: {parsing.SOURCE_OF_DATA}",
    )
  distance.add_argument(
    "--split", default="test", help="of the real images (test)"
  )
  distance.add_argument(
    "--generated_split",
    default="train",
    help="of the generated images (train)",
  )
  distance.add_argument(
    "--layer", help="whose output is compared (the input of the classifier)"
  )
  distance.add_argument("--json", action="store_true", help="print JSON")


def _generate(options: argparse.Namespace) -> None:
  from jaxvision import data, inference
  from jaxvision.inference import generation, pretrained
  from jaxvision.xla import settings

  suffixes.check(options.target, ".npz", what="generated images")
  settings.tune_cpu()
  run = inference.load_run(options.workdir, which=options.checkpoint)
  generation.check_generator(run)
  kind, name = data.kind_of(options.data)
  batches = pretrained.make_batches(
    run, kind, name, options.split, size=_batch_size(run.mesh.size)
  )
  arrays = generation.generate(
    run, batches, per_image=options.per_image, seed=options.seed
  )
  generation.save(options.target, arrays)
  console.say(
    f"written: {options.target}, {len(arrays['images']):,} images of "
    f"{batches.num_examples:,} ({inference.describe(run)})"
  )


def _batch_size(devices: int) -> int:
  """About 100 images, divisible over the devices."""
  return max(_BATCH - _BATCH % devices, devices)


def _distance(options: argparse.Namespace) -> None:
  from jaxvision import data
  from jaxvision.evaluation import distances
  from jaxvision.inference import pretrained
  from jaxvision.xla import settings

  settings.tune_cpu()
  run = parsing.open_source(options)
  run.task.check_features()
  of_splits = [
    pretrained.make_batches(
      run, *data.kind_of(source), split, size=_batch_size(run.mesh.size)
    )
    for source, split in (
      (options.data, options.split),
      (options.generated, options.generated_split),
    )
  ]
  found = distances.feature_distances(
    run.model,
    run.model_variables,
    *of_splits,
    normalization=run.normalization,
    mesh=run.mesh,
    layer=options.layer,
  )
  if options.json:
    console.say(files.to_json(found, indent=1))
    return
  for name, value in found.items():
    shown = f"{value:,}" if isinstance(value, int) else f"{value:.5g}"
    console.say(f"{name:<18} {shown}")

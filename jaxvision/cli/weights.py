"""The commands `jaxvision weights list | inspect | convert` and `export`."""

import argparse
from typing import Any

from jaxvision import files
from jaxvision.cli import parsing
from jaxvision.files import paths
from jaxvision.processes import console

_LISTED = 400  # maximum number of arrays that `inspect` prints


def add(commands) -> None:
  """Declares the commands."""
  weights = parsing.add(
    commands,
    "weights",
    None,
    "list, inspect or convert weight files",
    examples=(
      "weights list 'bit_*'",
      "weights inspect resnet50.pth",
      "weights convert runs/resnet resnet.safetensors",
    ),
  )
  actions = weights.add_subparsers(dest="action", required=True)
  listing = parsing.add(
    actions,
    "list",
    _list,
    "list the published files",
    examples=(
      "weights list",
      "weights list 'bit_r50x1'",
      "weights list 'vit_*'",
    ),
  )
  listing.add_argument(
    "pattern", nargs="?", default="*", help="pattern of the model or the file"
  )
  inspect = parsing.add(
    actions,
    "inspect",
    _inspect,
    "show the arrays and the model of a file",
    examples=(
      "weights inspect resnet50.pth",
      "weights inspect checkpoint.pth#teacher",
      "weights inspect hf-hub:owner/name",
    ),
  )
  inspect.add_argument("file", type=paths.expanded, help="a path or an address")
  convert = parsing.add(
    actions,
    "convert",
    _convert,
    "write weights in the layout of other libraries",
    examples=(
      "weights convert runs/resnet resnet.safetensors",
      "weights convert BiT-M-R50x1.npz bit.safetensors --model bit_r50x1",
      "weights convert a.npz b.safetensors --model vit_b16 --image_size 384",
    ),
  )
  convert.add_argument(
    "source", type=paths.expanded, help="the folder of a run, or a file"
  )
  convert.add_argument(
    "target", type=paths.expanded, help="FILE.safetensors or FILE.npz"
  )
  convert.add_argument(
    "--model", help="name of the model; not needed for a run"
  )
  convert.add_argument(
    "--layout", default="", help="target layout; timm by default"
  )
  convert.add_argument(
    "--image_size",
    type=parsing.size,
    metavar="N|HxW",
    help="image size of the position embeddings in a file, in pixels",
  )
  parsing.add_trust(convert)
  export = parsing.add(
    commands,
    "export",
    _export,
    "export a model that runs without jaxvision",
    examples=(
      "export digits.jax --workdir runs/mlp",
      "export best.jax --workdir runs/mlp --checkpoint best",
      "export resnet50.jax --weights resnet50.pth --model resnet50",
    ),
  )
  export.add_argument(
    "target", type=paths.expanded, help="the file, as model.jax"
  )
  export.add_argument(
    "--format",
    default="jax",
    help="jax (default), an artifact of jax.export; docs/export.md says why "
    "ONNX cannot be written",
  )
  parsing.add_source(export)


def _list(options: argparse.Namespace) -> None:
  from jaxvision.cli import tables
  from jaxvision.weights import published

  rows = published.rows(options.pattern)
  if not rows:
    raise ValueError(f"no published file matches {options.pattern!r}")
  tables.print_published(rows)


def _inspect(options: argparse.Namespace) -> None:
  from jaxvision import weights

  found = weights.inspect(options.file)
  for key, shape, dtype in found.arrays[:_LISTED]:
    console.say(f"{files.printable(key)}  {shape}  {dtype}")
  if len(found.arrays) > _LISTED:
    console.say(f"... and {len(found.arrays) - _LISTED} more")
  console.say(f"{found.parameters:,} numbers in {len(found.arrays)} arrays")
  if not found.layout:
    console.say(found.problem)
    return
  if found.prefix:
    console.say(
      f"the prefix {files.printable(found.prefix)} of its keys is removed"
    )
  for name, value in found.options.items():
    console.say(f"it states {files.printable(name)}={files.printable(value)}")
  classes = found.num_classes or "no"
  console.say(f"layout {found.layout}; {classes} classes")
  for name, difference in found.models[:3]:
    console.say(f"  {name}: {difference:+,} parameters in the body")


def _convert(options: argparse.Namespace) -> None:
  import pathlib

  from jaxvision import inference, models, user_code, weights
  from jaxvision.weights import image_preprocessing

  name, size, of_run = options.model, options.image_size, ""
  if pathlib.Path(options.source).is_dir():
    if size is not None:
      raise ValueError("--image_size is for a file; a run has its own size")
    run = inference.load_run(options.source)
    of_run = f" ({inference.describe(run)})"
    name = run.config.model.name
    if user_code.is_own(name):
      raise ValueError(
        f"{options.source} is a run of {user_code.as_written(name)}, your own "
        "model, which has no published layout; use `jaxvision export` for the "
        "complete model, or --config.model.weights=RUN to train from it"
      )
    if name in models.UNLISTED:
      raise ValueError(
        f"{options.source} is a run of {name}, which has no published layout; "
        "use `jaxvision export` for a file that runs without jaxvision"
      )
    model, variables = run.model, run.model_variables
    size = run.image_shape[:2]
  elif name is None:
    raise ValueError(f"{options.source} is a file; give its --model")
  else:
    model, variables = weights.load(options.source, name, image_size=size)
  weights.save(
    options.target,
    name,
    variables,
    model=model,
    image_size=size,
    layout=options.layout,
  )
  console.say(f"written: {options.target}{of_run}")
  beside = image_preprocessing.keep(
    options.target,
    weights.preprocessing(options.source, name, image_size=size),
    implied=lambda: weights.preprocessing(
      options.target, name, image_size=size
    ),
  )
  if beside:
    console.say(
      f"written: {beside}, the image preprocessing of these weights, which the "
      "layout does not store; keep both files together"
    )


def _export(options: argparse.Namespace) -> None:
  from jaxvision import inference
  from jaxvision.inference import export, generation

  export.check_format(options.format)
  export.check_path(options.target)
  run = parsing.open_source(options)
  if generation.is_generator(run):
    _export_generator(run, options.target)
    return
  if run.task.outputs is not None:
    raise ValueError(
      f"{options.workdir} is a run of the task {run.config.task.name}, which "
      "has no exported form: the file would contain the model of the config "
      "only, without the other networks; use `jaxvision predict`"
    )
  export.save(
    options.target,
    run.model,
    run.variables,
    image_shape=run.input_shape,
    normalization=run.normalization,
    class_names=run.class_names,
    answer=run.task.answer,
  )
  of_run = f" ({inference.describe(run)})" if options.workdir else ""
  console.say(f"exported: {options.target}{of_run}")
  calls = ", ".join(run.config.data.eval_transforms) or "nothing"
  height, width, channels = run.input_shape
  console.say(
    f"input: uint8 images (b, {height}, {width}, {channels}), after the "
    f"transforms: {calls}"
  )


def _export_generator(run: Any, target: str) -> None:
  from jaxvision import inference
  from jaxvision.inference import export

  generator = run.task.generator
  export.save_generator(
    target,
    generator.generate,
    run.variables,
    image_shape=run.image_shape,
    noise=generator.noise,
  )
  height, width, channels = run.image_shape
  console.say(f"exported: {target}, a generator ({inference.describe(run)})")
  console.say(
    f"input: uint8 images (b, {height}, {width}, {channels}) and normal noise "
    f"(b, {generator.noise}) float32"
  )

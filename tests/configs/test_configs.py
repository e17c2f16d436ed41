"""Tests of configs/: recipes work, every key is documented and read."""

import ast
import dataclasses
import functools
import importlib
import pathlib
import re

import jax
import numpy as np
import pytest
import tiny_runs

from jaxvision import config as configs
from jaxvision import data, models, parallel, tasks, trees, variables
from jaxvision.config import durations
from jaxvision.configs import default
from jaxvision.training import setup
from jaxvision.training.setup import sanity
from jaxvision.training.step import make_train_step

ROOT = pathlib.Path(__file__).parents[2]
RECIPES = {
  "alexnet_cifar10.py": ("", ":native"),
  "alexnet_i1k.py": ("", ":2012"),
  "bit_pretrain_i1k.py": ("", ":paper"),
  "bit_pretrain_i21k.py": ("", ":paper"),
  "bit_transfer.py": ("", ":50000,32x32", ":1281167,375x500,paper"),
  "cappa_coco.py": ("", ":cap"),
  "captions_scenes.py": ("", ":path/to/scenes.npz"),
  "captions_stamps.py": ("",),
  "dagan.py": ("", ":mnist", ":hangul"),
  "distill_bit_r50.py": (
    *("", ":oxford_flowers102,fast", ":oxford_iiit_pet", ":food101,long"),
    ":sun397,fast",
  ),
  "digits.py": ("", ":linear", ":mlp", ":resnet", ":vit"),
  "efficientnet_b0_i1k.py": ("",),
  "folder.py": ("", ":path/to/images"),
  "mixer_b16_i1k.py": ("",),
  "mnist.py": ("", ":linear", ":mlp", ":maxout", ":convnet", ":resnet", ":vit"),
  "nasnet_a_mobile_i1k.py": ("",),
  "resnet50_i1k.py": ("", ":tricks", ":tricks_alone"),
  "shufflenet_v2_i1k.py": ("", ":x0_5", ":x1_5", ":x2_0"),
  "vgg16_i1k.py": ("", ":bn"),
  "vit_s16_i1k.py": ("",),
  "vit_transfer.py": ("", ":cifar10", ":imagenet2012"),
}
# Recipes that are trained for two steps, and the options that make their models
# small enough.
SMALL_BIT = {"units": (1,), "stem": "small"}
SMALL_VIT = {
  "patch_size": 4,
  "width": 12,
  "depth": 1,
  "mlp_dim": 24,
  "num_heads": 3,
}
SMALL_VGG = {"blocks": (1, 1), "features": 8, "pool_size": 2, "hidden": (16,)}
SMALL_ALEXNET = {"features": (8, 8, 8, 8, 8), "stem": "small"}
SMALL_LITE = {
  "width": 0.25,
  "stages": ((1, 3, 1, 1, 16), (1, 5, 2, 6, 32)),
  "stem": "small",
}
TRAINED = {
  "alexnet_cifar10.py": SMALL_ALEXNET,
  "alexnet_cifar10.py:native": SMALL_ALEXNET,
  "alexnet_i1k.py": SMALL_ALEXNET,
  "alexnet_i1k.py:2012": SMALL_ALEXNET,
  "bit_pretrain_i1k.py": SMALL_BIT,
  "bit_pretrain_i21k.py": SMALL_BIT,
  "bit_transfer.py": SMALL_BIT,
  "bit_transfer.py:50000,32x32": SMALL_BIT,
  "cappa_coco.py": SMALL_VIT,
  "cappa_coco.py:cap": SMALL_VIT,
  "captions_scenes.py": {"blocks": (1,), "features": 8},
  "captions_stamps.py": SMALL_LITE,
  "dagan.py": {
    "sizes": (4, 4),
    "generator_layers": 1,
    "critic_layers": 1,
    "hidden": 8,
  },
  "dagan.py:mnist": {"generator_sizes": (4,), "critic_sizes": (4,)},
  "dagan.py:hangul": {"generator_sizes": (4,), "critic_sizes": (4,)},
  "digits.py": {"blocks": (1,), "features": 8},
  "distill_bit_r50.py": SMALL_BIT,
  "efficientnet_b0_i1k.py": SMALL_LITE,
  "folder.py": {"blocks": (1,), "features": 8, "stem": "small"},
  "mixer_b16_i1k.py": {
    "patch_size": 4,
    "width": 12,
    "depth": 1,
    "tokens_dim": 8,
    "channels_dim": 24,
  },
  "mnist.py:linear": {},
  "mnist.py:mlp": {"hidden": (16,)},
  "mnist.py:maxout": {"hidden": (16,)},
  "mnist.py:convnet": SMALL_VGG,
  "mnist.py:resnet": {"blocks": (1,), "features": 8},
  "mnist.py:vit": SMALL_VIT,
  "nasnet_a_mobile_i1k.py": {
    "repeats": 1,
    "features": 4,
    "stages": 2,
    "stem": "small",
  },
  "resnet50_i1k.py": {"blocks": (1,), "features": 8, "stem": "small"},
  "resnet50_i1k.py:tricks": {"blocks": (1,), "features": 8},
  "resnet50_i1k.py:tricks_alone": {"blocks": (1,), "features": 8},
  "shufflenet_v2_i1k.py": {
    "features": (28,),
    "head_features": 32,
    "repeats": (2,),
    "stem": "small",
  },
  "vgg16_i1k.py": SMALL_VGG,
  "vgg16_i1k.py:bn": SMALL_VGG,
  "vit_s16_i1k.py": SMALL_VIT,
  "vit_transfer.py": SMALL_VIT,
}
# Options of the task that make the other networks of a recipe small.
SMALL_DECODER = {"width": 12, "depth": 1, "mlp_dim": 8, "num_heads": 3}
# Recipes with the most different steps; the others are slow tests.
QUICK = (
  "digits.py",
  "resnet50_i1k.py:tricks",
  "vit_s16_i1k.py",
  "bit_transfer.py",
)
OPTIONS = [
  f"{group}.options" for group in ("model", "loss", "optimizer", "schedule")
]
KEYS = [*configs.flatten(default.get_config().to_dict()), *OPTIONS]


def _all_recipes():
  return [
    f"configs/{name}{argument}"
    for name, arguments in RECIPES.items()
    for argument in arguments
  ]


def test_no_recipe_is_left_out():
  files = {path.name for path in (ROOT / "configs").glob("*.py")}
  assert files - {"__init__.py", "default.py"} == set(RECIPES)
  assert {recipe.split(":")[0] for recipe in TRAINED} == set(RECIPES)


def test_all_arguments_of_digits_are_here():
  digits = importlib.import_module("jaxvision.configs.digits")
  with pytest.raises(ValueError, match="it has") as caught:
    digits.get_config("no such model")
  listed = str(caught.value).split("it has ")[1].split(", ")
  assert {f":{name}" for name in listed} | {""} == set(RECIPES["digits.py"])


# Recipes that differ in size alone from others that are quick, and NASNet, of
# which a small form stands for it below.
SLOW = {
  "configs/bit_pretrain_i1k.py:paper",
  "configs/bit_pretrain_i21k.py:paper",
  "configs/bit_transfer.py:50000,32x32",
  "configs/distill_bit_r50.py:oxford_iiit_pet",
  "configs/distill_bit_r50.py:food101,long",
  "configs/distill_bit_r50.py:sun397,fast",
  "configs/nasnet_a_mobile_i1k.py",
  "configs/shufflenet_v2_i1k.py:x0_5",
  "configs/shufflenet_v2_i1k.py:x1_5",
  "configs/shufflenet_v2_i1k.py:x2_0",
  "configs/vit_transfer.py:cifar10",
}


@pytest.mark.matrix(every=5)
@pytest.mark.parametrize(
  "recipe",
  [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in _all_recipes()
  ],
)
def test_a_recipe_can_be_run(recipe, monkeypatch):
  """Model, optimizer, schedule and loss fit together, on abstract arrays."""
  monkeypatch.chdir(ROOT)
  config = configs.load(recipe)
  steps = durations.convert(config, num_examples=1_281_167)
  model = setup.make_model(config, 10)
  schedule = setup.make_schedule(config, steps)
  mesh = parallel.make_mesh()
  shape = _image_shape(config)
  task = tiny_runs.make_task(
    config,
    model,
    shape,
    taught=_taught(config, model, make=variables.variable_shapes),
  )
  task = setup.surround(config, task, model, None)
  template = setup.state_functions(
    config, model, task, schedule, shape, mesh
  ).template
  loss, _ = jax.eval_shape(
    task.loss,
    template.params,
    template.model_state,
    setup.batch_template(task, config.train.batch_size, mesh),
    jax.eval_shape(jax.random.key, 0),
    *task.constants,
  )
  assert loss.shape == ()
  assert 0 < steps.evaluate <= steps.total
  assert float(schedule(steps.total)) <= config.optimizer.learning_rate


def _taught(config, model, *, make=variables.draw):
  """A teacher of the student's architecture, with random weights or shapes."""
  if not config.task.teachers:
    return tasks.UNTAUGHT
  side = config.task.teacher_image_size or 16
  shape = (side, side, config.data.channels)
  teacher = tasks.Teacher(
    name="teacher",
    model=model,
    variables=make(model, image_shape=shape),
    normalization=data.Normalization((0.5,), (0.5,)),
    image_size=shape[:2],
  )
  return tasks.Taught((teacher,))


def _image_shape(config):
  """The shape of a photo after the transforms of training and evaluation."""
  side = 16 if config.data.channels == 1 else 600
  photo = np.zeros((side, side + 8, config.data.channels), np.uint8)
  shapes = {
    data.make_host_transform(calls)(np.random.default_rng(0), photo).shape
    for calls in (config.data.train_transforms, config.data.eval_transforms)
  }
  assert len(shapes) == 1
  return shapes.pop()


# Most of the time is compilation; this halves it.
_jit = functools.partial(
  jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


@pytest.mark.matrix("digits.py")
@pytest.mark.parametrize(
  "recipe",
  [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])
    for name in TRAINED
  ],
)
def test_a_recipe_takes_two_steps(recipe, tmp_path, monkeypatch):
  """With its loss, optimizer, schedule and device transforms."""
  monkeypatch.chdir(ROOT)
  config = _small_config(recipe, tmp_path)
  split = setup.open_splits(config)["train"]
  batches = setup.make_batches(config, split, train=True)
  size = config.train.batch_size
  steps = durations.convert(config, num_examples=split.num_examples)
  model = setup.make_model(config, 3, total_steps=steps.total)
  task = tiny_runs.make_task(
    config, model, batches.image_shape, taught=_taught(config, model)
  )
  batches = batches.with_fields(task.batch, task.encode)
  task = setup.surround(config, task, model, None)
  functions = setup.state_functions(
    config,
    model,
    task,
    setup.make_schedule(config, steps),
    batches.image_shape,
    parallel.make_mesh(jax.devices()[:1]),
  )
  step = _jit(
    make_train_step(
      task.loss,
      functions.optimizer,
      seed=config.seed,
      ema_decay=config.ema.decay,
      turns=task.turns,
    )
  )
  first = state = functions.init()
  for i in range(2):
    state, sums = step(state, batches.at(i), *task.constants)
    # Of a caption, the two words and its end count.
    words = 3 if config.task.name == "captioning" else 1
    assert int(sums["count"]) == size * words
    assert np.isfinite(sums["loss"])
  assert int(state.step) == 2
  for path, leaf in trees.flatten(state.params).items():
    assert np.isfinite(leaf).all(), path
  moved = jax.tree.map(lambda a, b: bool((a != b).any()), state, first)
  assert any(jax.tree.leaves(moved.params))


@pytest.mark.matrix(
  "digits.py", "bit_transfer.py:50000,32x32", "vit_s16_i1k.py"
)
@pytest.mark.parametrize(
  "recipe", [name for name in TRAINED if not name.startswith("dagan")]
)
def test_a_recipe_memorises_a_few_examples(recipe, tmp_path, monkeypatch):
  """With the config that --overfit makes, for any warm-up and accumulation."""
  monkeypatch.chdir(ROOT)
  config = _small_config(
    recipe, tmp_path, **_read(recipe, "schedule.warmup", "train.duration")
  )
  few, splits = sanity.overfit(config, setup.open_splits(config), 8)
  model = setup.make_model(few, 3)
  taught = _taught(few, model)
  parts = setup.prepare(few, splits, taught=taught)
  assert parts.steps.total == 500
  chance = {
    field.name: getattr(parts.model, field.name)
    for field in dataclasses.fields(parts.model)
    if "drop" in field.name
  }
  assert set(chance.values()) <= {0.0}
  assert "smoothing" not in str(few.loss.options)
  assert few.train.batch_size == 8


def test_networks_that_do_not_memorise_cannot_overfit(tmp_path, monkeypatch):
  monkeypatch.chdir(ROOT)
  config = _small_config("dagan.py:mnist", tmp_path)
  config, splits = sanity.overfit(config, setup.open_splits(config), 8)
  with pytest.raises(ValueError, match="adversarial has no metric that shows"):
    setup.prepare(config, splits, overfit=True)


def _read(recipe, *keys):
  flat = configs.flatten(configs.load(f"configs/{recipe}"))
  return {key: flat[key] for key in keys}


def _small_config(recipe, folder, **overrides):
  options = TRAINED[recipe]
  whole = configs.load(f"configs/{recipe}")
  captioned = whole.task.name == "captioning"
  path = tiny_runs.write_data(
    folder, shape=(16, 16, whole.data.channels), captioned=captioned
  )
  small = SMALL_DECODER.items() if captioned else ()
  return configs.load(
    f"configs/{recipe}",
    {
      **{f"model.options.{name}": value for name, value in options.items()},
      **{f"task.options.{name}": value for name, value in small},
      "data.kind": "npz",
      "data.name": str(path),
      "data.train": "train",
      "data.validation": "",
      "data.test": "",
      "data.train_transforms": (),
      "task.teacher_image_size": 0,
      # A step of DAGAN has six updates.
      "train.batch_size": 18 if recipe.startswith("dagan") else 16,
      "train.duration": "20 steps",
      "train.steps_per_dispatch": 1,
      "schedule.warmup": "1 steps",
      **overrides,
    },
  )


def test_the_decay_of_a_distillation_is_that_of_the_authors():
  """Their decay is not multiplied by the learning rate."""
  for argument, decay in (("", 3e-4), (":oxford_iiit_pet,fast", 1e-3)):
    config = configs.load(f"{ROOT}/configs/distill_bit_r50.py{argument}")
    optimizer = config.optimizer
    found = optimizer.learning_rate * optimizer.weight_decay
    assert found == pytest.approx(decay)


def test_the_defaults_are_locked():
  with pytest.raises(AttributeError, match="Did you mean"):
    default.get_config().sead = 1


def test_the_default_model_exists():
  assert default.get_config().model.name in models.names("*")


def _documented(source: str) -> set[str]:
  """The keys that an assignment gives a value to, below a comment.

  A comment may be above several consecutive keys.
  """
  found, is_commented = set(), False
  for line in map(str.strip, source.splitlines()):
    key = re.match(r"([a-z]+)\.([a-z_.0-9]+) = ", line)
    if key and is_commented:
      name = key[2] if key[1] == "config" else f"{key[1]}.{key[2]}"
      inside = re.search(r'ConfigDict\(\{"(\w+)"', line)
      found.add(f"{name}.{inside[1]}" if inside else name)
    is_commented = line.startswith("#") or bool(key and is_commented)
  return found


def test_every_key_has_a_comment_above_it():
  source = (ROOT / "configs" / "default.py").read_text("utf-8")
  assert set(KEYS) - _documented(source) == set()
  bare = re.sub(r"\n *#[^\n]*(?=\n *data.threads)", "\n", source)
  assert "data.threads" not in _documented(bare)


def _reads(source: str) -> set[str]:
  """The config keys that a source reads, as "section.key".

  The recognised forms are config.section.key, data_config.key, the same for a
  variable with the value config.section, and config.section[name] in a function
  that contains the possible names.
  """
  tree = ast.parse(source)
  found = set()
  for scope in ast.walk(tree):
    if isinstance(scope, ast.FunctionDef):
      found |= _reads_of_function(scope)
  return found


def _reads_of_function(function: ast.FunctionDef) -> set[str]:
  nodes = list(ast.walk(function))
  aliases = {}
  for node in nodes:
    if isinstance(node, ast.Assign):
      aliases |= _aliases(node.targets[0], node.value)
  constants = {n.value for n in nodes if isinstance(n, ast.Constant)}
  found = set()
  for node in nodes:
    if isinstance(node, ast.Attribute):
      section = _section(node.value, aliases)
      found.add(f"{section}.{node.attr}" if section else node.attr)
      if not _is_config(node.value):
        found.discard(node.attr)
    if isinstance(node, ast.Subscript):
      section = _section(node.value, aliases)
      if section:
        found |= {f"{section}.{name}" for name in constants}
  return found


def _aliases(target: ast.expr, value: ast.expr) -> dict[str, str]:
  if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
    pairs = zip(target.elts, value.elts, strict=False)
    return {k: v for pair in pairs for k, v in _aliases(*pair).items()}
  section = _section(value, {})
  if section and isinstance(target, ast.Name):
    return {target.id: section}
  return {}


def _is_config(node: ast.expr) -> bool:
  name = getattr(node, "id", getattr(node, "attr", None))
  return name == "config"


def _section(node: ast.expr, aliases: dict[str, str]) -> str | None:
  if isinstance(node, ast.Name):
    if node.id.endswith("_config"):
      return node.id.removesuffix("_config")
    return aliases.get(node.id)
  if isinstance(node, ast.Attribute) and _is_config(node.value):
    return node.attr
  return None


def test_reads_are_found_in_every_form():
  source = """
def f(config, data_config, parts):
  train = parts.config.train
  for role in ("validation", "test"):
    config.data[role]
  model.width, other.optimizer.name
  return config.seed, data_config.kind, config.loss.l1, train.batch_size
"""
  assert _reads(source) - {"data.data", "train.train"} == {
    *("seed", "data.kind", "loss.l1", "train.batch_size"),
    *("data.validation", "data.test"),
    *("data", "loss", "train"),
  }


def test_every_key_is_read():
  found = set()
  for path in (ROOT / "jaxvision").rglob("*.py"):
    if path.name != "config.py":
      found |= _reads(path.read_text("utf-8"))
  assert [key for key in KEYS if key not in found] == []

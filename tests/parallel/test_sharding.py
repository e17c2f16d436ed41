"""Tests of sharding: placement of a state, and communication."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_runs
from jax.sharding import PartitionSpec as P

from jaxvision import models, optimizers, parallel, trees
from jaxvision.parallel import sharding
from jaxvision.training.step import init_state, make_train_step
from jaxvision.variables import init_variables
from jaxvision.xla import batched_init

# Most of the time is compilation.
_FAST = {"xla_backend_optimization_level": 0}
FSDP = ((".*", "fsdp"),)
SMALL = ((".*", "fsdp(min_size=1)"),)


def _shape(*axes):
  return jax.ShapeDtypeStruct(axes, np.float32)


PARAMS = {
  "conv": {"kernel": _shape(3, 3, 64, 128), "bias": _shape(128)},
  "head": {"kernel": _shape(128, 10)},
  "odd": {"kernel": _shape(129, 161)},
}


def _specs(tree, rules, **sizes):
  mesh = parallel.make_mesh(**sizes)
  found = sharding.of_state(tree, PARAMS, mesh, rules=rules)
  return {path: leaf.spec for path, leaf in trees.flatten(found).items()}


def test_the_largest_axis_that_divides_is_split_of_large_parameters():
  assert _specs(PARAMS, FSDP, fsdp=8) == {
    "conv/kernel": P(None, None, None, "fsdp"),
    "conv/bias": P(),
    "head/kernel": P(),
    "odd/kernel": P(),
  }
  assert _specs(PARAMS, SMALL, fsdp=2, data=4) == {
    "conv/kernel": P(None, None, None, "fsdp"),
    "conv/bias": P("fsdp"),
    "head/kernel": P("fsdp"),
    "odd/kernel": P(),
  }


def test_nothing_is_split_without_devices_for_it():
  assert set(_specs(PARAMS, SMALL).values()) == {P()}
  assert not sharding.splits(parallel.make_mesh(), SMALL)
  assert sharding.splits(parallel.make_mesh(fsdp=2), SMALL)
  assert sharding.splits(parallel.make_mesh(), ((".*", ("data",)),))


def test_the_first_rule_decides_and_rules_may_have_mesh_axes():
  rules = (
    ("head/.*", "replicate"),
    ("conv/kernel", (None, None, ("data", "fsdp"))),
    (".*", "fsdp(min_size=64)"),
  )
  assert _specs(PARAMS, rules, fsdp=4) == {
    "conv/kernel": P(None, None, ("data", "fsdp")),
    "conv/bias": P("fsdp"),
    "head/kernel": P(),
    "odd/kernel": P(),
  }


@pytest.mark.parametrize("name", ["sgd", "adamw", "adagrad", "muon", "lars"])
def test_optimizer_state_is_sharded_like_its_parameter(name):
  params = jax.tree.map(lambda x: jnp.zeros(x.shape), PARAMS)
  optimizer = optimizers.create(
    name,
    learning_rate=lambda step: 0.1,
    params=params,
    weight_decay=0.1,
    weight_decay_rules=((".*kernel", 1.0), (".*", 0.0)),
    options={"momentum": 0.9} if name == "sgd" else None,
  )
  variables = {"params": params, "batch_stats": {"bn": jnp.zeros(128)}}
  state = jax.eval_shape(lambda: init_state(variables, optimizer, ema=True))
  found = _specs(state, SMALL, fsdp=8)
  wide = P(None, None, None, "fsdp")
  kernels = [path for path in found if path.endswith("conv/kernel")]
  # Of the parameter, its average, and at least one of the optimizer.
  assert len(kernels) >= 3
  assert {found[path] for path in kernels} == {wide}
  assert found["model_state/batch_stats/bn"] == P()
  assert found["step"] == P()


def test_state_of_another_shape_than_its_parameter_is_replicated():
  rows = {"rows": {"conv": {"kernel": _shape(128)}}}
  assert _specs(rows, SMALL, fsdp=8) == {"rows/conv/kernel": P()}


@pytest.mark.parametrize(
  ("rules", "message"),
  [
    ((("head/.*", "fsdp"),), "mesh.rules: no rule for conv/bias"),
    ((("heat/.*", "fsdp"), (".*", "fsdp")), "mesh.rules: 'heat/.*' matches no"),
    (((".*", "fdsp"),), "unknown mesh.rules layout 'fdsp'; did you mean"),
    (((".*", "fsdp(size=3)"),), "mesh.rules layout 'fsdp(size=3)'"),
    (
      ((".*", ("model",)),),
      "has the unknown axis model; the mesh has replica, data, fsdp",
    ),
  ],
)
def test_rules_that_do_not_fit_are_explained(rules, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    _specs(PARAMS, rules, fsdp=8)


@pytest.mark.parametrize(
  ("layout", "message"),
  [
    (
      (None, "fsdp"),
      "(None, 'fsdp') for head/kernel of shape (128, 10): 10 is "
      "not a multiple of the 8 devices along fsdp",
    ),
    ((None, None, "fsdp"), "of shape (128, 10) has too many axes"),
  ],
)
def test_a_layout_of_mesh_axes_must_fit_the_shape(layout, message):
  rules = (("head/kernel", layout), (".*", "replicate"))
  with pytest.raises(ValueError, match=re.escape(message)):
    _specs(PARAMS, rules, fsdp=8)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vit_ti16", "mlp", "resnet18"])
def test_no_device_has_a_complete_state(model, monkeypatch):
  """As accelerators draw them; CPUs, which share their memory, draw vectors.

  No array of the compiled program is larger than the shares of a device.
  """
  monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
  options = {
    "vit_ti16": {"width": 128, "depth": 2, "mlp_dim": 512, "num_heads": 4},
    "mlp": {"hidden": (512, 512)},
    "resnet18": {"blocks": (1, 1), "features": 128},
  }[model]
  module = models.create(model, num_classes=24, **options)

  def init():
    variables = init_variables(module, 0, (32, 32, 3))
    optimizer = optimizers.create(
      "adamw", learning_rate=lambda step: 0.1, params=variables["params"]
    )
    return init_state(variables, optimizer, ema=True)

  state = jax.eval_shape(init)
  mesh = parallel.make_mesh(fsdp=8)
  where = sharding.of_state(state, state.params, mesh, rules=SMALL)
  program = batched_init.jit(init, out_shardings=where, compiler_options=_FAST)
  shares = [
    np.prod(sharded.shard_shape(leaf.shape))
    for leaf, sharded in zip(
      jax.tree.leaves(state), jax.tree.leaves(where), strict=True
    )
  ]
  largest = max(_sizes(program.lower().compile().as_text()))
  assert largest == max(shares)
  assert largest < max(leaf.size for leaf in jax.tree.leaves(state)) / 7


def _sizes(text):
  for axes in re.findall(r"\w\d+\[([\d,]*)\]", text):
    yield np.prod([int(axis) for axis in axes.split(",") if axis])


# No parameter size has this factor, so a size with it belongs to the batch.
MARK = 7
VIT = {"patch_size": 4, "width": 64, "depth": 2, "mlp_dim": 256, "num_heads": 4}
MODELS = {
  "vit_ti16": VIT,
  "vit_ti16 scanned": {**VIT, "scan_layers": True},
  "mixer_s16": {
    "patch_size": 4,
    "width": 64,
    "depth": 2,
    "tokens_dim": 32,
    "channels_dim": 256,
  },
  "resnet18": {"blocks": (1, 1), "stem": "small"},
  # Statistics of two devices each.
  "resnet18 with ghosts": {
    "blocks": (1, 1),
    "stem": "small",
    "norm": f"ghost_batch_norm({2 * MARK})",
  },
  "efficientnet_b0": {
    "stages": ((1, 3, 1, 1, 16), (1, 5, 2, 6, 32)),
    "stem": "small",
  },
}
QUICK = ("mixer_s16", "resnet18 with ghosts")


def _moved(folder, name, **overrides):
  """The shapes that devices exchange in a train step."""
  sizes = {"train": 60, "validation": 8}
  tiny_runs.write_data(folder, shape=(16, 16, 3), num_classes=24, sizes=sizes)
  parts = tiny_runs.prepare(
    folder,
    model__name=name.split()[0],
    model__options=MODELS[name],
    data__channels=3,
    data__device_transforms=("random_flip",),
    train__batch_size=8 * MARK,
    mesh__rules=SMALL,
    optimizer__name="adamw",
    **overrides,
  )
  step = make_train_step(parts.task.loss, parts.optimizer)
  where = jax.tree.map(lambda leaf: leaf.sharding, parts.template)
  whole = parallel.replicated(parts.mesh)
  batch = parts.batch
  program = jax.jit(step, out_shardings=(where, whole), compiler_options=_FAST)
  text = program.lower(parts.template, batch, parts.seed).compile().as_text()
  return list(_exchanged(re.sub(r"/\*.*?\*/", "", text)))


def _exchanged(text):
  kinds = "all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute"
  for found in re.finditer(rf"= (\(.*?\)|\S+) ({kinds})(?:-start)?\(", text):
    for axes in re.findall(r"\w\d+\[([\d,]*)\]", found[1]):
      yield found[2], tuple(int(axis) for axis in axes.split(",") if axis)


def _of_the_batch(shapes):
  return [
    (kind, shape)
    for kind, shape in shapes
    if any(axis % MARK == 0 for axis in shape)
  ]


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("fsdp", [8, 2])
@pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
    for name in MODELS
  ],
)
def test_parameters_move_and_the_batch_stays(name, fsdp, tmp_path):
  shapes = _moved(tmp_path, name, mesh__fsdp=fsdp)
  assert any(kind == "all-gather" for kind, _ in shapes)
  assert _of_the_batch(shapes) == []


def test_without_constraints_the_batch_would_move(tmp_path, monkeypatch):
  """Otherwise the test above would be without effect."""
  monkeypatch.setattr(sharding, "split", lambda params, *_, **__: params)
  monkeypatch.setattr(sharding, "batch_split", lambda *_: jax.named_scope(""))
  assert _of_the_batch(_moved(tmp_path, "mixer_s16", mesh__fsdp=8)) != []

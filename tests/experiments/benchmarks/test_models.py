"""The benchmark of models: its measurements in turns, and its output."""

import functools
import importlib
import json
import math
import pathlib
import types

import jax
import numpy as np
import pytest

from jaxvision import models, summary
from jaxvision.layers import depthwise
from jaxvision.variables import variable_shapes

_FOLDER = pathlib.Path(__file__).parents[3] / "experiments" / "benchmarks"
_ENGINES = ("ours", "torch+a", "torch+b")
_JOB = {
  "framework": "jaxvision",
  "options": [],
  "network": "linear",
  "attributes": {},
  "mode": "train",
  "batch_size": 4,
  "image_size": 8,
  "dtype": "float32",
}
# Answers as worker.py does, and writes down who was asked what; the engine
# called "broken" stops at its first step.
_FAKE_WORKER = """
import json, sys
job = json.loads(sys.argv[1])
def answer(command, **values):
  with open(job["log"], "a") as file:
    print(job["name"], command, file=file)
  print(json.dumps(values), flush=True)
answer("start", device="cpu", versions={})
for command in map(str.strip, sys.stdin):
  if command == "describe":
    answer(command, parameters=7)
    continue
  if job["name"] == "broken" and command == "1":
    sys.exit("the network broke")
  answer(command, seconds=0.5, peak_bytes=job["peak"], other_cores=0.25)
"""


def _import(name):
  """Imports a file that scripts import from their own folder."""
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(_FOLDER)
    patch.syspath_prepend(_FOLDER / "engines")
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def benchmark():
  return _import("models")


@pytest.fixture(scope="module")
def rounds():
  return _import("engines.rounds")


@pytest.fixture(scope="module")
def ours():
  return _import("in_jaxvision")


@pytest.fixture
def fake_jobs(rounds, monkeypatch, tmp_path):
  """Jobs by name for workers that only answer, and the log of all of them."""
  script, log = tmp_path / "worker.py", tmp_path / "log"
  script.write_text(_FAKE_WORKER)
  monkeypatch.setattr(rounds, "_WORKER", script)

  def make(**peaks):
    return {
      name: {"options": [], "name": name, "peak": peak, "log": str(log)}
      for name, peak in peaks.items()
    }

  return make, lambda: log.read_text().splitlines()


def _batch():
  """The images (4, 192) and labels that the linear model gets."""
  images = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))
  return np.asarray(images, np.float64).reshape(4, -1), np.arange(4)


def _slow_losses(number):
  """Losses of a linear model that starts at zero: SGD with momentum 0.9."""
  images, labels = _batch()
  targets, losses = np.eye(1000)[labels], []
  weights, velocity = (np.zeros((193, 1000)) for _ in range(2))
  inputs = np.concatenate([images, np.ones((4, 1))], axis=1)
  for _ in range(number):
    logits = inputs @ weights
    exponentials = np.exp(logits)
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    losses.append(-np.log((shares * targets).sum(axis=1)).mean())
    velocity = 0.9 * velocity + inputs.T @ (shares - targets) / len(labels)
    weights -= 1e-3 * velocity
  return losses


def test_train_steps_are_sgd_with_momentum_and_go_on(ours):
  steps, describe = ours.build(_JOB)
  expected = _slow_losses(4)
  assert expected[0] == pytest.approx(math.log(1000))
  assert steps(1) == pytest.approx(expected[0], rel=1e-6)
  assert steps(3) == pytest.approx(expected[3], rel=1e-6)
  assert describe() == {"parameters": 193_000, "flops": 2 * 192 * 1000}


def test_inference_is_the_forward_pass(ours):
  job = {**_JOB, "network": "mlp", "mode": "infer"}
  steps, _ = ours.build(job)
  images = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))
  model = models.create("mlp", num_classes=1000)
  init = jax.jit(functools.partial(model.init, train=False))
  variables = init(jax.random.key(0), images[:1])
  logits = model.apply(variables, images, train=False)
  assert steps(2) == pytest.approx(float(logits.mean()), rel=1e-4)


def test_nothing_is_dropped(ours):
  job = {**_JOB, "network": "efficientnet_b0", "attributes": {"width": 2.0}}
  model = ours.create(job)
  assert (model.dropout, model.drop_connect, model.width) == (0, 0, 2)
  assert models.create("efficientnet_b0", num_classes=1000).dropout > 0


def test_lax_is_the_same_convolution(ours):
  keys = jax.random.split(jax.random.key(0))
  x = jax.random.normal(keys[0], (2, 9, 9, 4))
  kernel = jax.random.normal(keys[1], (3, 3, 1, 4))
  options = {"strides": (2, 2), "padding": "SAME"}
  np.testing.assert_allclose(
    ours.convolve_as_flax(x, kernel, **options),
    depthwise.convolve(x, kernel, **options),
    atol=1e-5,
  )


def test_engines_alternate(rounds, fake_jobs):
  make, log = fake_jobs
  first, second = rounds.measure(
    make(first=3, second=5), rounds=2, block_seconds=2.0
  )
  # A step takes 0.5 s, so four make a block.
  commands = ("start", "build", "1", "1", "4", "4", "describe")
  assert sorted(log()[:2]) == ["first start", "second start"]
  assert log()[2:] == [
    f"{name} {command}"
    for command in commands[1:]
    for name in ("first", "second")
  ]
  assert first.step == second.step == [0.125, 0.125]
  assert (first.peak_bytes, second.peak_bytes) == (3, 5)
  assert first.facts == {"device": "cpu", "versions": {}, "parameters": 7}


def test_initialisation_starts_anew_each_round(rounds, fake_jobs):
  make, log = fake_jobs
  first, second = rounds.measure_init(make(first=3, second=5), rounds=2)
  assert log() == 2 * [
    f"{name} {command}"
    for name in ("first", "second")
    for command in ("start", "build", "describe")
  ]
  assert first.init == second.init == [0.5, 0.5]
  assert first.facts["parameters"] == 7 and not first.step


def test_an_engine_that_stops_leaves_the_others(rounds, fake_jobs, capsys):
  make, _ = fake_jobs
  results = rounds.measure(make(whole=1, broken=1), rounds=1, block_seconds=0.1)
  assert [each.engine for each in results] == ["whole"]
  assert "broken stopped: the network broke" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_stops_the_worker():
  engine = types.SimpleNamespace(
    start=lambda job: {},
    build=lambda job: (lambda number: math.nan, dict),
    device_peak=lambda: None,
  )
  answers = []
  with pytest.raises(FloatingPointError, match="last step is nan"):
    _import("worker").serve(engine, {}, ["build", "3"], answers.append)
  assert len(answers) == 2  # of the start and of the weights


def _results(rounds, *, parameters=(7, 7, 7)):
  """Three engines; in the second round the machine was busy."""
  steps = ([0.1, 0.9, 0.1], [0.2, 1.8, 0.2], [0.3, 0.9, 0.3])
  return [
    rounds.Result(
      engine=engine,
      facts={"parameters": count, "flops": 1e9},
      init=[1.0],
      first_step=2.0,
      step=step,
      peak_bytes=2**21,
    )
    for engine, step, count in zip(_ENGINES, steps, parameters, strict=True)
  ]


def _cells(line):
  return [cell.strip() for cell in line.strip("|").split("|")]


def test_row_of_the_table(benchmark, rounds):
  first, _, third = _results(rounds, parameters=(7, 7, 8_000))
  row = functools.partial(
    benchmark.table_row, first=first, batch_size=30, peak_tflops=3.0
  )
  assert _cells(row(("net", "train"), first)) == [
    *("net", "train", "ours", "1.0", "2.0", "100", "300", "1.00", "2"),
    *("0.9", "30.0%"),  # 3 passes x 30 images x 1e9 operations in 0.1 s
  ]
  assert _cells(row(("net", "infer"), third)) == [
    *("net", "infer", "torch+b, 8,000 parameters", "1.0", "2.0", "300"),
    *("100", "3.00", "2", "0.1", "3.3%"),
  ]


def test_summary_names_the_fastest_of_others(benchmark, rounds):
  *_, line = benchmark.summary({("net", "train"): _results(rounds)})
  assert _cells(line) == ["net", "train", "torch+a", "2.00"]
  alone = {("net", "train"): _results(rounds)[:1]}
  assert benchmark.summary(alone) == []


def test_peaks_are_of_the_dtype_and_the_device(benchmark):
  peak_of = benchmark.peak_of
  assert peak_of("NVIDIA H200", dtype="bfloat16") == 989
  assert peak_of("NVIDIA H100 PCIe", dtype="bfloat16") == 756
  assert peak_of("NVIDIA H200", dtype="float32") is None
  assert peak_of("cpu", dtype="bfloat16") is None


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--engines", "tf"], "no engine 'tf'; there are jaxvision, torch, keras"),
    (["--engines", "torch+lax"], "torch has no option 'lax'; it has channels"),
    (["--mode", "eval"], "no mode 'eval'; there are train, infer, init"),
    (["--engines", "torch"], "torch, which is not installed; `pip install -r"),
  ],
)
def test_wrong_arguments_are_explained(
  benchmark, arguments, message, monkeypatch, capsys
):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(SystemExit):
    benchmark.main(arguments)
  assert message in capsys.readouterr().err


def test_jobs_are_of_the_engines_that_have_the_model(benchmark):
  engines = benchmark.engines
  make = functools.partial(engines.make_jobs, mode="train", options={"size": 8})
  assert list(make("vit_s16", engines.DEFAULT)) == list(engines.DEFAULT[:3])
  jobs = make("shufflenet_v2_x1_0", ["jaxvision+lax", "torch", "keras"])
  assert [
    (each["network"], each["options"], each["attributes"], each["size"])
    for each in jobs.values()
  ] == [
    ("shufflenet_v2_x1_0", ["lax"], {"layout": "torchvision"}, 8),
    ("torchvision.shufflenet_v2_x1_0", [], {}, 8),
  ]


def test_measures_and_prints(benchmark, tmp_path, capsys):
  file = tmp_path / "numbers.json"
  arguments = "--models linear --engines jaxvision --mode train --rounds 1 "
  arguments += "--block_seconds 0.01 --batch 4 --size 8 --json"
  benchmark.main([*arguments.split(), str(file)])
  lines = capsys.readouterr().out.splitlines()
  row = _cells(lines[2])
  assert row[:3] == ["linear", "train", "jaxvision"]
  assert len(row) == len(_cells(lines[0])) == len(benchmark.COLUMNS)
  assert "cpu, Python" in lines[-1]
  (train,) = json.loads(file.read_text())["results"]
  assert train["facts"]["parameters"] == 193_000
  assert 0 < train["step"][0] < train["first_step"]


@pytest.mark.parity
@pytest.mark.parametrize("name", _import("engines").COUNTERPARTS)
def test_torch_has_the_same_network(ours, benchmark, name):
  from parity import torch_side

  in_torch = _import("in_torch")
  jobs = benchmark.engines.make_jobs(
    name, ["jaxvision", "torch"], mode="train", options={"dtype": "float32"}
  )
  create = functools.partial(
    in_torch.create, jobs["torch"]["network"], image_size=128
  )
  model, shape = ours.create(jobs["jaxvision"]), (128, 128, 3)
  shapes = variable_shapes(model, image_shape=shape)["params"]
  parameters = sum(leaf.size for leaf in jax.tree.leaves(shapes))
  macs = summary.flops_per_image(model, image_shape=shape) / 2
  counted_parameters, counted_macs = torch_side.count(create, image_size=128)
  assert counted_parameters == parameters
  # torch does not count means; ours over 7x7 or 6x6 positions are products.
  assert macs == pytest.approx(counted_macs, rel=1e-3)

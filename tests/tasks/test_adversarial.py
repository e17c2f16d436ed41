"""The adversarial task on pairs of noise whose brightness is the class."""

import functools
import json
import signal
import types

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
import spawned
import tiny_runs
from PIL import Image

from jaxvision import (
  cli,
  config,
  data,
  inference,
  models,
  parallel,
  training,
  trees,
)
from jaxvision.runs import pages
from jaxvision.sweeps.vectorized import trials
from jaxvision.tasks import adversarial, contract, generated_images
from jaxvision.training import setup
from jaxvision.training.loop import compilation, evaluators, train_loop

SHAPE = (8, 8, 1)
_RATE = "optimizer.learning_rate"
OPTIONS = {
  "task__name": "adversarial",
  "task__options__critic_updates": 2,
  "model__name": "dagan_small",
  "model__options": {
    "generator_sizes": (4,),
    "critic_sizes": (4,),
    "noise": 3,
  },
  "optimizer__name": "adam",
  "optimizer__options": {"b1": 0.0, "b2": 0.9},
  "optimizer__learning_rate": 0.003,
  "schedule__name": "constant",
  "ema__decay": 0.9,
  "train__batch_size": 24,
  "evaluate__every": "4 steps",
  "data__placement": "device",
}


def write_data(folder):
  return tiny_runs.write_data(
    folder, shape=SHAPE, sizes={"train": 48, "validation": 24}
  )


def _prepare(folder, **changes):
  write_data(folder)
  return tiny_runs.prepare(folder, **{**OPTIONS, **changes})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """The folder of a run of 8 steps, and the file of its data."""
  folder = tmp_path_factory.mktemp("gan")
  path = write_data(folder)
  tiny_runs.load_config(folder)
  training.train(
    str(folder / "recipe.py"),
    workdir=folder / "run",
    overrides=_dotted({**OPTIONS, "train__duration": "8 steps"}),
  )
  return folder / "run", path


def _dotted(options):
  return {key.replace("__", "."): value for key, value in options.items()}


@pytest.mark.slow
def test_the_report_shows_generated_images(trained):
  workdir, _ = trained
  result = json.loads((workdir / "result.json").read_text())
  assert result["final"]["split"] == "validation_ema"
  assert set(result["final"]["metrics"]) == {
    "pixel_frechet",
    "diversity",
    "critic_distance",
    "real_score",
    "generated_score",
    "slope",
    "penalty",
    "loss",
  }
  shown = {page.title: page for page in pages.read(workdir)}
  assert list(shown) == [
    "Generator and critic",
    "Generated images",
    "Interpolations",
  ]
  # Twelve strips of an image and eight generated ones, with clear gaps.
  images = shown["Generated images"].images
  assert images.shape == (12, 10, 9 * 10, 4)
  assert not images[:, 0].any() and not images[:, :, 9:11].any()
  assert (images[:, 1:9, 1:9, 3] == 255).all()
  assert "Interpolations" in (workdir / "report.html").read_text()


@pytest.mark.slow
def test_evaluation_of_a_run_is_that_of_its_training(trained):
  workdir, _ = trained
  result = json.loads((workdir / "result.json").read_text())
  found = inference.evaluate(inference.load_run(workdir), role="validation")
  assert found.metrics == pytest.approx(result["final"]["metrics"], rel=1e-4)


def _apply(run, method, images, others):
  apply = jax.jit(
    functools.partial(run.model.apply, train=False, method=method)
  )
  return apply(run.variables, images, others)


@pytest.mark.slow
def test_the_metrics_are_those_of_the_networks(trained):
  """Computed again with numpy, with the noise of the evaluation."""
  workdir, _ = trained
  run = inference.load_run(workdir)
  found = inference.evaluate(run, role="validation").metrics
  split = data.open_dataset(setup.make_source(run.config), "validation")
  images = np.stack([image for image, _ in split.read(range(24))])
  labels = split.labels()
  order = [
    next(j % 24 for j in range(i + 1, i + 25) if labels[j % 24] == labels[i])
    for i in range(24)
  ]
  real = (images / 127.5 - 1).astype(np.float32)
  noise, _ = adversarial._draws(images.astype(np.uint8), 3)
  fake = [np.asarray(_apply(run, "generate", real, each)) for each in noise]
  scores = [
    np.asarray(_apply(run, "criticize", real, each))
    for each in (real[order], fake[0])
  ]
  assert found["real_score"] == pytest.approx(scores[0].mean(), rel=1e-3)
  assert found["critic_distance"] == pytest.approx(
    (scores[0] - scores[1]).mean(), rel=1e-3, abs=1e-4
  )
  assert found["diversity"] == pytest.approx(
    np.abs(fake[0] - fake[1]).mean() / 2, rel=1e-3
  )
  # Images of 8x8 pixels are not reduced.
  gaussians = []
  for each in (real[order], np.asarray(fake[0])):
    flat = each.reshape(24, -1).astype(np.float64)
    gaussians += [flat.mean(0), np.cov(flat.T, bias=True)]
  expected = adversarial.generation.frechet_distance(*gaussians)
  assert found["pixel_frechet"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_commands_work_or_say_what_does(trained, tmp_path, capsys):
  workdir, path = trained
  run, target = str(workdir), tmp_path / "generated.npz"
  command = ["generate", str(target), "--workdir", run, "--data", str(path)]
  assert cli.main([*command, "--split=train[:5]", "--per_image=3"]) == 0
  with np.load(target) as made:
    assert made["images"].shape == (15, *SHAPE)
    assert made["generated"].all()
    np.testing.assert_array_equal(made["labels"][:5], made["labels"][5:10])
    assert np.abs(made["images"][:5].astype(int) - made["images"][5:10]).max()
  Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "image.png")
  predict = ["predict", "--workdir", run, str(tmp_path / "image.png")]
  assert cli.main(predict) == 2
  assert cli.main(["evaluate", "--workdir", run, "--split=validation"]) == 0
  converted = str(tmp_path / "weights.safetensors")
  assert cli.main(["weights", "convert", run, converted]) == 2
  probe = ["probe", "--workdir", run, "--data", str(path)]
  assert cli.main([*probe, "--test=validation", "--probes=lda"]) == 2
  distance = ["distance", "--workdir", run, "--data", str(path)]
  assert cli.main([*distance, f"--generated={target}"]) == 2
  errors = capsys.readouterr().err
  assert "`jaxvision generate OUT.npz" in errors
  assert "has no published layout; use `jaxvision export`" in errors
  assert errors.count("pairs of images; give a classifier") == 2


@pytest.mark.slow
def test_the_exported_generator_is_that_of_the_run(trained, tmp_path):
  workdir, path = trained
  target = tmp_path / "generator.jax"
  assert cli.main(["export", str(target), "--workdir", str(workdir)]) == 0
  with np.load(path) as arrays:
    images = arrays["train_images"][:3].astype(np.uint8)
  noise = np.asarray(jax.random.normal(jax.random.key(1), (3, 3)))
  artifact = jax.export.deserialize(target.read_bytes())
  run = inference.load_run(workdir)
  sample = jax.jit(run.task.generator.generate)
  expected = np.asarray(sample(run.variables, images, noise), int)
  found = np.asarray(artifact.call(images, noise), int)
  assert np.abs(found - expected).max() <= 1  # rounding
  assert found.shape == (3, *SHAPE)


def _arguments(folder, workdir):
  """Those of a run of 24 steps, with evaluations and checkpoints."""
  options = {
    **_dotted(OPTIONS),
    "train.duration": "24 steps",
    "evaluate.every": "8 steps",
    "checkpoint.every": "4 steps",
    "log.every": "2 steps",
  }
  model = options.pop("model.options")
  recipe = folder / "gan.py"
  text = (folder / "recipe.py").read_text()
  recipe.write_text(text.replace('{"hidden": (8,)}', repr(model)), "utf-8")
  flat = config.flatten(options).items()
  return [
    *("train", "--config", str(recipe), "--workdir", str(workdir)),
    *(f"--config.{key}={value}" for key, value in flat),
  ]


def _last_step(workdir):
  try:
    return max([line["step"] for line in spawned.measured(workdir)], default=0)
  except ValueError:  # the process is in the middle of a line
    return 0


@pytest.mark.slow
def test_a_killed_run_ends_like_a_whole_one(tmp_path):
  write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  whole, workdir = tmp_path / "whole", tmp_path / "killed"
  for folder, step in ((whole, None), (workdir, 6), (workdir, 14)):
    command = spawned.start(
      _arguments(tmp_path, folder), output=folder.with_suffix(".txt")
    )
    if step is None:
      assert command.wait() == 0, command.output.read_text()
      continue
    reached = lambda n=step: _last_step(workdir) >= n  # noqa: E731
    assert command.end_when(signal.SIGKILL, reached) == -signal.SIGKILL
  last = spawned.start(
    _arguments(tmp_path, workdir), output=workdir.with_suffix(".txt")
  )
  assert last.wait() == 0, last.output.read_text()
  assert "resuming from step" in last.output.read_text()
  assert spawned.measured(workdir) == spawned.measured(whole)
  ours, theirs = spawned.result(workdir), spawned.result(whole)
  for key in ("fingerprint", "step", "best", "final", "status"):
    assert ours[key] == theirs[key]


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path):
  write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  alone, together = tmp_path / "alone", tmp_path / "together"
  whole = spawned.start(
    _arguments(tmp_path, alone), output=alone.with_suffix(".txt"), devices=4
  )
  assert whole.wait() == 0, whole.output.read_text()
  group = spawned.start_group(
    [_arguments(tmp_path, together)] * 2,
    output=together.with_suffix(".txt"),
    devices=2,
  )
  for command in group:
    assert command.wait() == 0, command.output.read_text()
  ours, theirs = (
    spawned.result(each)["final"]["metrics"] for each in (together, alone)
  )
  assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)
  shown = [[p.title for p in pages.read(each)] for each in (together, alone)]
  assert shown[0] == shown[1] and "Generated images" in shown[0]


@pytest.mark.slow
def test_a_run_stops_at_nan_and_names_its_last_good_checkpoint(tmp_path):
  write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  overrides = {
    **_dotted(OPTIONS),
    _RATE: 1e30,
    "train.duration": "8 steps",
    "schedule.warmup": "4 steps",
    "evaluate.every": "1 steps",
    "checkpoint.every": "1 steps",
  }
  with pytest.raises(train_loop.Diverged, match="The last good checkpoint"):
    training.train(
      str(tmp_path / "recipe.py"), workdir=tmp_path / "run", overrides=overrides
    )
  assert "stopped at step" in (tmp_path / "run" / "result.json").read_text()


@pytest.mark.slow
def test_one_device_and_eight_take_the_same_steps(tmp_path):
  states = []
  for devices in (jax.devices()[:1], jax.devices()):
    write_data(tmp_path)
    config = tiny_runs.load_config(
      tmp_path, **{**OPTIONS, "data__placement": "host"}
    )
    splits = setup.open_splits(config)
    parts = setup.prepare(config, splits, devices=devices)
    step, feed, _ = compilation.compile_step(parts)
    state, batches = parts.init(), feed(0)
    for _ in range(2):
      state, _ = step(state, next(batches)[1])
    states.append(jax.device_get(state))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5),
    *(each.params for each in states),
  )


@pytest.mark.slow
def test_steps_are_the_same_for_any_placement(tmp_path):
  """Also several in one call: the partners are those of the host."""
  states = []
  for options in (
    {"data__placement": "host"},
    {"data__placement": "device"},
    {"data__placement": "device", "train__steps_per_dispatch": 2},
  ):
    parts = _prepare(tmp_path, train__duration="4 steps", **options)
    step, feed, _ = compilation.compile_step(parts)
    state = parts.init()
    for _, batch in feed(0):
      state, _ = step(state, batch)
    assert int(state.step) == 4
    states.append(jax.device_get(state.params))
  for other in states[1:]:
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
      states[0],
      other,
    )


@pytest.mark.slow
def test_trials_in_one_program_are_those_alone(tmp_path):
  write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  recipe = str(tmp_path / "recipe.py")
  overrides = [
    _dotted(
      {
        **OPTIONS,
        "train__duration": "4 steps",
        "optimizer__learning_rate": rate,
      }
    )
    for rate in (0.001, 0.003)
  ]
  folders = [tmp_path / name for name in ("first", "second")]
  for folder in folders:
    folder.mkdir()
  outcomes = trials.run_together(
    recipe, workdirs=folders, overrides=overrides, watch=lambda seen: {}
  )
  assert [each.state for each in outcomes] == ["complete", "complete"]
  alone = training.train(
    recipe, workdir=tmp_path / "alone", overrides=overrides[1]
  )
  together = json.loads((folders[1] / "result.json").read_text())
  assert together["final"]["metrics"] == pytest.approx(
    alone["final"]["metrics"], rel=0.02, abs=1e-3
  )


def test_the_loss_is_the_formula_for_each_network(tmp_path):
  """Written out with two losses and stop_gradient, without the reversal."""
  task, variables, batch = _task(tmp_path)
  model = models.create(
    "dagan_small", num_classes=3, **OPTIONS["model__options"]
  )
  params = variables["params"]
  rest = {"batch_stats": variables["batch_stats"]}
  key = jax.random.key(5)
  found, _ = jax.jit(jax.grad(task.loss, has_aux=True))(
    params, rest, batch, key
  )

  # The keys of the task.
  _, inner = jax.random.split(key)
  noise_key, _, score_key = jax.random.split(inner, 3)
  mix_key = jax.random.split(score_key, 4)[3]
  images, partners = (
    jnp.asarray(batch[name] / 127.5 - 1, jnp.float32)
    for name in ("image", "partner")
  )
  noise = jax.random.normal(noise_key, (4, 3))

  def generate(generator):
    tree = {"params": {**params, "generator": generator}, **rest}
    return model.apply(
      tree,
      images,
      noise,
      train=True,
      method="generate",
      mutable=["batch_stats"],
    )[0]

  def score(critic, others):
    tree = {"params": {**params, "critic": critic}}
    return model.apply(tree, images, others, train=True, method="criticize")

  def of_critic(critic):
    fake = jax.lax.stop_gradient(generate(params["generator"]))
    share = jax.random.uniform(mix_key, (4, 1, 1, 1))
    slopes = jax.vmap(jnp.linalg.norm)(
      jax.grad(lambda others: score(critic, others).sum())(
        share * partners + (1 - share) * fake
      ).reshape(4, -1)
    )
    wasserstein = score(critic, fake).mean() - score(critic, partners).mean()
    return wasserstein + 10 * jnp.square(slopes - 1).mean()

  def of_generator(generator):
    return -score(params["critic"], generate(generator)).mean()

  expected = {
    "critic": jax.jit(jax.grad(of_critic))(params["critic"]),
    "generator": jax.jit(jax.grad(of_generator))(params["generator"]),
  }
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5),
    found,
    expected,
  )


def _task(folder, **changes):
  """The task, its variables, and a batch of 4 pairs."""
  write_data(folder)
  config = tiny_runs.load_config(folder, **{**OPTIONS, **changes})
  task = tiny_runs.make_task(config, setup.make_model(config, 3), SHAPE)
  rng = np.random.default_rng(0)
  images, partners = rng.integers(0, 255, (2, 4, *SHAPE), np.uint8)
  batch = {
    "image": images,
    "partner": partners,
    "label": np.array([0, 1, 2, 1], np.int32),
    "mask": np.ones(4, np.float32),
  }
  return task, jax.jit(task.init)(jax.random.key(0)), batch


def _close(one, other):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-4),
    one,
    other,
  )


def test_an_evaluation_does_not_depend_on_its_batches(tmp_path):
  """Nor on the content of masked rows."""
  task, variables, batch = _task(tmp_path)
  evaluate = jax.jit(task.evaluate)
  whole, images = evaluate(variables, batch)
  parts = []
  for rows in ([0, 1], [2, 3]):
    # Two examples first, then two that are masked.
    part = {k: v[[*rows, *rows[::-1]]] for k, v in batch.items()}
    part["image"][2:] = part["partner"][2:] = 7
    part["mask"][2:] = 0
    parts.append(evaluate(variables, part))
  _close(whole, jax.tree.map(np.add, parts[0][0], parts[1][0]))
  found = np.concatenate([np.asarray(each[:2], int) for _, each in parts])
  assert np.abs(found - np.asarray(images, int)).max() <= 1  # rounding
  assert int(whole["count"]) == 4


def test_masked_pairs_are_not_in_the_loss(tmp_path):
  task, variables, batch = _task(tmp_path)
  params = variables.pop("params")
  loss = jax.jit(task.loss)

  def measured(mask):
    given = {**batch, "mask": np.array(mask, np.float32)}
    total, (_, sums) = loss(params, variables, given, jax.random.key(1))
    assert total == pytest.approx(float(sums["loss"] / sums["count"]))
    return sums

  few, others = measured([1, 0, 0, 1]), measured([0, 1, 1, 0])
  assert int(few["count"]) == 2
  _close(measured([1] * 4), jax.tree.map(jnp.add, few, others))


@pytest.mark.parametrize(
  "frozen", ["generator", pytest.param("encode0", marks=pytest.mark.slow)]
)
def test_frozen_layers_keep_their_statistics(frozen, tmp_path):
  rules = ((f"(.*/)?{frozen}/.*", None), (".*", 1.0))
  task, variables, batch = _task(tmp_path, optimizer__learning_rate_rules=rules)
  params = variables.pop("params")
  _, (state, _) = jax.jit(task.loss)(
    params, variables, batch, jax.random.key(1)
  )
  before = trees.flatten(variables["batch_stats"])
  for path, after in trees.flatten(state["batch_stats"]).items():
    same = bool((after == before[path]).all())
    assert same == (f"{frozen}/" in path), path


@pytest.mark.slow
def test_a_network_with_dropout_can_be_frozen_in_part(tmp_path):
  small = {"sizes": (4, 4), "generator_layers": 1, "critic_layers": 1}
  task, variables, batch = _task(
    tmp_path,
    model__name="dagan",
    model__options={**small, "noise": 3, "hidden": 4},
    optimizer__learning_rate_rules=((".*/encode0/.*", None), (".*", 1.0)),
  )
  params = variables.pop("params")
  gradients, _ = jax.jit(jax.grad(task.loss, has_aux=True))(
    params, variables, batch, jax.random.key(1)
  )
  for path, each in trees.flatten(gradients).items():
    assert "/encode0/" not in path or not np.any(each), path
  assert np.any(gradients["critic"]["score"]["kernel"])


def test_generated_images_do_not_depend_on_the_size_of_batches():
  """A generator that shows its noise, of images that are all equal."""
  shown = contract.Generator(
    lambda variables, images, noise: jnp.clip(
      100 + 50 * noise[:, :1, None, None] + 0 * images, 0, 255
    ).astype(jnp.uint8),
    noise=2,
  )
  run = types.SimpleNamespace(
    task=types.SimpleNamespace(generator=shown),
    image_shape=(1, 1, 1),
    mesh=parallel.make_mesh(jax.devices()[:1]),
    variables={},
  )
  split = data.sources.pairs.from_arrays(
    np.zeros((7, 1, 1, 1), np.uint8), np.zeros(7, int)
  )
  made = []
  for size in (7, 3):
    batches = data.make_batches(split, batch_size=size, channels=1)
    made.append(
      inference.generation.generate(run, batches, per_image=2)["images"]
    )
  np.testing.assert_array_equal(*made)
  assert len(np.unique(made[0])) > 10


def test_a_device_transform_moves_both_images_of_a_pair_alike(tmp_path):
  turning = ("random_quarter_turn(p=1.0)",)
  task, _, batch = _task(tmp_path, data__device_transforms=turning)
  batch["partner"] = batch["image"]
  given, moved = task.inputs(batch, jax.random.key(0))
  np.testing.assert_array_equal(moved["image"], moved["partner"])
  turns = [
    next(k for k in range(4) if np.array_equal(np.rot90(one, k), other))
    for one, other in zip(
      np.asarray(given["image"]), np.asarray(moved["image"]), strict=True
    )
  ]
  assert len(set(turns)) > 1


def test_noise_moves_on_the_arc():
  a, b = np.array([2.0, 0.0]), np.array([0.0, 2.0])
  for share in (0.0, 0.3, 1.0):
    point = generated_images.interpolate(a, b, share)
    angle = share * np.pi / 2
    np.testing.assert_allclose(
      point, [2 * np.cos(angle), 2 * np.sin(angle)], atol=1e-12
    )
  np.testing.assert_allclose(generated_images.interpolate(a, a, 0.4), a)


@pytest.mark.parametrize(
  ("values", "text"),
  [
    ({"slope": 1.1, "diversity": 0.1}, ""),
    ({"slope": 12.0, "diversity": 0.1}, "the critic diverges"),
    ({"slope": 1.1, "diversity": 0.0001}, "ignores its noise"),
  ],
)
def test_failures_with_finite_numbers_are_named(values, text):
  found = adversarial.problem(values)
  assert found.startswith(text) or text in found
  assert bool(found) == bool(text)


def test_wrong_configs_have_clear_errors(tmp_path):
  for changes, message in (
    ({"model__name": "mlp", "model__options": {}}, "needs a generator and a"),
    ({"data__mean": (0.1,)}, r"data\.mean is \(0\.1,\).*set data\.mean"),
    ({"train__batch_size": 16}, r"2 of the critic, 1 of the generator.*24"),
    ({"task__name": "classification", "task__options": {}}, "no outputs for"),
    ({"evaluate__probes": ("lda",)}, "pairs of images; give a classifier"),
  ):
    with pytest.raises(ValueError, match=message):
      parts = _prepare(tmp_path, **changes)
      found = evaluators.make_evaluators(parts)
      evaluators.make_measures(parts, found)


def test_a_class_of_one_image_is_refused(tmp_path):
  path = tmp_path / "data.npz"
  images = np.zeros((25, *SHAPE), np.uint8)
  labels = np.array([0] * 24 + [1])
  np.savez(
    path,
    train_images=images,
    train_labels=labels,
    validation_images=images,
    validation_labels=labels,
  )
  with pytest.raises(ValueError, match="have one example"):
    tiny_runs.prepare(tmp_path, **OPTIONS)

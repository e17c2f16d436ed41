"""Test-time augmentation is a loop over views, and an average."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_modules
import tiny_runs
from PIL import Image

from jaxvision import cli, data, inference, models, parallel, weights
from jaxvision.cli import parsing
from jaxvision.configs import default
from jaxvision.inference import pretrained, views
from jaxvision.training import setup

CLASSES = 7
SIDE = 16
_LABELS = {"multilabel": "sets", "regression": "numbers"}
_LOSS = {"multilabel": "sigmoid", "regression": "squared_error"}
_CUT = ("resize_small(20)", "center_crop(16)")


def _run(task="classification", transforms=(), *, loss="", devices=1, size=32):
  """A linear model with random weights: no view has the outputs of another."""
  config = default.get_config()
  config.data.mean, config.data.std = (0.5,), (0.25,)
  config.data.eval_transforms = transforms
  config.task.name = task
  config.data.labels = _LABELS.get(task, "classes")
  config.loss.name = loss or _LOSS.get(task, "softmax")
  config.evaluate.batch_size = size
  model = models.create("linear", num_classes=CLASSES)
  shape = (SIDE, SIDE, 3)
  names = tuple("abcdefg")
  mesh = parallel.make_mesh(jax.devices()[:devices])
  variables = small_modules.random_variables(model, shape)
  return inference.TrainedRun(
    config=config,
    class_names=names,
    image_shape=shape,
    model=model,
    variables=jax.device_put(variables, parallel.replicated(mesh)),
    task=setup.make_task(config, model, image_shape=shape, class_names=names),
    step=0,
    mesh=mesh,
  )


def _images(count=37, height=SIDE, width=SIDE):
  rng = np.random.default_rng(1)
  return rng.integers(0, 256, (count, height, width, 3)).astype(np.uint8)


def _labels(task, count=37):
  rng = np.random.default_rng(2)
  if task == "multilabel":
    return rng.integers(0, 2, (count, CLASSES)).astype(np.uint8)
  if task == "regression":
    return rng.normal(size=(count, CLASSES)).astype(np.float32)
  return rng.integers(0, CLASSES, count)


def _write(path, images, labels):
  np.savez(path, images=images, labels=labels, class_names=list("abcdefg"))
  return str(path)


def _measure(run, images, labels, folder, tta):
  path = _write(folder / "data.npz", images, labels)
  return pretrained.evaluate(run, "npz", path, "train", tta=tta)


def _views(image, calls, transforms):
  """The views of an image in plain numpy."""
  pad, size = {
    "crops": (1, SIDE),
    "crops(fraction=0.8)": (2, SIDE),
    "flip": (0, SIDE),
  }[calls.replace("flip,", "")]
  if transforms and "crops" in calls:
    image = data.make_host_transform(transforms[:1])(None, image)
    top, left = ((side - 20) // 2 for side in image.shape[:2])
    image = image[top : top + 20, left : left + 20]
  else:
    image = data.make_host_transform(transforms)(None, image)
    image = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
  room = image.shape[0] - size
  corners = [(room // 2, room // 2)]
  if "crops" in calls:
    corners += [(0, 0), (0, room), (room, 0), (room, room)]
  found = [image[y : y + size, x : x + size] for y, x in corners]
  if "flip" in calls:
    found += [each[:, ::-1] for each in found]
  return found


def _outputs(run, image):
  pixels = ((image / 255 - 0.5) / 0.25).astype(np.float32)
  apply = jax.jit(run.model.apply, static_argnames="train")
  found = apply(run.variables, pixels[None], train=False)
  return np.asarray(found[0], np.float64)


def _softmax(logits):
  exponents = np.exp(logits - logits.max())
  return exponents / exponents.sum()


def _means(run, images, calls, answer, transforms=()):
  return np.stack(
    [
      np.mean(
        [answer(_outputs(run, v)) for v in _views(image, calls, transforms)], 0
      )
      for image in images
    ]
  )


def _calibration_error(p, labels):
  """Guo et al. (2017), 15 equal bins (low, high] of the confidence."""
  confidence, right = p.max(1), p.argmax(1) == labels
  bins = np.clip(np.ceil(confidence * 15).astype(int) - 1, 0, 14)
  gaps = [
    abs(confidence[bins == i].sum() - right[bins == i].sum()) for i in range(15)
  ]
  return sum(gaps) / len(labels)


@pytest.mark.matrix("crops")
@pytest.mark.parametrize("transforms", [(), _CUT], ids=["shifted", "cut"])
@pytest.mark.parametrize("calls", ["flip", "crops", "flip,crops"])
def test_the_metrics_are_those_of_a_loop(calls, transforms, tmp_path):
  """The last batch is padded; each example counts once."""
  run = _run(transforms=transforms)
  images = _images(height=24, width=31) if transforms else _images()
  p = _means(run, images, calls, _softmax, transforms)
  right = np.arange(37) % 3 > 0
  labels = np.where(right, p.argmax(1), _labels("classification"))
  found = _measure(run, images, labels, tmp_path, calls)
  ranks = (p > p[np.arange(37), labels][:, None]).sum(1)
  expected = {
    "top1": (ranks < 1).mean(),
    "top5": (ranks < 5).mean(),
    "loss": -np.log(p[np.arange(37), labels]).mean(),
    "calibration_error": _calibration_error(p, labels),
  }
  for name, value in expected.items():
    assert found.metrics[name] == pytest.approx(value, rel=1e-4), name
  confusion = np.zeros((CLASSES, CLASSES), int)
  np.add.at(confusion, (labels, p.argmax(1)), 1)
  np.testing.assert_array_equal(found.sums["confusion"], confusion)


def _sigmoid(logits):
  return 1 / (1 + np.exp(-logits))


@pytest.mark.slow
def test_probabilities_of_sets_are_averaged(tmp_path):
  run, images, labels = _run("multilabel"), _images(), _labels("multilabel")
  found = _measure(run, images, labels, tmp_path, "flip,crops").metrics
  p = _means(run, images, "flip,crops", _sigmoid)
  loss = -np.where(labels, np.log(p), np.log1p(-p)).sum(1).mean()
  assert found["loss"] == pytest.approx(loss, rel=1e-4)
  wrong = (p > 0.5) != labels
  assert found["hamming_loss"] == pytest.approx(wrong.mean())


@pytest.mark.slow
def test_numbers_are_averaged(tmp_path):
  run, images, labels = _run("regression"), _images(), _labels("regression")
  found = _measure(run, images, labels, tmp_path, "flip,crops").metrics
  values = _means(run, images, "flip,crops", lambda outputs: outputs)
  error = np.abs(values - labels).mean()
  assert found["mean_absolute_error"] == pytest.approx(error, rel=1e-4)


def test_a_student_is_evaluated_as_a_classifier(tmp_path):
  images, labels = _images(), _labels("classification")
  found, expected = (
    _measure(_run(task), images, labels, tmp_path, "flip").metrics
    for task in ("distillation", "classification")
  )
  assert found["top1"] == expected["top1"]
  assert found["label_loss"] == pytest.approx(expected["loss"])


@pytest.mark.parametrize("loss", ["softmax", "hinge", "square"])
def test_views_that_are_equal_change_nothing(loss, tmp_path):
  """Mirrored symmetric images, and shifted images of one colour."""
  run, labels = _run(loss=loss), _labels("classification")
  half = _images()[:, :, : SIDE // 2]
  symmetric = np.concatenate([half, half[:, :, ::-1]], axis=2)
  plain = np.broadcast_to(half[:, :1, :1], symmetric.shape)
  for images, calls in ((symmetric, "flip"), (plain, "flip,crops")):
    found, expected = (
      _measure(run, images, labels, tmp_path, tta).metrics
      for tta in (calls, "")
    )
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
  changed = _measure(run, _images(), labels, tmp_path, "flip").metrics
  unchanged = _measure(run, _images(), labels, tmp_path, "").metrics
  assert changed["loss"] != pytest.approx(unchanged["loss"], rel=1e-3)


@pytest.mark.parametrize("mean", ["mean_of_classes", "mean_of_sets"])
def test_the_mean_of_extreme_views_is_finite(mean):
  """Probabilities that are 0 in float32 have finite logarithms."""
  from jaxvision.tasks import supervised

  logits = jnp.array([[[300.0, -300.0, 0.0], [200.0, -400.0, 10.0]]])
  found = np.asarray(getattr(supervised, mean)(logits))
  assert np.isfinite(found).all()
  equal = getattr(supervised, mean)(logits[:, [1, 1, 1]])
  np.testing.assert_allclose(equal, logits[:, 1], rtol=1e-6)


def test_predictions_are_the_mean_of_plain_predictions(tmp_path):
  """Each view is a file that `predict` reads as it is."""
  run, plain = _run(transforms=_CUT), _run()
  image = _images(1, 24, 31)[0]
  paths = [tmp_path / "image.png"]
  Image.fromarray(image).save(paths[0])
  for number, view in enumerate(_views(image, "flip,crops", _CUT)):
    paths.append(tmp_path / f"view_{number}.png")
    Image.fromarray(view).save(paths[-1])
  (found,) = inference.predict(run, paths[:1], top=None, tta="crops,flip")
  loop = inference.predict(plain, paths[1:], top=None)
  assert len(loop) == 10
  shares = [[e["probability"] for e in each["probabilities"]] for each in loop]
  np.testing.assert_allclose(
    [each["probability"] for each in found["probabilities"]],
    np.mean(shares, axis=0),
    rtol=1e-5,
  )
  (best,) = inference.predict(run, paths[:1], top=1, tta="flip,crops")
  assert best["top"][0]["class"] == "abcdefg"[np.mean(shares, 0).argmax()]


def test_one_device_is_eight(tmp_path):
  images, labels = _images(), _labels("classification")
  found, expected = (
    _measure(_run(devices=n), images, labels, tmp_path, "flip,crops")
    for n in (8, 1)
  )
  assert found.metrics == pytest.approx(expected.metrics, abs=1e-6)
  np.testing.assert_array_equal(
    found.sums["confusion"], expected.sums["confusion"]
  )


def test_the_evaluation_is_compiled_once(tmp_path, monkeypatch):
  traces, of = [], views.of
  monkeypatch.setattr(
    views, "of", lambda *each: [traces.append(1), of(*each)][1]
  )
  run = _run()
  assert views.batch_size(run, views.choose(run, "flip,crops")) == 3
  _measure(run, _images(), _labels(""), tmp_path, "flip,crops")
  assert len(traces) == 1


@pytest.mark.parametrize("devices", [1, 8])
def test_a_batch_has_room_for_its_views(devices):
  run = _run(devices=devices, size=64)
  sizes = [
    views.batch_size(run, views.choose(run, calls))
    for calls in ("", "flip", "crops", "flip,crops")
  ]
  assert sizes == ([64, 32, 12, 6] if devices == 1 else [64, 32, 8, 8])


@pytest.mark.parametrize("rounding", ["down", "even"])
@pytest.mark.parametrize("larger", [18, 20, 21, 23, 28])
def test_the_central_crop_is_the_image_without_views(larger, rounding):
  """Also if the sides of the image are odd."""
  calls = (f"resize_small({larger})", f"center_crop(16, rounding={rounding!r})")
  run = _run(transforms=calls)
  chosen = views.choose(run, "crops")
  plain = data.make_host_transform(calls)
  made = data.make_host_transform(chosen.transforms)
  assert bool(any(chosen.padding)) == (rounding == "even" and larger == 18)
  for width in range(larger, larger + 8):
    for shape in ((larger, width, 3), (width, larger, 3)):
      image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
      seen = made(None, image)
      assert seen.shape == chosen.image_shape
      central = views.of(chosen, jnp.asarray(seen[None]))[0, 0]
      np.testing.assert_array_equal(central, plain(None, image))


@pytest.mark.parametrize(
  ("transforms", "calls", "text"),
  [
    (
      ("resize_small(256)", "center_crop(224)"),
      "crops",
      "mean of 5 views: five crops of 224x224 from 256x256",
    ),
    (
      ("resize_small(256)", "center_crop(224)"),
      "crops(fraction=0.9),flip",
      "mean of 10 views: five crops of 224x224 from 248x248, original and "
      "mirrored",
    ),
    (
      ("resize((24, 32))", "center_crop((20, 24))"),
      "crops",
      "mean of 5 views: five crops of 20x24 from 24x32",
    ),
    (
      (),
      "crops",
      "mean of 5 views: five crops of 28x28 from 32x32 (padded by 2 and 2)",
    ),
    (("grayscale",), "flip", "mean of 2 views: original and mirrored"),
  ],
)
def test_the_views_are_described(transforms, calls, text):
  run = _run(transforms=transforms)
  size = {"resize_small(256)": (224, 224), "resize((24, 32))": (20, 24)}
  shape = (*size.get((*transforms, "")[0], (28, 28)), 3)
  run = dataclasses.replace(run, evaluated_shape=shape)
  chosen = views.choose(run, calls)
  assert views.describe(chosen) == text
  images = jnp.zeros((1, *chosen.image_shape), jnp.uint8)
  assert views.of(chosen, images).shape == (1, chosen.count, *shape)


@pytest.mark.parametrize(
  ("calls", "message"),
  [
    ("flipp", "unknown view 'flipp'; did you mean 'flip'"),
    ("flip,crop", "unknown view 'crop'; did you mean 'crops'"),
    ("flip,flip", "same kind of views twice"),
    ("crops,crops(fraction=0.9)", "same kind of views twice"),
    ("crops(fraction=1.0)", r"fraction.*1\.0"),
    ("crops(fraction=0.2)", r"fraction.*0\.2"),
    ("crops(side=3)", "has no option 'side'"),
    (
      "crops(fraction=0.99)",
      r"0\.99\) of images of 16x16 are the same",
    ),
    ("my_views.py:rotate", "files of your own are not supported"),
  ],
)
def test_wrong_views_are_an_error(calls, message):
  with pytest.raises(ValueError, match=message):
    views.choose(_run(), calls)


def test_crops_are_not_cut_out_of_smaller_images():
  message = r"images of 22x22, and resize_small\(20\) .* 20x20; .* least 0\.8"
  with pytest.raises(ValueError, match=message):
    views.choose(_run(transforms=_CUT), "crops(fraction=0.72)")
  chosen = views.choose(_run(transforms=_CUT), "crops(fraction=0.8)")
  assert chosen.image_shape == (20, 20, 3)


@pytest.mark.parametrize("name", ["captioning", "adversarial"])
def test_tasks_without_a_mean_prediction_are_refused(name, tmp_path):
  pair = {"sizes": (4, 4)}
  more = {"model__name": "dagan", "model__options": pair}
  config = tiny_runs.load_config(
    tmp_path, task__name=name, **(more if name == "adversarial" else {})
  )
  shape = (8, 8, 1)
  model = setup.make_model(config, CLASSES)
  run = dataclasses.replace(
    _run(),
    config=config,
    image_shape=shape,
    model=model,
    task=tiny_runs.make_task(config, model, shape),
  )
  with pytest.raises(ValueError, match=f"the task {name} has no mean of"):
    views.choose(run, "flip")


def test_an_evaluation_of_the_users_own_needs_its_average():
  """The sums of a built-in task are not those of another evaluation."""
  run = _run()
  own = dataclasses.replace(run.task, evaluate=lambda *_: None)
  run.config.task.name = "my_task.py:make"
  with pytest.raises(ValueError, match=r"my_task\.py:make has its own eval"):
    views.choose(dataclasses.replace(run, task=own), "flip")


def test_masks_are_not_left_behind():
  run = _run()
  fields = {**run.task.batch, "segmentation_mask": ((16, 16, 1), np.uint8)}
  task = dataclasses.replace(run.task, batch=fields)
  with pytest.raises(ValueError, match="not those of segmentation_mask"):
    views.choose(dataclasses.replace(run, task=task), "flip")


@pytest.fixture
def opened(monkeypatch):
  """The run that the commands open."""
  run = _run(transforms=_CUT)
  monkeypatch.setattr(parsing, "open_source", lambda _: run)
  return run


_TEN = "mean of 10 views: five crops of 16x16 from 20x20, original and mirrored"


def test_evaluate_says_which_views_were_used(opened, tmp_path, capsys):
  path = _write(tmp_path / "a.npz", _images(8, 24, 24), _labels("", 8))
  words = ["evaluate", "--model", "linear", "--data", path, "--split", "train"]
  words += ["--tta", "flip,crops"]
  assert cli.main(words) == 0
  said = capsys.readouterr().out.splitlines()
  assert said[:2] == [f"linear, {path}, train", _TEN]
  assert cli.main([*words, "--json"]) == 0
  found = json.loads(capsys.readouterr().out)
  assert (found["tta"], found["views"]) == ("flip,crops", 10)
  expected = pretrained.evaluate(
    opened, "npz", path, "train", tta="flip,crops"
  ).metrics
  assert found["loss"] == expected["loss"]


def test_predict_says_which_views_were_used(opened, tmp_path, capsys):
  path = str(tmp_path / "image.png")
  Image.fromarray(_images(1, 24, 24)[0]).save(path)
  words = ["predict", path, "--tta", "flip,crops"]
  (expected,) = inference.predict(opened, [path], tta="flip,crops")
  assert cli.main(words) == 0
  said = capsys.readouterr().out.splitlines()
  assert said[:2] == [_TEN, path]
  assert f"{expected['top'][0]['probability']:.2%}" in said[2]
  assert cli.main([*words, "--json"]) == 0
  printed = capsys.readouterr()
  (found,) = json.loads(printed.out)
  assert found == {**expected, "tta": "flip,crops", "views": 10}
  assert cli.main([*words, "--csv"]) == 0
  printed = capsys.readouterr()
  assert printed.out.startswith("image,rank,class,probability,error\n")
  assert _TEN in printed.err


def test_suites_have_no_views(capsys):
  words = ["evaluate", "--suite", "backgrounds", "--data", "folder"]
  assert cli.main([*words, "--tta", "flip"]) == 2
  assert "--tta flip is for the evaluation of the task" in (
    capsys.readouterr().err
  )


@pytest.mark.slow
def test_weights_are_evaluated_as_they_predict(tmp_path, capsys):
  """The loss of `evaluate` is that of the probabilities of `predict`."""
  name, file = "shufflenet_v2_x0_5", str(tmp_path / "weights.safetensors")
  model = models.create(name, num_classes=3)
  variables = jax.jit(functools.partial(model.init, train=False))(
    jax.random.key(0), jnp.zeros((1, 64, 64, 3))
  )
  weights.save(file, name, variables, model=model, image_size=(64, 64))
  (tmp_path / "names.txt").write_text("ant\nbee\ncat\n")
  for number, image in enumerate(_images(5, 80, 90)):
    path = tmp_path / "images" / ("ant", "bee", "cat")[number % 3]
    path.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path / f"{number}.png")
  source = ["--weights", file, "--model", name, "--image_size", "64"]
  source += ["--class_names", str(tmp_path / "names.txt"), "--json"]
  source += ["--tta", "flip,crops"]
  folder = str(tmp_path / "images")
  command = ["evaluate", *source, "--data", folder, "--split", "train"]
  assert cli.main(command) == 0
  measured = json.loads(capsys.readouterr().out)
  assert measured["views"] == 10
  assert cli.main(["predict", folder, *source, "--probabilities"]) == 0
  said = capsys.readouterr()
  assert "five crops of 64x64 from 72x72" in said.err
  losses = []
  for each in json.loads(said.out):
    label = each["image"].split("/")[-2]
    shares = {p["class"]: p["probability"] for p in each["probabilities"]}
    losses.append(-np.log(shares[label]))
  assert len(losses) == 5
  assert measured["loss"] == pytest.approx(np.mean(losses), rel=1e-4)

"""Tests of jaxvision.evaluation.evaluator; scikit-learn is the oracle."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import sklearn.metrics
import tiny_runs

from jaxvision import data, losses, metrics, models, parallel, tasks
from jaxvision.evaluation import evaluator
from jaxvision.training import setup

SIZE, CLASSES = 53, 7
_CLASS_NAMES = range(CLASSES)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
  """53 examples of 7 classes."""
  folder = tmp_path_factory.mktemp("data")
  tiny_runs.write_data(
    folder, sizes={"train": 16, "validation": SIZE}, num_classes=CLASSES
  )
  config = tiny_runs.load_config(folder)
  return setup.open_splits(config)["validation"]


@pytest.fixture(scope="module")
def variables():
  rng = np.random.default_rng(1)
  kernel = rng.normal(size=(16, CLASSES)).astype(np.float32)
  return {"params": {"head": {"kernel": kernel, "bias": np.zeros(CLASSES)}}}


def _read(dataset):
  images, labels = zip(*dataset.read(range(SIZE)), strict=True)
  return np.stack(images), np.asarray(labels)


def _probabilities(dataset, variables):
  images, labels = _read(dataset)
  pixels = (images.reshape(SIZE, -1) / 255.0 - 0.5) / 0.5
  logits = pixels @ variables["params"]["head"]["kernel"].astype(np.float64)
  shares = np.exp(logits - logits.max(-1, keepdims=True))
  return shares / shares.sum(-1, keepdims=True), labels


def _evaluate(split, variables, *, batch_size, devices, **options):
  evaluate, placed = _evaluator(
    split, variables, batch_size=batch_size, devices=devices, **options
  )
  return evaluate(placed)


def _evaluator(
  split,
  variables,
  *,
  batch_size,
  devices,
  evaluate_batch=None,
  placement="host",
):
  mesh = parallel.make_mesh(jax.devices()[:devices])
  batches = data.make_batches(
    split, batch_size=batch_size, channels=1, threads=1
  )
  model = models.create("linear", num_classes=CLASSES)
  task = tasks.classification.make(
    tasks.Components(
      model=model,
      image_shape=(4, 4, 1),
      class_names=tuple(map(str, range(CLASSES))),
      loss=losses.softmax,
      normalization=data.Normalization((0.5,), (0.5,)),
    )
  )
  placed = jax.device_put(variables, parallel.replicated(mesh))
  evaluate = evaluator.make_evaluator(
    evaluate_batch or task.evaluate,
    batches,
    mesh,
    finish=task.finish,
    rank=task.rank,
    placement=placement,
  )
  return evaluate, placed


def test_a_split_that_stays_on_the_devices_is_read_once(split, variables):
  reads = []

  def read(indices):
    reads.extend(indices)
    return split.read(indices)

  counted = dataclasses.replace(split, read=read)
  options = {"batch_size": 16, "devices": 8}
  expected = _evaluate(split, variables, **options)
  evaluate, placed = _evaluator(
    counted, variables, placement="device", **options
  )
  first = evaluate(placed)
  done = len(reads)
  with jax.transfer_guard_host_to_device("disallow"):
    second = evaluate(placed)
  assert len(reads) == done >= SIZE
  for found in (first, second):
    assert found.metrics == expected.metrics
    assert [m.position for m in found.examples] == [
      m.position for m in expected.examples
    ]


@pytest.mark.parametrize(("devices", "batch_size"), [(1, 7), (8, 16), (8, 64)])
def test_outputs_are_kept_for_evenly_spaced_examples(
  split, variables, devices, batch_size
):
  evaluate, placed = _evaluator(
    split, variables, batch_size=batch_size, devices=devices
  )
  assert evaluate(placed).outputs is None
  probabilities, labels = _probabilities(split, variables)
  for most, apart in ((SIZE * CLASSES, 1), (SIZE * CLASSES - 1, 2), (60, 7)):
    found = evaluate(placed, keep=most).outputs
    chosen = np.arange(0, SIZE, apart)
    np.testing.assert_array_equal(found.positions, chosen)
    np.testing.assert_array_equal(found.labels, labels[chosen])
    np.testing.assert_allclose(
      scipy.special.softmax(found.outputs, axis=1),
      probabilities[chosen],
      rtol=1e-4,
      atol=1e-6,
    )


@pytest.mark.parametrize(
  ("devices", "batch_size"), [(1, 1), (1, 7), (1, 64), (8, 8), (8, 16), (8, 64)]
)
def test_every_example_counts_once(split, variables, devices, batch_size):
  """For any batch size, also if it exceeds the size of the split."""
  found = _evaluate(split, variables, batch_size=batch_size, devices=devices)
  p, labels = _probabilities(split, variables)
  predicted = p.argmax(-1)
  np.testing.assert_array_equal(
    found.sums["confusion"],
    sklearn.metrics.confusion_matrix(labels, predicted, labels=_CLASS_NAMES),
  )
  assert found.sums["count"] == SIZE
  precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(
    labels, predicted, average="macro", zero_division=0
  )
  expected = {
    "top1": sklearn.metrics.accuracy_score(labels, predicted),
    "top5": sklearn.metrics.top_k_accuracy_score(
      labels, p, k=5, labels=_CLASS_NAMES
    ),
    "loss": sklearn.metrics.log_loss(labels, p, labels=_CLASS_NAMES),
    "precision_macro": precision,
    "recall_macro": recall,
    "f1_macro": f1,
  }
  measured = {name: found.metrics[name] for name in expected}
  assert measured == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("devices", "batch_size"), [(1, 7), (8, 16), (8, 64)])
def test_mistakes_are_the_most_confident_ones(
  split, variables, devices, batch_size
):
  found = _evaluate(split, variables, batch_size=batch_size, devices=devices)
  p, labels = _probabilities(split, variables)
  wrong = np.flatnonzero(p.argmax(-1) != labels)
  assert len(wrong) > evaluator.MOST_EXAMPLES
  order = wrong[np.argsort(-p.max(-1)[wrong])][: evaluator.MOST_EXAMPLES]
  images, _ = _read(split)
  assert [m.position for m in found.examples] == order.tolist()
  for mistake, position in zip(found.examples, order, strict=True):
    assert mistake.label == labels[position]
    assert mistake.answer == p[position].argmax()
    np.testing.assert_allclose(mistake.score, p[position].max(), rtol=1e-4)
    np.testing.assert_array_equal(mistake.image, images[position])


def test_of_equal_confidences_the_first_come_first(split, variables):
  constant = jax.tree.map(np.zeros_like, variables)
  found = _evaluate(split, constant, batch_size=8, devices=8)
  _, labels = _probabilities(split, constant)
  expected = np.flatnonzero(labels != 0)[: evaluator.MOST_EXAMPLES]
  assert [m.position for m in found.examples] == expected.tolist()


def test_a_perfect_classifier_makes_no_mistake(split):
  def task_sums(variables, batch):
    logits = 9.0 * jax.nn.one_hot(batch["label"], CLASSES)
    targets = jax.nn.one_hot(batch["label"], CLASSES)
    return metrics.classification.sums(logits, targets, batch["mask"]), logits

  found = _evaluate(
    split, {}, batch_size=16, devices=8, evaluate_batch=task_sums
  )
  assert found.examples == ()
  assert found.metrics["top1"] == 1.0


def test_nan_logits_are_not_confident_mistakes(split, variables):
  kernel = variables["params"]["head"]["kernel"] * np.float32(np.nan)
  broken = {"params": {"head": {"kernel": kernel, "bias": np.zeros(CLASSES)}}}
  found = _evaluate(split, broken, batch_size=16, devices=8)
  assert found.examples == ()
  assert found.metrics["top1"] == 0.0
  assert np.isnan(found.metrics["loss"])
  assert found.sums["count"] == SIZE


def test_counts_do_not_overflow():
  """2^31 examples exceed 32 bits; sums on the host have 64 bits."""
  dataset = data.Dataset(
    name="four",
    split="all",
    class_names=("0",),
    num_examples=4,
    ids=lambda indices: list(map(str, indices)),
    labels=lambda: np.zeros(4, np.int64),
    read=lambda indices: [(np.zeros((1, 1, 1), np.uint8), 0) for _ in indices],
  )
  batches = data.make_batches(dataset, batch_size=1, channels=1, threads=1)
  evaluate = evaluator.make_evaluator(
    lambda variables, batch: (
      {"count": jnp.int32(2**30)},
      jnp.zeros((1, 1)),
    ),
    batches,
    parallel.make_mesh(jax.devices()[:1]),
    finish=lambda sums: {},
    rank=lambda outputs, batch: (np.full(1, np.nan), outputs),
  )
  assert evaluate({}).sums["count"] == 2**32

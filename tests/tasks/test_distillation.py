"""Tests of the task of distillation: its loss, its metrics, its teachers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import data, losses, metrics, models, tasks
from jaxvision.tasks import teachers

STUDENT = data.Normalization((0.2,), (0.5,))
TEACHER = data.Normalization((0.6,), (0.3,))


class Linear(nn.Module):
  """A classifier of the mean of the image, and of its centre."""

  num_classes: int = 3

  @nn.compact
  def __call__(self, images, *, train):
    x = jnp.stack([images.mean((1, 2, 3)), images[:, 1, 1, 0]], -1)
    return nn.Dense(self.num_classes, name="head")(x)


def _variables(seed, classes=3):
  rng = np.random.default_rng(seed)
  kernel = rng.normal(0, 2, (2, classes)).astype(np.float32)
  return {
    "params": {"head": {"kernel": kernel, "bias": np.zeros(classes, "f")}}
  }


def _teacher(seed=1, size=(4, 4), classes=3, **changes):
  return tasks.Teacher(
    **{
      "name": f"teacher {seed}",
      "model": Linear(classes),
      "variables": _variables(seed, classes),
      "normalization": TEACHER,
      "image_size": size,
      **changes,
    }
  )


def _task(*taught, components=None, **options):
  return tasks.create(
    "distillation",
    tasks.Components(
      **{
        "model": Linear(),
        "loss": losses.softmax,
        "normalization": STUDENT,
        "image_shape": (4, 4, 1),
        "taught": tasks.Taught(taught),
        **(components or {}),
      }
    ),
    **options,
  )


def _batch(count=8, masked=2, **more):
  rng = np.random.default_rng(0)
  mask = np.ones(count, np.float32)
  mask[count - masked :] = 0
  return {
    "image": rng.integers(0, 256, (count, 4, 4, 1)).astype(np.uint8),
    "label": rng.integers(0, 3, count).astype(np.int32),
    "mask": mask,
    **more,
  }


def _logits(variables, images, normalization):
  pixels = data.normalize(images, normalization)
  return Linear().apply(variables, pixels, train=False)


def _loss(task, variables, batch, key=0):
  return jax.jit(task.loss)(
    variables["params"], {}, batch, jax.random.key(key), *task.constants
  )


def test_the_loss_compares_with_a_teacher_in_its_own_normalisation():
  task, variables, batch = _task(_teacher()), _variables(0), _batch()
  value, (_, sums) = _loss(task, variables, batch)
  student = _logits(variables, batch["image"], STUDENT)
  teacher = _logits(_variables(1), batch["image"], TEACHER)
  expected = losses.distillation.kl(student, teacher, None)[:6]
  assert float(value) == pytest.approx(float(expected.mean()), rel=1e-5)
  assert float(sums["loss"]) == pytest.approx(float(expected.sum()), rel=1e-5)
  agrees = (student.argmax(-1) == teacher.argmax(-1))[:6]
  assert int(sums["agreement"]) == int(agrees.sum())
  assert sums.keys() == {"count", *task.logged}


def test_a_teacher_gets_the_resized_images_of_the_student():
  teacher = _teacher(size=(8, 6))
  images = data.normalize(_batch()["image"], STUDENT)
  seen = teachers.view(images, teacher, normalization=STUDENT)
  pixels = jax.image.resize(
    _batch()["image"] / np.float32(255), (8, 8, 6, 1), "bilinear"
  )
  np.testing.assert_allclose(seen, (pixels - 0.6) / 0.3, atol=1e-5)


def test_a_teacher_sees_the_mixed_images_of_the_student():
  """Its answer is not a mixture of its answers to the two images."""
  mixup = data.make_device_transform(("random_mixup(1.0)",))
  task = _task(_teacher(), components={"device_transform": mixup})
  variables, batch = _variables(0), _batch(masked=0)
  value, _ = _loss(task, variables, batch, key=3)
  _, mixed = task.inputs(batch, jax.random.key(3))
  pixels = mixed["image"] * 0.5 + 0.2
  teacher = Linear().apply(_variables(1), (pixels - 0.6) / 0.3, train=False)
  student = Linear().apply(variables, mixed["image"], train=False)
  expected = losses.distillation.kl(student, teacher, None).mean()
  assert float(value) == pytest.approx(float(expected), rel=1e-4)
  plain, _ = _loss(_task(_teacher()), variables, batch)
  assert float(plain) != pytest.approx(float(value), rel=1e-2)


def test_the_label_loss_is_that_of_the_config():
  smooth = losses.create("softmax", label_smoothing=0.1)
  task = _task(
    _teacher(), components={"loss": smooth}, loss="hinton", alpha=0.25
  )
  variables, batch = _variables(0), _batch(masked=0)
  value, _ = _loss(task, variables, batch)
  student = _logits(variables, batch["image"], STUDENT)
  teacher = _logits(_variables(1), batch["image"], TEACHER)
  of_labels = smooth(student, jax.nn.one_hot(batch["label"], 3))
  expected = losses.distillation.hinton(student, teacher, of_labels, alpha=0.25)
  assert float(value) == pytest.approx(float(expected.mean()), rel=1e-5)


def test_the_losses_of_several_teachers_are_averaged_or_summed():
  variables, batch = _variables(0), _batch()
  of_each = [
    float(_loss(_task(_teacher(seed)), variables, batch)[0]) for seed in (1, 2)
  ]
  both = _task(_teacher(1), _teacher(2))
  assert float(_loss(both, variables, batch)[0]) == pytest.approx(
    np.mean(of_each), rel=1e-5
  )
  summed = _task(_teacher(1), _teacher(2), weights=(1.0, 1.0))
  assert float(_loss(summed, variables, batch)[0]) == pytest.approx(
    np.sum(of_each), rel=1e-5
  )


def test_a_student_that_equals_its_teacher_agrees_and_has_no_gradient():
  teacher = _teacher(variables=_variables(0), normalization=STUDENT)
  task, batch = _task(teacher), _batch()

  def loss(params, constants):
    key = jax.random.key(0)
    return task.loss(params, {}, batch, key, *constants)[0]

  gradients, of_teacher = jax.jit(jax.grad(loss, (0, 1)))(
    _variables(0)["params"], task.constants
  )
  for leaf in jax.tree.leaves(gradients):
    np.testing.assert_allclose(leaf, 0, atol=1e-6)
  for leaf in jax.tree.leaves(of_teacher):
    np.testing.assert_array_equal(leaf, 0)
  sums, _ = task.evaluate(_variables(0), batch, *task.constants)
  assert task.finish(jax.device_get(sums))["agreement"] == 1


def test_the_teachers_are_arguments_of_the_program():
  """A program with constants of this size would have megabytes of text."""
  size = 2**20
  model = models.create("mlp", num_classes=3, hidden=(size // 16,))
  shapes = jax.eval_shape(
    lambda: model.init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)), train=False)
  )
  large = jax.tree.map(lambda x: np.ones(x.shape, x.dtype), shapes)
  task = _task(_teacher(model=model, variables=large))
  key = jax.random.key(0)
  traced = jax.jit(task.loss).trace(
    _variables(0)["params"], {}, _batch(), key, *task.constants
  )
  assert sum(np.size(each) for each in traced.jaxpr.consts) < 1000
  assert len(traced.lower().as_text()) < 100_000


def test_the_task_measures_the_metrics_that_it_names():
  task, batch = _task(_teacher()), _batch()
  sums, outputs = jax.device_get(
    jax.jit(task.evaluate)(_variables(0), batch, *task.constants)
  )
  measured = task.finish(sums)
  assert measured.keys() == set(task.measured)
  assert set(task.best) <= set(task.measured)
  assert outputs.shape == (8, 2, 3)
  teacher = _logits(_variables(1), batch["image"], TEACHER)
  right = (teacher.argmax(-1) == batch["label"])[:6].mean()
  assert measured["teacher_top1"] == pytest.approx(float(right))


def test_without_teachers_the_labels_are_evaluated():
  task, batch = _task(), _batch()
  assert task.constants == ()
  sums, outputs = jax.device_get(task.evaluate(_variables(0), batch))
  assert outputs.shape == (8, 3)
  assert {"top1", "label_loss"} < task.finish(sums).keys()
  with pytest.raises(ValueError, match="has no teacher; set"):
    _loss(task, _variables(0), batch)


def test_images_without_labels_are_learned_and_measured():
  components = {"labels": "none"}
  task = _task(_teacher(), components=components)
  batch = _batch(label=np.full(8, -1, np.int32))
  value, (_, sums) = _loss(task, _variables(0), batch)
  labelled, _ = _loss(_task(_teacher()), _variables(0), _batch())
  assert float(value) == float(labelled)  # kl does not use labels
  assert sums.keys() == {"count", *task.logged}
  found, outputs = jax.device_get(
    task.evaluate(_variables(0), batch, *task.constants)
  )
  assert task.finish(found).keys() == set(task.measured)
  scores, answers = task.rank(outputs, batch)
  differs = answers[:, 0] != answers[:, 1]
  np.testing.assert_array_equal(np.isfinite(scores), differs)
  with pytest.raises(ValueError, match="no labels; use kl"):
    _task(_teacher(), components=components, loss="deit_hard")


def test_stored_logits_replace_the_teachers():
  task, batch = _task(_teacher()), _batch()
  answers = _logits(_variables(1), batch["image"], TEACHER)
  stored = _task(components={"taught": tasks.Taught(stored=1)})
  assert stored.constants == () and "teacher_logits" in stored.batch
  with_logits = {**batch, "teacher_logits": np.asarray(answers)[:, None]}
  one, _ = _loss(task, _variables(0), batch)
  other, _ = _loss(stored, _variables(0), with_logits)
  assert float(one) == pytest.approx(float(other), rel=1e-5)


def _with_token():
  return models.create(
    "vit_ti16",
    num_classes=3,
    patch_size=2,
    width=12,
    depth=1,
    mlp_dim=8,
    num_heads=2,
    distillation_token=True,
  )


def test_a_distillation_token_learns_from_the_teacher_alone():
  model = _with_token()
  variables = model.init(
    jax.random.key(0), jnp.zeros((1, 4, 4, 1)), train=False
  )
  components = {"model": model}
  task = _task(_teacher(), components=components, loss="deit_hard")
  batch = _batch()
  gradient = jax.jit(
    jax.grad(
      lambda params: task.loss(
        params, {}, batch, jax.random.key(0), *task.constants
      )[0]
    )
  )(variables["params"])
  # All logits are 0, so the gradient of a bias is half of 1/3 - the targets.
  teacher = _logits(_variables(1), batch["image"], TEACHER)
  for head, classes in (
    ("head", batch["label"]),
    ("head_dist", teacher.argmax(-1)),
  ):
    targets = jax.nn.one_hot(classes, 3)[:6].mean(0)
    np.testing.assert_allclose(
      gradient[head]["bias"], (1 / 3 - targets) / 2, atol=1e-6, err_msg=head
    )


@pytest.mark.parametrize(
  ("name", "options", "message"),
  [
    ("classification", {}, "the task has no teachers; set"),
    ("distillation", {"loss": "kl"}, "the loss does not use labels"),
    ("distillation", {"loss": "hinton", "alpha": 1.0}, "does not use labels"),
  ],
)
def test_a_token_is_refused_if_one_classifier_would_not_learn(
  name, options, message
):
  """A trained network with a token can be evaluated with every task."""
  model, batch = _with_token(), _batch()
  components = tasks.Components(
    model=model,
    loss=losses.softmax,
    normalization=STUDENT,
    image_shape=(4, 4, 1),
    taught=tasks.Taught((_teacher(),) if name == "distillation" else ()),
  )
  task = tasks.create(name, components, **options)
  variables = jax.eval_shape(task.init, jax.random.key(0))
  jax.eval_shape(task.evaluate, variables, batch, *task.constants)
  with pytest.raises(ValueError, match=message):
    jax.eval_shape(
      task.loss,
      *(variables["params"], {}, batch, jax.random.key(0), *task.constants),
    )


@pytest.mark.parametrize(
  ("options", "learnt"),
  [
    ({"loss": "kl"}, "agreement"),
    ({"loss": "hinton", "alpha": 0.9}, "agreement"),
    ({"loss": "deit_soft"}, "top1"),
  ],
)
def test_a_student_memorises_the_targets_of_the_larger_weight(options, learnt):
  assert _task(_teacher(), **options).learnt == (learnt, 1.0)


def test_the_pages_show_agreement_and_both_answers():
  task, batch = _task(_teacher()), _batch(count=64, masked=0)
  sums, outputs = jax.device_get(
    task.evaluate(_variables(0), batch, *task.constants)
  )
  scores, answers = task.rank(outputs, batch)
  worst = int(np.nanargmax(scores))
  example = metrics.Example(
    scores[worst],
    worst,
    batch["label"][worst],
    answers[worst],
    batch["image"][0],
  )
  evaluation = metrics.Evaluation(task.finish(sums), sums, (example,))
  found = task.artifacts(evaluation, ("a", "b", "c"), ["image 7"])
  (table,) = found.pages
  assert [row[1] for row in table.table.rows] == (
    sums["by_class"]["chosen"].tolist()
  )
  both, student, teacher = (
    int(sums["right"]["both"]),
    int(sums["top1"]),
    int(sums["teacher_top1"]),
  )
  assert f"right in {both}" in table.note
  assert f"only the teacher in {teacher - both}," in table.note
  assert f"neither in {64 - student - teacher + both}." in table.note
  mistakes = found.arrays
  assert mistakes["mistake_labels"].tolist() == [batch["label"][worst]]
  own, theirs = outputs[worst].argmax(-1)
  assert mistakes["mistake_predictions"].tolist() == [own]
  assert mistakes["mistake_teachers"].tolist() == [theirs]
  assert mistakes["mistake_ids"].tolist() == ["image 7"]


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"loss": "kll"}, "did you mean 'kl'"),
    ({"alpha": 0.1}, "no option 'alpha'.*temperature"),
    ({"weights": (1.0, 1.0)}, "2 numbers for 1 teachers"),
  ],
)
def test_wrong_options_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    _task(_teacher(), **options)


def test_a_teacher_of_other_classes_is_refused():
  with pytest.raises(ValueError, match=r"teacher 1 has 4 classes.* has 3"):
    _task(_teacher(classes=4))

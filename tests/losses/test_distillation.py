"""Tests of losses.distillation against worked values and plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvision import losses
from jaxvision.losses import distillation

STUDENT = jnp.array([[2.0, 1.0, 0.1]])
TEACHER = jnp.array([[3.0, 1.0, 0.2]])
# The loss of the label 1, softmax cross-entropy of the student.
LABEL_LOSS = losses.softmax(STUDENT, jnp.array([[0.0, 1.0, 0.0]]))
# T -> T^2 KL, T^2 CE and the gradient of T^2 KL, worked in float64.
WORKED = {
  1: (0.0790284798, 0.6267657337, (-0.177018, 0.129290, 0.047728)),
  2: (0.1124065615, 3.7952517330, (-0.235416, 0.152852, 0.082564)),
  20: (0.1045898606, 438.8443056, (-0.217762, 0.127312, 0.090451)),
}


def _random(seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(0, 3, (2, 5, 7)).astype(np.float32)


@pytest.mark.parametrize("temperature", WORKED)
def test_each_convention_has_its_worked_value(temperature):
  divergence, cross_entropy, _ = WORKED[temperature]
  label_loss = float(LABEL_LOSS[0])

  def value(name, **options):
    loss = distillation.create(name, temperature=temperature, **options)
    return float(loss(STUDENT, TEACHER, LABEL_LOSS)[0])

  # The rounding errors of log-probabilities of -1 to -3, times T^2.
  rounding = 2e-7 * temperature**2
  near = lambda x: pytest.approx(x, rel=1e-6, abs=rounding)  # noqa: E731
  assert value("kl") == near(divergence)
  assert value("hinton", alpha=0.7) == near(0.3 * label_loss + 0.7 * divergence)
  assert value("deit_soft") == near(0.9 * label_loss + 0.1 * divergence)
  assert value("bag_of_tricks", hard_weight=0.3) == near(
    0.3 * label_loss + 0.7 * cross_entropy
  )


@pytest.mark.parametrize("temperature", WORKED)
def test_the_gradient_of_kl_is_the_worked_one(temperature):
  def total(student, teacher):
    return distillation.kl(
      student, teacher, None, temperature=temperature
    ).sum()

  gradient, of_teacher = jax.grad(total, (0, 1))(STUDENT, TEACHER)
  np.testing.assert_allclose(gradient[0], WORKED[temperature][2], atol=2e-6)
  np.testing.assert_array_equal(of_teacher, 0)


def test_a_hot_divergence_is_the_distance_of_centred_logits():
  # The limit of the worked example is 0.1011111111.
  found = distillation.kl(STUDENT, TEACHER, None, temperature=100.0)
  gap = TEACHER - STUDENT
  limit = jnp.square(gap - gap.mean()).sum() / 6
  assert float(limit) == pytest.approx(0.1011111111, rel=1e-6)
  assert float(found[0]) == pytest.approx(float(limit), rel=1e-2)


def test_distances_equal_their_formula():
  student, teacher = _random()
  log_p = jax.nn.log_softmax(student), jax.nn.log_softmax(teacher)
  expected = {
    "l2": ((student - teacher) ** 2).sum(-1),
    "euclidean": np.linalg.norm(student - teacher, axis=-1),
    "logsoftmax_euclidean": np.linalg.norm(log_p[0] - log_p[1], axis=-1),
    "hard": -np.asarray(log_p[0])[np.arange(5), teacher.argmax(-1)],
  }
  for name, values in expected.items():
    found = distillation.create(name)(student, teacher, None)
    np.testing.assert_allclose(found, values, rtol=2e-5, err_msg=name)


def test_a_smoothed_hard_target_is_divided_over_the_other_classes():
  student, teacher = _random()
  targets = np.full((5, 7), 0.1 / 6, np.float32)
  targets[np.arange(5), teacher.argmax(-1)] = 0.9
  np.testing.assert_allclose(
    distillation.hard(student, teacher, None, smoothing=0.1),
    optax.softmax_cross_entropy(student, targets),
    rtol=1e-5,
  )


def test_deit_takes_labels_and_teacher_in_equal_parts():
  student, teacher = _random()
  label_loss = np.arange(5.0, dtype=np.float32)
  np.testing.assert_allclose(
    distillation.deit_hard(student, teacher, label_loss),
    label_loss / 2 + distillation.hard(student, teacher, None) / 2,
    rtol=1e-6,
  )


@pytest.mark.parametrize("name", distillation.LOSSES)
def test_every_loss_is_finite_where_student_and_teacher_are_equal(name):
  student, _ = _random()
  loss = distillation.create(name)
  values, pull = jax.vjp(
    lambda logits: loss(logits, student, jnp.ones(5)), jnp.asarray(student)
  )
  assert values.shape == (5,) and values.dtype == jnp.float32
  assert np.isfinite(pull(jnp.ones(5))[0]).all()


def test_a_loss_of_labels_without_labels_says_what_to_do():
  for name in ("hinton", "bag_of_tricks", "deit_soft", "deit_hard"):
    with pytest.raises(ValueError, match="no labels; use kl"):
      distillation.create(name)(STUDENT, TEACHER, None)
  alone = distillation.create("hinton", alpha=1.0, temperature=1.0)
  np.testing.assert_allclose(
    alone(STUDENT, TEACHER, None), WORKED[1][0], rtol=1e-5
  )


def test_wrong_names_and_options_list_the_known_ones():
  with pytest.raises(ValueError, match="did you mean 'hinton'"):
    distillation.create("hintn")
  with pytest.raises(ValueError, match=r"no option 'alpha'.*temperature"):
    distillation.create("kl", alpha=0.1)
  with pytest.raises(ValueError, match="temperature"):
    distillation.create("kl", temperature=0.0)


@pytest.mark.parametrize(
  ("name", "options", "expected"),
  [
    ("hinton", {"alpha": 0.9}, 0.1),
    ("hinton", {"alpha": 1.0}, 0.0),
    ("bag_of_tricks", {"hard_weight": 0.3}, 0.3),
    ("deit_soft", {}, 0.9),
    ("deit_hard", {}, 0.5),
    ("kl", {}, 0.0),
    ("hard", {}, 0.0),
    ("l2", {}, 0.0),
  ],
)
def test_the_weight_of_the_labels_is_that_of_the_formula(
  name, options, expected
):
  loss = distillation.create(name, **options)
  found = distillation.label_weight(loss, num_classes=3)
  assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
  ("reduce", "shape"),
  [(lambda d: d.mean(), r"\(\)"), (lambda d: d, r"\(2, 4\)")],
)
def test_a_loss_without_one_value_per_example_is_refused(reduce, shape):
  def own(student, teacher, label_loss):
    return reduce(jnp.square(student - teacher))

  with pytest.raises(ValueError, match=rf"loss my_loss returned {shape} for"):
    distillation.check(own, name="my_loss", num_classes=4, labelled=True)

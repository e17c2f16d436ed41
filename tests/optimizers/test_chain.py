"""Tests of chain: optax and numpy formulae as oracles, rules."""

import functools

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from jaxvision import optimizers

NAMES = (*optimizers.COUPLED_DECAY, *optimizers.OWN_DECAY)
ON_KERNELS = ((".*kernel", 1.0), (".*", 0.0))
PARAMS = {
  "layer1_0": {
    "conv1": {"kernel": jnp.linspace(-1, 1, 72).reshape(3, 3, 2, 4)},
    "bn1": {"scale": jnp.ones(4), "bias": jnp.linspace(0, 1, 4)},
  },
  "hidden": {"kernel": jnp.linspace(1, 2, 20).reshape(4, 5)},
  "fc": {"kernel": jnp.linspace(-1, 2, 15).reshape(5, 3), "bias": jnp.ones(3)},
}
GRADS = jax.tree.map(
  # Of full rank, because Muon amplifies the rounding of small singular values.
  lambda x: jax.random.normal(jax.random.key(x.size), x.shape),
  PARAMS,
)


def rate(step):
  return 0.1 / (1.0 + step)


def _create(name="sgd", *, params=PARAMS, **settings):
  settings = {"learning_rate": rate, **settings}
  return optimizers.create(name, params=params, **settings)


def _run(optimizer, *, params=PARAMS, grads=GRADS, steps=3, **extra):
  """Parameters after some steps whose gradients grow."""

  @jax.jit
  def step(params, state, scale):
    scaled = jax.tree.map(lambda g: g * scale, grads)
    updates, state = optimizer.update(scaled, state, params, **extra)
    return optax.apply_updates(params, updates), state

  state = jax.jit(optimizer.init)(params)
  for i in range(steps):
    params, state = step(params, state, 1.0 + i)
  return params


def _assert_close(a, b, rtol=1e-5):
  close = functools.partial(np.testing.assert_allclose, rtol=rtol, atol=1e-7)
  jax.tree.map(close, a, b)


def _assert_equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def _optax(name, decay, mask):
  """Optax's decay with a mask."""
  if name == "sgdw":  # Without momentum it is SGD.
    name = "sgd"
  if name in optimizers.COUPLED_DECAY:
    return optax.chain(
      optax.add_decayed_weights(decay, mask), getattr(optax, name)(rate)
    )
  if name == "lars":
    return optax.lars(rate, decay, weight_decay_mask=mask)
  if name == "muon":
    return optax.contrib.muon(
      rate,
      weight_decay=decay,
      weight_decay_mask=mask,
      muon_weight_dimension_numbers=optimizers.muon_dimensions,
    )
  if name == "adafactor":
    return optax.chain(
      optax.adafactor(
        None,
        min_dim_size_to_factor=32,
        multiply_by_parameter_scale=False,
        clipping_threshold=None,
        momentum=0.9,
        dtype_momentum=jnp.bfloat16,
      ),
      optax.scale(-1.0),
      optax.add_decayed_weights(decay, mask),
      optax.scale_by_learning_rate(rate),
    )
  return getattr(optax, name)(rate, weight_decay=decay, mask=mask)


@pytest.mark.matrix("sgd", "adam")
@pytest.mark.parametrize("name", NAMES)
def test_steps_equal_those_of_optax(name):
  """Two groups here, and one masked optimizer of optax."""
  mask = jax.tree.map(lambda x: x.ndim > 1, PARAMS)
  if name == "muon":  # Optax has no mask for the parameters of Adam.
    mask["fc"]["kernel"] = False
    rules = (("fc/kernel", 0.0), *ON_KERNELS)
  else:
    rules = ON_KERNELS
  ours = _create(name, weight_decay=0.1, weight_decay_rules=rules)
  _assert_close(_run(ours), _run(_optax(name, 0.1, mask)))


@pytest.mark.matrix("sgd", "adamw", "muon")
@pytest.mark.parametrize("name", NAMES)
def test_without_rules_it_is_optax_itself(name):
  functions = {**optimizers.COUPLED_DECAY, **optimizers.OWN_DECAY}
  extra = {} if name in optimizers.COUPLED_DECAY else {"weight_decay": 0.0}
  if name == "muon":
    extra["muon_weight_dimension_numbers"] = optimizers.muon_dimensions
  ours, theirs = _create(name), functions[name](rate, **extra)
  _assert_close(_run(ours), _run(theirs), rtol=1e-6)
  shapes = [
    jax.tree.map(jnp.shape, jax.tree.leaves(optimizer.init(PARAMS)))
    for optimizer in (ours, theirs)
  ]
  assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_small_loss_falls(name):
  inputs = jax.random.normal(jax.random.key(0), (16, 4))
  truth = {"hidden": {"kernel": jnp.ones((4, 3)), "bias": jnp.ones(3)}}

  def predict(params):
    hidden = params["hidden"]
    return inputs @ hidden["kernel"] + hidden["bias"][None]

  @jax.jit
  def loss(params):
    return jnp.mean(jnp.square(predict(params) - predict(truth)))

  start = jax.tree.map(lambda x: 0.3 * x, truth)
  peak = {"lars": 10.0, "sgd": 0.1}.get(name, 0.03)
  optimizer = _create(name, params=start, learning_rate=lambda step: peak)

  @jax.jit
  def step(params, state):
    updates, state = optimizer.update(jax.grad(loss)(params), state, params)
    return optax.apply_updates(params, updates), state

  params, state = start, optimizer.init(start)
  for _ in range(30):
    params, state = step(params, state)
  assert float(loss(params)) < 0.5 * float(loss(start))


@pytest.mark.parametrize("name", NAMES)
def test_states_survive_flattening_and_flax_serialization(name):
  optimizer = _create(
    name,
    weight_decay=0.1,
    weight_decay_rules=ON_KERNELS,
    learning_rate_rules=(("fc/.*", None), (".*", 1.0)),
  )
  update = jax.jit(optimizer.update)
  _, state = update(GRADS, jax.jit(optimizer.init)(PARAMS), PARAMS)
  blob = flax.serialization.to_bytes(state)
  template = jax.eval_shape(optimizer.init, PARAMS)
  _assert_equal(flax.serialization.from_bytes(template, blob), state)
  leaves, _ = jax.tree.flatten(state)
  again = jax.tree.unflatten(jax.tree.structure(template), leaves)
  _assert_equal(update(GRADS, again, PARAMS), update(GRADS, state, PARAMS))


@pytest.mark.parametrize("name", NAMES)
def test_frozen_parameters_stay_bitwise_and_others_move(name):
  optimizer = _create(
    name,
    weight_decay=0.1,
    learning_rate_rules=(("layer1_0/.*", None), (".*", 1.0)),
  )
  after = _run(optimizer)
  _assert_equal(after["layer1_0"], PARAMS["layer1_0"])
  moved = jax.tree.map(lambda a, b: bool((a != b).any()), after, PARAMS)
  assert all(jax.tree.leaves([moved["fc"], moved["hidden"]]))


def test_decay_only_on_kernels_and_only_by_the_formula():
  zeros = jax.tree.map(jnp.zeros_like, PARAMS)
  for name in ("sgd", "adamw"):
    optimizer = _create(name, weight_decay=0.5, weight_decay_rules=ON_KERNELS)
    after = _run(optimizer, grads=zeros, steps=1)
    _assert_equal(after["layer1_0"]["bn1"], PARAMS["layer1_0"]["bn1"])
    expected = 0.95 * PARAMS["fc"]["kernel"]  # 1 - learning rate * decay
    np.testing.assert_allclose(after["fc"]["kernel"], expected, rtol=1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_decay_of_sgdw_does_not_enter_the_momentum(nesterov):
  options = {"momentum": 0.9, "nesterov": nesterov}
  optimizer = _create("sgdw", weight_decay=0.5, options=options)
  after = _run(optimizer)
  w, g = (np.asarray(tree["fc"]["kernel"]) for tree in (PARAMS, GRADS))
  momentum = np.zeros_like(w)
  for i in range(3):
    momentum = 0.9 * momentum + (1 + i) * g
    step = 0.9 * momentum + (1 + i) * g if nesterov else momentum
    w = w - rate(i) * (step + 0.5 * w)
  np.testing.assert_allclose(after["fc"]["kernel"], w, rtol=1e-5)


@pytest.mark.matrix("sgd", "adamw")
@pytest.mark.parametrize("name", NAMES)
def test_factors_equal_multipliers_of_the_learning_rate(name):
  settings = {"weight_decay": 0.1, "weight_decay_rules": ON_KERNELS}
  rules = (("layer1_0/.*", 0.25), ("hidden/.*", 0.5), (".*", 1.0))
  of = {"layer1_0": 0.25, "hidden": 0.5, "fc": 1.0}
  factors = {
    layer: jax.tree.map(lambda _, f=of[layer]: f, PARAMS[layer])
    for layer in PARAMS
  }
  ours = _create(name, learning_rate_factors=factors, **settings)
  theirs = _create(name, learning_rate_rules=rules, **settings)
  _assert_close(_run(ours), _run(theirs))


def test_frozen_parameters_stay_frozen_for_any_factor():
  optimizer = _create(
    learning_rate_rules=(("fc/.*", None), (".*", 1.0)),
    learning_rate_factors=jax.tree.map(lambda x: 0.5, PARAMS),
  )
  _assert_equal(_run(optimizer)["fc"], PARAMS["fc"])


def test_multipliers_scale_the_rate_and_the_decay():
  optimizer = _create(
    learning_rate_rules=(("fc/.*", 10.0), (".*", 0.5)),
    weight_decay=0.2,
    weight_decay_rules=((".*bias", 3.0), (".*", 1.0)),
  )
  after = _run(optimizer, steps=1)

  def expected(layer, name, lr, decay):
    w, g = PARAMS[layer][name], GRADS[layer][name]
    return w - lr * (g + decay * w)

  for layer, name, lr, decay in (
    ("fc", "kernel", 1.0, 0.2),
    ("fc", "bias", 1.0, 0.6),
    ("hidden", "kernel", 0.05, 0.2),
  ):
    np.testing.assert_allclose(
      after[layer][name], expected(layer, name, lr, decay), rtol=1e-5
    )


def test_clipping_bounds_the_norm_of_all_groups_together():
  optimizer = _create(
    learning_rate=lambda step: 1.0,
    gradient_clip=0.25,
    learning_rate_rules=(("fc/.*", 1.0), (".*", 1.00001)),
  )
  updates, _ = optimizer.update(GRADS, optimizer.init(PARAMS), PARAMS)
  assert float(optax.tree.norm(updates)) == pytest.approx(0.25, rel=1e-4)


def test_frozen_gradients_do_not_count_in_the_clipped_norm():
  optimizer = _create(
    learning_rate=lambda step: 1.0,
    gradient_clip=0.25,
    learning_rate_rules=(("fc/bias", 1.0), (".*", None)),
  )
  huge = jax.tree.map(lambda g: 1e6 * g, GRADS)
  huge["fc"]["bias"] = jnp.array([0.0, 0.1, 0.0])
  updates, _ = optimizer.update(huge, optimizer.init(PARAMS), PARAMS)
  np.testing.assert_array_equal(updates["fc"]["bias"], -huge["fc"]["bias"])


def _cs231n(name, x, dx, lr, steps):
  """The update rules of CS231n's notes, with its names."""
  v = cache = m = np.zeros_like(x)
  for t in range(1, steps + 1):
    if name == "momentum":
      v = 0.9 * v - lr * dx
      x = x + v
    elif name == "nesterov":
      v_before, v = v, 0.9 * v - lr * dx
      x = x - 0.9 * v_before + 1.9 * v
    elif name == "adagrad":
      cache = cache + dx**2
      x = x - lr * dx / (np.sqrt(cache) + 1e-7)
    elif name == "rmsprop":
      cache = 0.9 * cache + 0.1 * dx**2
      x = x - lr * dx / (np.sqrt(cache) + 1e-8)
    elif name == "adam":
      m, v = 0.9 * m + 0.1 * dx, 0.999 * v + 0.001 * dx**2
      mt, vt = m / (1 - 0.9**t), v / (1 - 0.999**t)
      x = x - lr * mt / (np.sqrt(vt) + 1e-8)
  return x


@pytest.mark.parametrize(
  ("formula", "name", "options"),
  [
    ("momentum", "sgd", {"momentum": 0.9}),
    ("nesterov", "sgd", {"momentum": 0.9, "nesterov": True}),
    # Optax starts the accumulator at 0.1 by default ...
    ("adagrad", "adagrad", {"initial_accumulator_value": 0.0}),
    # ... and adds rmsprop's epsilon inside the root, as TensorFlow does.
    ("rmsprop", "rmsprop", {"eps_in_sqrt": False}),
    ("adam", "adam", {}),
  ],
)
def test_the_formulae_of_cs231n(formula, name, options):
  x, dx = np.array([1.0, -2.0, 3.0]), np.array([0.5, 0.1, -2.0])
  optimizer = _create(
    name,
    params={"x": jnp.asarray(x)},
    learning_rate=lambda step: 0.01,
    options=options,
  )
  params = {"x": jnp.asarray(x, jnp.float32)}
  state = optimizer.init(params)
  for _ in range(4):
    updates, state = optimizer.update({"x": jnp.asarray(dx)}, state, params)
    params = optax.apply_updates(params, updates)
  expected = _cs231n(formula, x, dx, 0.01, 4)
  np.testing.assert_allclose(params["x"], expected, rtol=1e-5)


@pytest.mark.parametrize(
  ("name", "options"),
  [
    ("sgd", {"momentum": 0.9, "accumulator_dtype": "bfloat16"}),
    ("sgdw", {"momentum": 0.9, "accumulator_dtype": "bfloat16"}),
    ("adamw", {"mu_dtype": "bfloat16"}),
    ("lion", {"mu_dtype": "bfloat16"}),
    ("muon", {"mu_dtype": "bfloat16"}),
  ],
)
def test_momentum_in_bfloat16(name, options):
  half = jax.eval_shape(_create(name, options=options).init, PARAMS)
  moments = [leaf for leaf in jax.tree.leaves(half) if leaf.ndim]
  size = sum(leaf.size for leaf in moments if leaf.dtype == jnp.bfloat16)
  assert size == sum(leaf.size for leaf in jax.tree.leaves(PARAMS))


@pytest.mark.matrix("sgd", "muon")
@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_accepts_and_uses_grad_fn(name):
  settings = {
    "weight_decay": 0.1,
    "weight_decay_rules": ON_KERNELS,
    "gradient_clip": 1.0,
  }
  plain = _create(name, **settings)
  extra = _run(plain, grad_fn=lambda params, step: None)
  _assert_equal(extra, _run(plain))
  aware = _create(name, sam_radius=0.1, **settings)
  other = jax.tree.map(lambda g: -g, GRADS)
  seen = _run(aware, grad_fn=lambda params, step: other, steps=1)
  _assert_close(seen, _run(plain, grads=other, steps=1))


def test_shapes_suffice_to_create():
  shapes = jax.eval_shape(lambda: PARAMS)
  optimizer = _create("muon", params=shapes, weight_decay=0.1)
  _assert_equal(_run(optimizer), _run(_create("muon", weight_decay=0.1)))


@pytest.mark.parametrize(
  ("settings", "message"),
  [
    ({"name": "adaw"}, "unknown optimizer 'adaw'; did you mean 'adam"),
    ({"options": {"momentm": 0.9}}, "did you mean 'momentum'"),
    ({"options": {"learning_rate": 1}}, "set optimizer.learning_rate"),
    ({"options": {"weight_decay": 1}}, "set optimizer.weight_decay"),
    ({"options": {"mask": 1}}, "set optimizer.weight_decay_rules"),
    ({"weight_decay_rules": ((".*kernl", 1.0), (".*", 0.0))}, "'kernel'"),
    ({"weight_decay_rules": ((".*", None),)}, "None is not a multiplier"),
    ({"learning_rate_rules": (("fc/.*", 1.0),)}, "no rule for hidden/kernel"),
    ({"learning_rate_rules": ((".*", None),)}, "freeze every parameter"),
  ],
)
def test_errors_name_the_remedy(settings, message):
  settings = {"name": "sgd", **settings}
  with pytest.raises(ValueError, match=message):
    _create(settings.pop("name"), **settings)


@pytest.mark.parametrize(
  ("name", "options", "message"),
  [
    ("adam", {"b1": 2}, r"b1 is 2; it must be a number in \[0, 1\)"),
    ("adam", {"b2": 1.0}, r"b2 is 1.0; it must be a number in \[0, 1\)"),
    ("adamw", {"eps": -1}, "eps is -1; it must be a number at least 0"),
    ("lamb", {"eps_root": None}, "eps_root is None; it must be a number"),
    ("adagrad", {"initial_accumulator_value": -1}, "is -1; it must be"),
    ("rmsprop", {"decay": True}, "decay is True; it must be a number"),
    ("rmsprop", {"centered": "no"}, "it must be true or false"),
    ("sgd", {"momentum": (0, 9)}, "write a decimal point: 0.9"),
    ("sgd", {"accumulator_dtype": "float33"}, "must be one of float32"),
    ("sgdw", {"nesterov": 1}, "nesterov is 1; it must be true or false"),
    ("lars", {"momentum": "none"}, "momentum is 'none'; it must be a number"),
    ("lars", {"trust_coefficient": 0}, "it must be a number above 0"),
    ("lion", {"b1": float("nan")}, "b1 is nan"),
    ("muon", {"ns_steps": 0}, "ns_steps is 0; it must be a whole number"),
    ("muon", {"beta": -0.1}, "beta is -0.1; it must be a number in"),
    ("muon", {"adaptive": "maybe"}, "it must be true or false"),
  ],
)
def test_options_of_a_wrong_type_or_out_of_range_are_refused(
  name, options, message
):
  with pytest.raises(ValueError, match=message):
    optimizers.create(
      name,
      learning_rate=lambda step: 0.1,
      params={"kernel": jnp.ones(2)},
      options=options,
    )


@pytest.mark.parametrize("word", ["false", "False", "FALSE"])
def test_an_option_with_the_text_false_is_false(word):
  """Two steps equal those of optax without Nesterov momentum."""
  params = {"kernel": jnp.ones(2)}
  grads = {"kernel": jnp.asarray([1.0, -0.5])}
  ours = optimizers.create(
    "sgd",
    learning_rate=lambda step: 0.1,
    params=params,
    options={"momentum": 0.9, "nesterov": word},
  )
  theirs = optax.sgd(0.1, momentum=0.9, nesterov=False)
  updates = []
  for each in (ours, theirs):
    state = each.init(params)
    for _ in range(2):
      update, state = each.update(grads, state, params)
    updates.append(update["kernel"])
  np.testing.assert_allclose(*updates, rtol=1e-6)


def cycled(step):
  """A momentum that falls, in numbers that float32 holds exactly."""
  return 0.875 - 0.125 * step


def _by_torch(name, steps=4):
  """Parameters by the formulae of torch's SGD, AdamW and RMSprop, in float64.

  OneCycleLR sets the momentum of a step before the step.
  """
  x = np.asarray(PARAMS["fc"]["kernel"], np.float64)
  grad = np.asarray(GRADS["fc"]["kernel"], np.float64)
  first = second = np.zeros_like(x)
  for step in range(steps):
    g, m, lr = grad * (1 + step), cycled(step), rate(step)
    if name == "sgd":
      first = m * first + g
      x = x - lr * first
    if name == "rmsprop":
      second = 0.9 * second + 0.1 * g**2
      first = m * first + lr * g / np.sqrt(second + 1e-8)
      x = x - first
    if name == "adamw":
      first, second = m * first + (1 - m) * g, 0.999 * second + 0.001 * g**2
      hat = first / (1 - m ** (step + 1))
      root = np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8
      x = x - lr * (hat / root + 0.1 * x)
  return x


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adamw"])
def test_a_momentum_changes_as_in_torch(name):
  decay = {"weight_decay": 0.1} if name == "adamw" else {}
  # Two groups of parameters, each with its own count.
  rules = (("fc/kernel", 1.0), (".*", 0.5))
  ours = _create(name, momentum=cycled, learning_rate_rules=rules, **decay)
  found = _run(ours, steps=4)["fc"]["kernel"]
  np.testing.assert_allclose(found, _by_torch(name), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
  "name", ["sgd", "sgdw", "lars", "adam", "lion", "lamb"]
)
def test_a_momentum_that_stays_is_that_of_the_options(name):
  option = "momentum" if name in ("sgd", "sgdw", "lars") else "b1"
  constant = _create(name, options={option: 0.75})
  changing = _create(name, momentum=lambda step: 0.75 + 0 * step)
  _assert_close(_run(changing), _run(constant), rtol=1e-6)


def test_the_state_of_a_momentum_keeps_its_types():
  """Also with parameters and a state in half precision."""
  params = jax.tree.map(lambda x: x.astype("bfloat16"), PARAMS)
  optimizer = _create(momentum=cycled, state_dtype="bfloat16", params=params)
  before = jax.eval_shape(optimizer.init, params)
  _, after = jax.eval_shape(optimizer.update, params, before, params)
  assert jax.tree.map(lambda x: x.dtype, before) == jax.tree.map(
    lambda x: x.dtype, after
  )


def test_the_turns_of_a_step_have_its_momentum():
  """Two updates of one part have the momentum of their step."""
  params = {"fc": PARAMS["fc"]}
  turned = _create(
    params=params, momentum=cycled, turns={"fc": 2}, learning_rate=lambda s: 0.1
  )
  alone = _create(
    params=params,
    momentum=lambda update: cycled(update // 2),
    learning_rate=lambda s: 0.1,
  )
  found, expected = (
    _run(each, params=params, grads={"fc": GRADS["fc"]}, steps=4)
    for each in (turned, alone)
  )
  _assert_equal(found, expected)


def test_optimizers_without_a_momentum_are_refused():
  with pytest.raises(ValueError, match="adagrad has no option momentum or b1"):
    _create("adagrad", momentum=cycled)
  with pytest.raises(
    ValueError, match=r"has b1 0\.5, and schedule.momentum cha"
  ):
    _create("adamw", momentum=cycled, options={"b1": 0.5})

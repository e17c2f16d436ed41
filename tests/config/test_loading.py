"""Tests of jaxvision.config.loading: recipes, overrides, errors, durations."""

import fractions
import re

import numpy as np
import pytest

from jaxvision import config as configs
from jaxvision.config import durations, keys
from jaxvision.configs import default
from jaxvision.runs import changes

RECIPE = """
from jaxvision.configs import default


def get_config(model="mlp"):
  config = default.get_config()
  config.model.name = model
  config.model.options = {"hidden": (8,)}
  config.optimizer.learning_rate = 0.25
  return config
"""


def _recipe(folder, *lines, text=RECIPE):
  """A recipe file, with lines added before its return."""
  body = "".join(f"  {line}\n" for line in lines)
  path = folder / "recipe.py"
  path.write_text(text.replace("  return", body + "  return"), "utf-8")
  return str(path)


def _load(folder, key, value):
  """The value of a key after an override."""
  config = configs.load(_recipe(folder), {key: value})
  return configs.flatten(config)[key]


def _fails(recipe, message, overrides=None, error=ValueError):
  with pytest.raises(error, match=re.escape(message)) as caught:
    configs.load(recipe, overrides)
  return str(caught.value)


def test_a_recipe_takes_an_argument(tmp_path):
  recipe = _recipe(tmp_path)
  assert configs.load(recipe).model.name == "mlp"
  assert configs.load(f"{recipe}:linear").model.name == "linear"


def test_keys_not_set_by_a_recipe_keep_their_defaults(tmp_path):
  config = configs.load(_recipe(tmp_path))
  assert config.optimizer.learning_rate == 0.25
  assert config.train.batch_size == 128
  assert config.data.data_dir is None


def test_the_config_is_frozen(tmp_path):
  config = configs.load(_recipe(tmp_path))
  with pytest.raises(AttributeError):
    config.seed = 1
  with pytest.raises(AttributeError):
    config.model.options.hidden = (1,)


def test_a_missing_recipe_is_an_error(tmp_path):
  _fails(f"{tmp_path}/none.py:mlp", "none.py", error=FileNotFoundError)


def test_a_recipe_must_have_get_config(tmp_path):
  recipe = _recipe(tmp_path, text="x = 1\n")
  _fails(recipe, "has no function get_config")


def test_a_recipe_without_argument_refuses_one(tmp_path):
  recipe = _recipe(tmp_path, text=RECIPE.replace('model="mlp"', ""))
  _fails(f"{recipe}:mlp", "takes no argument, but got 'mlp'")


@pytest.mark.parametrize(
  ("key", "text", "value"),
  [
    ("optimizer.learning_rate", "1e-3", 0.001),
    ("train.batch_size", "32", 32),
    ("model.name", "linear", "linear"),
    ("log.tensorboard", "false", False),
    ("log.tensorboard", "True", True),
    ("data.data_dir", "/data", "/data"),
    ("data.mean", "(0.1, 0.2, 0.3)", (0.1, 0.2, 0.3)),
    ("data.train_transforms", "('a(32)','b')", ("a(32)", "b")),
    ("data.train_transforms", "()", ()),
    ("data.train_transforms", "random_flip", ("random_flip",)),
    (
      "optimizer.learning_rate_rules",
      '(("head/.*", 1.0), (".*", None))',
      (("head/.*", 1.0), (".*", None)),
    ),
    ("model.options.hidden", "(4, 4)", (4, 4)),
    ("model.options.dropout", "0.5", 0.5),
    ("model.options.activation", "gelu", "gelu"),
    ("optimizer.options.nesterov", "True", True),
  ],
)
def test_text_becomes_a_value_of_the_type_of_the_key(
  tmp_path, key, text, value
):
  found = _load(tmp_path, key, text)
  assert found == value
  assert type(found) is type(value)


@pytest.mark.parametrize(
  ("key", "value", "expected"),
  [
    ("optimizer.learning_rate", 1, 1.0),
    ("train.batch_size", 32, 32),
    ("data.mean", [0.1], (0.1,)),
    ("data.data_dir", None, None),
    ("log.tensorboard", False, False),
    ("model.options.hidden", (4,), (4,)),
  ],
)
def test_python_values_override_too(tmp_path, key, value, expected):
  found = _load(tmp_path, key, value)
  assert found == expected
  assert type(found) is type(expected)


@pytest.mark.parametrize("given", ["{'dropout': 0.5}", {"dropout": 0.5}])
def test_options_are_replaced_when_given_all_at_once(tmp_path, given):
  config = configs.load(_recipe(tmp_path), {"model.options": given})
  assert config.model.options.to_dict() == {"dropout": 0.5}


@pytest.mark.parametrize("value", [0.1, "0.1"])
@pytest.mark.parametrize(
  ("key", "nearest"),
  [
    ("optimizer.learnig_rate", "optimizer.learning_rate"),
    ("optimiser.learning_rate", "optimizer.learning_rate"),
    ("train.batchsize", "train.batch_size"),
    ("sed", "seed"),
    ("seed.x", "seed"),
    ("evaluate.options.every", "evaluate.every"),
    ("loss.options.a.label_smoothing", "loss.options"),
  ],
)
def test_an_override_of_an_unknown_key_names_the_nearest(
  tmp_path, key, nearest, value
):
  recipe = _recipe(tmp_path, 'config.loss.options = {"label_smoothing": 0.1}')
  message = _fails(recipe, f"unknown config key {key!r}", {key: value})
  assert f"did you mean '{nearest}" in message


@pytest.mark.parametrize(
  ("key", "value", "kind"),
  [
    ("optimizer.learning_rate", "fast", "float"),
    ("optimizer.learning_rate", True, "float"),
    ("train.batch_size", 1.5, "int"),
    ("train.batch_size", "1.5", "int"),
    ("train.batch_size", True, "int"),
    ("loss.name", 3, "str"),
    ("data.data_dir", 3, "str"),
    ("log.tensorboard", "maybe", "bool"),
    ("log.tensorboard", 1, "bool"),
    ("train.duration", 10, "str"),
  ],
)
def test_a_wrong_type_names_the_key_and_the_type(tmp_path, key, value, kind):
  message = f"config key {key!r}: {value!r} is not of type {kind}"
  _fails(_recipe(tmp_path), message, {key: value})


def test_none_is_an_error_for_most_keys(tmp_path):
  message = "config key 'seed' is None"
  _fails(_recipe(tmp_path), message, {"seed": None})


@pytest.mark.parametrize("value", ["x", {"name": "x"}])
def test_a_group_of_keys_cannot_be_overridden(tmp_path, value):
  message = "config key 'loss' is a group of keys; set one of them"
  _fails(_recipe(tmp_path), message, {"loss": value})


@pytest.mark.parametrize(
  ("given", "value"),
  [("0,1", (0, 1)), ("abc", "abc"), ("1", 1), (4.5, 4.5), ("true", True)],
)
def test_an_option_may_be_of_another_type_than_the_one_of_the_recipe(
  tmp_path, given, value
):
  # The function declares the type; M may be 1 in a recipe and 1.5 here.
  for set_there in ("0.1", "3", "(8,)", "'small'", "None"):
    recipe = _recipe(tmp_path, f'config.loss.options = {{"M": {set_there}}}')
    config = configs.load(recipe, {"loss.options.M": given})
    assert config.loss.options["M"] == value
    assert type(config.loss.options["M"]) is type(value)


def test_options_must_be_a_dictionary(tmp_path):
  message = "config key 'model.options': 3 is not a dictionary"
  _fails(_recipe(tmp_path), message, {"model.options": 3})


@pytest.mark.parametrize(
  "line",
  [
    "config.optimizer.learnig_rate = 0.1",
    "config.optimizer.update(learnig_rate=0.1)",
    "config.optimizer['learnig_rate'] = 0.1",
  ],
)
def test_a_misspelt_key_in_a_recipe_names_the_nearest(tmp_path, line):
  recipe = _recipe(tmp_path, line)
  message = _fails(recipe, f"unknown key in {recipe}: 'learnig_rate'")
  assert "did you mean 'optimizer.learning_rate" in message


def test_an_error_in_a_recipe_is_not_replaced(tmp_path):
  recipe = _recipe(tmp_path, "config.name.no_such_method()")
  _fails(recipe, "name", error=AttributeError)


@pytest.mark.parametrize("extra", ["trainn = 3", "data.options = {'x': 1}"])
def test_a_key_that_a_recipe_adds_is_unknown(tmp_path, extra):
  recipe = _recipe(tmp_path, "config.unlock()", f"config.{extra}")
  key = extra.split(" ")[0]
  _fails(recipe, f"unknown key in {recipe}: '{key}")


@pytest.mark.parametrize("key", ["optimizer.sam_radius", "loss.options"])
def test_a_recipe_that_lacks_a_key_is_told_to_start_from_defaults(
  tmp_path, key
):
  group, name = key.split(".")
  recipe = _recipe(tmp_path, "config.unlock()", f"del config.{group}['{name}']")
  _fails(recipe, f"lacks the config key {key!r}; start the recipe from")


def test_a_wrong_type_in_a_recipe_names_the_key(tmp_path):
  recipe = _recipe(tmp_path, "config.seed = 'zero'")
  _fails(recipe, f"{recipe}: Could not override field 'seed'")


def test_a_wrong_type_in_an_unlocked_recipe_names_the_key(tmp_path):
  with_text = ["with config.ignore_type():", "  config.seed = 'zero'"]
  recipe = _recipe(tmp_path, *with_text)
  _fails(recipe, "config key 'seed' is 'zero', of type str; it must be int")


@pytest.mark.parametrize(
  ("key", "value", "expected"),
  [
    ("checkpoint.keep", 0, "at least 1"),
    ("ema.decay", 1.0, "in [0, 0.999999]"),
    ("ema.decay", -0.1, "in [0, 0.999999]"),
    ("optimizer.weight_decay", -1e-4, "at least 0"),
    ("optimizer.learning_rate", float("nan"), "at least 0"),
    ("optimizer.learning_rate", 1e39, "at least 0, and finite"),
    ("optimizer.gradient_clip", -1, "at least 0"),
    ("optimizer.layer_decay", 1.5, "in (0, 1]"),
    ("optimizer.layer_decay", "0", "in (0, 1]"),
    ("train.steps_per_dispatch", 0, "at least 1"),
    ("train.batch_size", 0, "in [1, 1048576]"),
    ("train.batch_size", 10**9, "in [1, 1048576]"),
    ("train.batch_size", "10000000000000000000000", "in [1, 1048576]"),
    ("evaluate.batch_size", 10**9, "in [0, 1048576]"),
    ("data.max_unreadable", 1.5, "in [0, 1]"),
    ("data.threads", -1, "in [0, 1024]"),
    ("data.workers", 10**6, "in [0, 1024]"),
    ("data.num_classes", 10**12, "at least 0"),
    ("data.channels", 0, "at least 1"),
    ("loss.auxiliary_weight", -0.4, "at least 0"),
    ("log.peak_flops", -1.0, "in [0, 1e+30]"),
    ("seed", -1, "in [0, 4294967295]"),
    ("data.std", "(1e400,)", "above 0, and finite"),
    ("data.std", (0.5, 0.0), "above 0"),
    ("data.mean", (127.5,), "in [0, 1]"),
  ],
)
def test_a_value_out_of_range_names_key_and_range(
  tmp_path, key, value, expected
):
  message = _fails(_recipe(tmp_path), f"config key {key!r}", {key: value})
  assert expected in message


@pytest.mark.parametrize(
  ("key", "value", "expected"),
  [
    ("data.train_transforms", "(3,)", "[0] is 3; it must be text"),
    ("data.eval_transforms", ("resize(8)", None), "[1] is None"),
    ("evaluate.probes", "(1, 2)", "[0] is 1; it must be text"),
    ("model.ignore", "(True,)", "[0] is True; it must be a regular expression"),
    ("model.ignore", ("head(",), "[0]: 'head(' is not a regular expression"),
    ("loss.penalty_on", "*kernel", "'*kernel' is not a regular expression"),
    ("mesh.rules", "(3,)", "[0] is 3; it must be a tuple of 2"),
    ("mesh.rules", ((".*", 3),), "[0][1] is 3; it must be text or a tuple"),
    ("mesh.rules", (("(", "fsdp"),), "[0][0]: '(' is not a regular expression"),
    ("data.mean", "(true,)", "[0]"),
    ("data.std", ("0.5",), "[0] is '0.5'; it must be a number above 0"),
    ("data.sources", "((1.0, 'tfds'),)", "it must be a tuple of 4"),
    ("data.sources", ((-1.0, "npz", "a", "train"),), "[0][0] is -1.0"),
  ],
)
def test_the_parts_of_tuples_are_checked(tmp_path, key, value, expected):
  message = _fails(_recipe(tmp_path), f"config key {key!r}", {key: value})
  assert expected in message


@pytest.mark.parametrize("group", ["learning_rate", "weight_decay"])
@pytest.mark.parametrize(
  "rules",
  [
    (".*", 1.0),
    ((".*",),),
    ((".*", "fast"),),
    ((None, 1.0),),
    ((".*", -1.0),),
    ((".*", True),),
    (("head/(", 1.0), (".*", 0.5)),
    ((".*", float("inf")),),
  ],
)
def test_rules_are_pairs_of_a_regular_expression_and_a_factor(
  tmp_path, group, rules
):
  key = f"optimizer.{group}_rules"
  message = _fails(_recipe(tmp_path), f"config key {key!r}", {key: rules})
  assert "it must be" in message or "not a regular expression" in message


def test_none_freezes_but_is_an_error_for_the_decay(tmp_path):
  rules = ((".*bias", None), (".*", 1))
  key = "optimizer.learning_rate_rules"
  assert _load(tmp_path, key, rules) == ((".*bias", None), (".*", 1.0))
  _fails(
    _recipe(tmp_path),
    "[0][1] is None; it must be a number at least 0",
    {"optimizer.weight_decay_rules": rules},
  )


@pytest.mark.parametrize("text", ["()", "[]", " ( ) ", ()])
def test_no_values_replace_those_of_a_recipe(tmp_path, text):
  recipe = _recipe(tmp_path, "config.data.device_transforms = ('random_flip',)")
  config = configs.load(recipe, {"data.device_transforms": text})
  assert config.data.device_transforms == ()


@pytest.mark.parametrize("text", ["{1: 2}", "{'rate': 0.1", "3"])
def test_options_are_named(tmp_path, text):
  message = "config key 'model.options': "
  _fails(_recipe(tmp_path), message, {"model.options": text})


@pytest.mark.parametrize(
  ("key", "text", "value"),
  [
    ("data.data_dir", "None", None),
    ("data.data_dir", "none", None),
    ("log.tensorboard", "FALSE", False),
    ("model.options.scan_layers", "TRUE", True),
    ("model.options.scan_layers", "false", False),
    ("model.options.stem_units", "None", None),
    ("model.options.norm", "none", "none"),
    ("loss.options", "{'x': false}", None),
  ],
)
def test_words_are_read_in_any_case(tmp_path, key, text, value):
  config = configs.load(_recipe(tmp_path), {key: text})
  if key == "loss.options":
    assert config.loss.options.to_dict() == {"x": False}
  else:
    assert configs.flatten(config)[key] is value


def test_numbers_of_numpy_become_those_of_python(tmp_path):
  recipe = _recipe(
    tmp_path,
    "import numpy as np",
    "config.model.options.dropout = np.float32(0.5)",
    "config.model.options.hidden = [np.int64(3)]",
  )
  overrides = {
    "optimizer.learning_rate": np.float64(0.5),
    "train.batch_size": np.int32(8),
    "data.mean": np.array([0.25]),
    "optimizer.options": {"b1": np.float32(0.5)},
    "log.tensorboard": np.bool_(False),
  }
  flat = configs.flatten(configs.load(recipe, overrides))
  found = [flat[key] for key in list(overrides)[:3]]
  assert found == [0.5, 8, (0.25,)]
  assert [type(each) for each in found] == [float, int, tuple]
  assert flat["log.tensorboard"] is False
  assert type(flat["optimizer.options.b1"]) is float
  assert type(flat["model.options.dropout"]) is float
  assert type(flat["model.options.hidden"][0]) is int


def test_every_key_has_a_type_and_no_other_has():
  from jaxvision.configs import default

  known = configs.flatten(default.get_config().to_dict())
  assert set(keys.TYPES) == set(known)


def test_flatten_gives_dotted_keys():
  nested = {"a": 1, "b": {"c": {"d": (1, 2)}, "e": None}, "f": {}}
  assert configs.flatten(nested) == {"a": 1, "b.c.d": (1, 2), "b.e": None}


@pytest.mark.parametrize(
  ("duration", "expected"),
  [
    ("500 steps", 500),
    ("1 step", 1),
    ("500", 500),
    (" 1_000 steps ", 1000),
    ("2 epochs", 20),
    ("2.5 epochs", 25),
    (".5 epochs", 5),
    ("1e3 examples", 100),
    ("1.5e3 examples", 150),
    ("14 examples", 1),
    ("16 examples", 2),
    ("1 examples", 1),
    ("0 epochs", 0),
    ("5 percent", 50),
    ("12.5%", 125),
    ("0.01 %", 1),
  ],
)
def test_durations_in_steps(duration, expected):
  """Batches of 10, epochs of 100 examples, runs of 1000 steps."""
  sizes = {"batch_size": 10, "num_examples": 100, "total_steps": 1000}
  assert durations.steps(duration, **sizes) == expected


@pytest.mark.parametrize(
  ("duration", "expected"), [("1 steps", 8), ("8", 8), ("9", 16), ("0", 0)]
)
def test_durations_are_rounded_up_to_a_multiple(duration, expected):
  sizes = {"batch_size": 10, "num_examples": 100}
  assert durations.steps(duration, multiple_of=8, **sizes) == expected


def test_the_length_of_a_run_cannot_be_a_percentage():
  with pytest.raises(ValueError, match="use steps, epochs or examples"):
    durations.steps("5 percent", batch_size=10, num_examples=100)


@pytest.mark.parametrize(
  "text",
  ["", "ten steps", "1.2.3 steps", "10 parsecs", "-5 steps", "steps", "1_ e"],
)
def test_bad_durations_name_the_key(tmp_path, text):
  message = f"config key 'schedule.warmup': {text!r} is not a duration"
  _fails(_recipe(tmp_path), message, {"schedule.warmup": text})


@pytest.mark.parametrize(
  "text", ["1e400 steps", "1e18 steps", "1e99999999999 epochs", "1e16 examples"]
)
def test_a_duration_longer_than_any_run_is_refused(tmp_path, text):
  message = f"config key 'train.duration': {text!r} is longer than any run"
  _fails(_recipe(tmp_path), message, {"train.duration": text})


@pytest.mark.parametrize(
  ("duration", "batch_size", "num_examples", "expected"),
  [
    # In binary, 0.7 * 90 / 100 and 4.35 * 100 are below their decimal values.
    ("8.7 epochs", 10, 50, 44),  # 43.5, rounded to even as 43.50 is
    ("0.145 epochs", 1, 100, 14),  # 14.5: to even
    ("1.005 epochs", 1, 1000, 1005),
    ("33.3 epochs", 3, 10**9, 11_100_000_000),
  ],
)
def test_durations_are_exact(duration, batch_size, num_examples, expected):
  """The rational number of the text is rounded half to even."""
  number = fractions.Fraction(duration.split()[0])
  assert round(number * num_examples / batch_size) == expected
  found = durations.steps(
    duration, batch_size=batch_size, num_examples=num_examples
  )
  assert found == expected


@pytest.mark.parametrize("text", ["false", "FALSE", "true"])
def test_text_of_an_old_version_that_meant_true_stays_true(text, caplog):
  # Versions before data.max_pixels stored --config.KEY=false as text.
  saved = default.get_config().to_dict()
  del saved["data"]["max_pixels"]
  saved["model"]["options"] = {"scan_layers": text, "stem": "small"}
  options = configs.restore(saved).model.options
  assert options["scan_layers"] is True
  assert options["stem"] == "small"
  assert ("treated as true" in caplog.text) == (text != "true")
  # The same override again belongs to the same run if its meaning is equal.
  now = configs.complete(saved)
  assert changes.find(saved, now) == []
  now["model"]["options"]["scan_layers"] = False
  change = ("model.options.scan_layers", True, False)
  assert changes.find(saved, now) == [change]


def test_text_saved_by_this_version_stays_text():
  saved = default.get_config().to_dict()
  saved["optimizer"]["options"] = {"nesterov": "false"}
  assert configs.complete(saved)["optimizer"]["options"]["nesterov"] == "false"

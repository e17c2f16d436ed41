"""Tests of jaxvision.trees: paths, rules and counts."""

import jax
import jax.numpy as jnp
import pytest

from jaxvision import trees

PARAMS = {
  "layer1_0": {
    "conv1": {"kernel": jnp.ones((3, 3, 2, 4))},
    "bn1": {"scale": jnp.ones(4), "bias": jnp.zeros(4)},
  },
  "fc": {"kernel": jnp.ones((4, 3)), "bias": jnp.zeros(3)},
}


def test_flatten_gives_slash_paths_in_the_order_of_the_leaves():
  flat = trees.flatten(PARAMS)
  assert set(flat) == {
    "fc/bias",
    "fc/kernel",
    "layer1_0/bn1/bias",
    "layer1_0/bn1/scale",
    "layer1_0/conv1/kernel",
  }
  leaves = jax.tree.leaves(PARAMS)
  assert all(a is b for a, b in zip(flat.values(), leaves, strict=True))


def test_flatten_handles_sequences():
  assert trees.flatten({"a": [1, (2, 3)]}) == {"a/0": 1, "a/1/0": 2, "a/1/1": 3}


def test_count_of_arrays_and_of_their_shapes():
  assert trees.count(PARAMS) == 3 * 3 * 2 * 4 + 4 + 4 + 4 * 3 + 3
  shapes = jax.eval_shape(lambda: PARAMS)
  assert trees.count(shapes) == trees.count(PARAMS)


def test_the_first_matching_rule_wins_and_structure_is_kept():
  rules = (("fc/.*", "head"), (".*kernel", "matrix"), (".*", "vector"))
  values = trees.match_rules(rules, PARAMS)
  assert values == {
    "layer1_0": {
      "conv1": {"kernel": "matrix"},
      "bn1": {"scale": "vector", "bias": "vector"},
    },
    "fc": {"kernel": "head", "bias": "head"},
  }


def test_a_value_of_none_is_kept():
  values = trees.match_rules(((".*bias", None), (".*", 1)), PARAMS)
  assert values["fc"] == {"kernel": 1, "bias": None}


def test_patterns_match_whole_paths():
  with pytest.raises(ValueError, match=r"no rule for .*layer1_0/conv1/kernel"):
    trees.match_rules((("fc.*", 1), ("kernel", 2)), PARAMS)


def test_unmatched_paths_are_listed_with_the_rules():
  with pytest.raises(ValueError) as error:
    trees.match_rules(((".*kernel", 1),), PARAMS, where="optimizer.rules")
  message = str(error.value)
  assert message.startswith("optimizer.rules: no rule for fc/bias, ")
  assert "rules: .*kernel" in message


def test_a_rule_that_matches_nothing_names_the_nearest_path():
  with pytest.raises(ValueError, match=r"'\.\*kernl' .* did you mean 'kernel'"):
    trees.match_rules(((".*kernl", 1), (".*", 0)), PARAMS)
  with pytest.raises(ValueError, match="did you mean 'layer1_0/conv1/kernel'"):
    trees.match_rules((("layer1_1/conv1/kernel", 1), (".*", 0)), PARAMS)


def test_a_rule_after_a_catch_all_rule_is_an_error():
  with pytest.raises(ValueError, match=r"'\.\*kernel' comes after"):
    trees.match_rules(((".*", 0), (".*kernel", 1)), PARAMS)


def test_a_last_catch_all_rule_may_match_nothing():
  only_kernels = {"head": {"kernel": 0}}
  values = trees.match_rules(((".*kernel", 1), (".*", 0)), only_kernels)
  assert values == {"head": {"kernel": 1}}


def test_a_glob_is_explained():
  with pytest.raises(
    ValueError, match=r"'\*kernel' is not a regular expression"
  ):
    trees.match_rules(((".*", 0), ("*kernel", 1)), PARAMS)


def test_long_lists_of_paths_are_cut():
  tree = {f"layer{i:02}": 0 for i in range(50)}
  with pytest.raises(ValueError, match=r"\.\.\. \(50 in all\)") as error:
    trees.match_rules((), tree)
  assert "layer49" not in str(error.value)


def test_matching_gives_leaves_by_path_or_an_error():
  found = trees.matching(".*bias", PARAMS, where="here")
  assert list(found) == ["fc/bias", "layer1_0/bn1/bias"]
  with pytest.raises(ValueError, match="here: 'weight' matches no path"):
    trees.matching("weight", PARAMS, where="here")


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_non_finite_values_are_found_by_path(bad, dtype):
  tree = {**PARAMS, "count": jnp.arange(3), "step": 7}
  assert trees.not_finite(tree) == []
  trees.check_finite(tree, what="it")
  kernel = jnp.ones((2, 5), dtype).at[1, 4].set(bad)
  tree["fc"] = {"kernel": kernel, "bias": PARAMS["fc"]["bias"]}
  assert trees.not_finite(tree) == ["fc/kernel"]
  with pytest.raises(trees.NotFinite, match="it has NaN or infinity in fc/ke"):
    trees.check_finite(tree, what="it")


def test_non_finite_values_are_found_in_each_stack_member():
  tree = {
    "a": jnp.zeros((3, 2, 2)).at[1, 0, 1].set(jnp.nan),
    "b": jnp.zeros(3).at[1].set(jnp.inf).at[2].set(jnp.nan),
    "n": jnp.zeros(3, jnp.int32),
  }
  assert trees.not_finite_of_each(tree, count=3) == [[], ["a", "b"], ["b"]]
  assert trees.not_finite_of_each({"n": tree["n"]}, count=3) == [[], [], []]
  assert trees.not_finite({"n": tree["n"]}) == []

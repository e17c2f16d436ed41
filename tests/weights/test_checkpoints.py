"""Checkpoints of trainings in files of torch: which network is read."""

import numpy as np
import pytest
import torch_files as tf
from weight_files import random_variables

from jaxvision import cli, models, trees, weights
from jaxvision.weights import formats

VIT = {"width": 24, "depth": 2, "mlp_dim": 32, "num_heads": 3}


@pytest.fixture(scope="module")
def state(tmp_path_factory):
  """{key: array} of a small ViT in timm's layout."""
  path = tmp_path_factory.mktemp("vit") / "vit.safetensors"
  model = models.create("vit_ti16", num_classes=7, **VIT)
  weights.save(path, "vit_ti16", random_variables(model, 64))
  return {n: np.array(a) for n, a in formats.open_file(path).arrays.items()}


def _nested(tree, rows):
  """The instructions of nested dicts and lists of arrays."""
  if isinstance(tree, np.ndarray | np.generic):
    rows[str(len(rows))] = np.ascontiguousarray(tree).tobytes()
    return tf.of_array(str(len(rows) - 1), tree)
  if isinstance(tree, list):
    return b"](" + b"".join(_nested(each, rows) for each in tree) + b"e"
  if isinstance(tree, dict):
    return tf.dict_({k: _nested(each, rows) for k, each in tree.items()})
  return tf.integer(tree)


def _saved(path, tree):
  rows = {}
  value = _nested(tree, rows)
  path.write_bytes(tf.zipped(value, rows))
  return path


def _changed(state, factor):
  return {k: (a * factor).astype(a.dtype) for k, a in state.items()}


def _bias(source):
  _, loaded = weights.load(source, "vit_ti16", **VIT)
  return trees.flatten(loaded)["params/head/bias"]


ADAM = {"state": {"0": {"step": np.float32(1), "exp_avg": np.ones(3)}}, "lr": 1}


@pytest.mark.parametrize("suffix", [".pth", ".bin", ".ckpt", ".pth.tar"])
def test_a_state_dict_loads_as_it_is(suffix, state, tmp_path):
  path = _saved(tmp_path / f"vit{suffix}", state)
  np.testing.assert_array_equal(_bias(path), state["head.bias"])
  found = weights.inspect(path)
  assert found.models[0][0] == "vit_ti16" and found.num_classes == 7


@pytest.mark.parametrize("name", ["state_dict", "model", "my network"])
@pytest.mark.parametrize("prefix", ["", "module.", "backbone."])
def test_the_network_of_a_checkpoint_is_found(
  name, prefix, state, tmp_path, caplog
):
  inside = {f"{prefix}{key}": array for key, array in state.items()}
  tree = {"epoch": 3, "best": np.float32(7), name: inside, "optimizer": ADAM}
  path = _saved(tmp_path / "checkpoint.pth", tree)
  np.testing.assert_array_equal(_bias(path), state["head.bias"])
  assert f"the prefix {name}.{prefix} of its keys is removed" in caplog.text
  assert "3 other arrays are skipped (optimizer: 2, best: 1)" in caplog.text


def test_lists_of_arrays_are_said(state, tmp_path, caplog):
  tree = {"state_dict": state, "optimizer_states": [ADAM]}
  assert _bias(_saved(tmp_path / "a.ckpt", tree)).shape == (7,)
  assert "the arrays in the lists optimizer_states are skipped" in caplog.text


@pytest.mark.parametrize("average", ["model_ema", "state_dict_ema"])
def test_the_average_is_preferred_and_another_can_be_chosen(
  average, state, tmp_path
):
  tree = {"model": state, average: _changed(state, 2), "optimizer": ADAM}
  path = _saved(tmp_path / "checkpoint.pth", tree)
  np.testing.assert_array_equal(_bias(path), 2 * state["head.bias"])
  np.testing.assert_array_equal(_bias(f"{path}#model"), state["head.bias"])


def test_student_and_teacher_are_chosen_in_words(state, tmp_path, caplog):
  tree = {"student": state, "teacher": _changed(state, 3), "optimizer": ADAM}
  path = _saved(tmp_path / "dino.pth", tree)
  with pytest.raises(ValueError, match=r"networks.*'student\.', 'teacher\.'"):
    _bias(path)
  with pytest.raises(ValueError, match=r"FILE#teacher"):
    _bias(path)
  np.testing.assert_array_equal(_bias(f"{path}#student"), state["head.bias"])
  np.testing.assert_array_equal(
    _bias(f"{path}#teacher"), 3 * state["head.bias"]
  )
  assert "FILE#teacher" in weights.inspect(path).problem
  with pytest.raises(ValueError, match=r"no part 'teachr'.*mean teacher\?"):
    _bias(f"{path}#teachr")


def test_a_network_inside_a_part_is_used_and_the_rest_said(
  state, tmp_path, caplog
):
  """As DINO saves it: a backbone with a projection beside it."""
  inside = {f"backbone.{key}": array for key, array in state.items()}
  inside["projection.mlp.weight"] = np.ones((3, 3), np.float32)
  student = {f"module.{key}": array for key, array in inside.items()}
  path = _saved(tmp_path / "a.pth", {"student": student, "teacher": inside})
  with pytest.raises(ValueError, match=r"module\.backbone.*FILE#teacher"):
    _bias(path)
  np.testing.assert_array_equal(_bias(f"{path}#teacher"), state["head.bias"])
  assert "1 other arrays are skipped (projection: 1)" in caplog.text
  assert weights.inspect(f"{path}#student").prefix == "module.backbone."


def test_arrays_beside_a_flat_network_are_still_an_error(state, tmp_path):
  more = {"extra.weight": np.ones(3, np.float32)}
  path = _saved(tmp_path / "a.pth", {**state, **more})
  with pytest.raises(ValueError, match=r"unused:\n  extra\.weight"):
    _bias(path)


def test_a_flat_file_with_unknown_prefixes_lists_them(state, tmp_path):
  """As MoCo's, where nothing says which of the encoders is meant."""
  flat = {f"encoder_q.{key}": array for key, array in state.items()}
  path = _saved(tmp_path / "a.pth", {**flat, "queue": np.ones(3, np.float32)})
  with pytest.raises(ValueError, match=r"among others.*FILE#encoder_q$"):
    _bias(path)
  np.testing.assert_array_equal(_bias(f"{path}#encoder_q"), state["head.bias"])
  flat |= {f"encoder_k.{key}": array for key, array in state.items()}
  with pytest.raises(ValueError, match="'encoder_q\\.', 'encoder_k"):
    _bias(_saved(path, flat))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_prefixes_of_other_formats_are_parts(suffix, state, tmp_path):
  arrays = {f"net.{key}": array for key, array in state.items()}
  arrays |= {f"other.{k}": a for k, a in _changed(state, 2).items()}
  path = tmp_path / f"file{suffix}"
  formats.write(path, arrays)
  np.testing.assert_array_equal(_bias(f"{path}#other"), 2 * state["head.bias"])
  with pytest.raises(ValueError, match=r"has no part 'x'; its parts are net "):
    weights.load(f"{path}#x", "vit_ti16")


def test_a_file_with_a_sharp_in_its_name_is_found_first(state, tmp_path):
  path = _saved(tmp_path / "a.pth#model", {"model": state})
  path = path.rename(tmp_path / "a.pth#model.pth")
  np.testing.assert_array_equal(_bias(path), state["head.bias"])
  with pytest.raises(FileNotFoundError, match=r"a\.pth$"):
    _bias(tmp_path / "a.pth#model")


def test_commands_take_a_part(state, tmp_path, capsys):
  tree = {"student": state, "teacher": _changed(state, 2)}
  path = _saved(tmp_path / "dino.pth", tree)
  assert cli.main(["weights", "inspect", f"{path}#teacher"]) == 0
  assert "7 classes" in capsys.readouterr().out
  assert weights.preprocessing(f"{path}#teacher", "vit_ti16").mean
  assert weights.native_size(f"{path}#teacher", "vit_ti16") == 64
  options = weights.implied_options(f"{path}#teacher", "vit_ti16")
  assert options["activation"] == "gelu_erf"


def test_a_published_file_is_compared_with_its_name(state, tmp_path):
  path = _saved(tmp_path / "vit_b_32-d86f8d99.pth", state)
  for act in (
    lambda: weights.load(path, "vit_ti16"),
    lambda: weights.inspect(f"{path}#x"),
    lambda: weights.preprocessing(path, "vit_ti16"),
  ):
    with pytest.raises(ValueError, match=r"SHA-256 .* but d86f8d99 was"):
      act()
  assert weights.inspect(path.rename(tmp_path / "mine.pth")).num_classes == 7


def test_what_would_run_code_is_refused_by_every_command(tmp_path, capsys):
  path = tmp_path / "bad.pth"
  code = tf.called("posix.system", tf.text("touch hostile"))
  path.write_bytes(tf.zipped(code))
  for command in (
    ["weights", "inspect", str(path)],
    ["predict", "--weights", str(path), "--model", "resnet18", "a.png"],
    ["weights", "convert", str(path), "a.npz", "--model", "resnet18"],
  ):
    assert cli.main(command) == 2
    said = capsys.readouterr().err
    assert "'posix.system', which could run code and is refused" in said
    assert "Traceback" not in said

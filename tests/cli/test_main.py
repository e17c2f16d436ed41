"""The commands, run in this process where possible."""

import argparse
import json
import os
import pathlib
import pty
import shutil
import subprocess
import sys

import pytest
import spawned

import jaxvision
from jaxvision import cli, data
from jaxvision.cli.main import make_parser
from jaxvision.processes import exit_codes

_DIGITS = spawned.recipe("digits.py:linear")
# Commands that start fast must not import these.
_HEAVY = (
  "numpy",
  "jax",
  "tensorflow",
  "torch",
  "flax",
  "orbax",
  "grain",
  "matplotlib",
)
_COMMANDS = (
  (),
  ("train",),
  ("evaluate",),
  ("predict",),
  ("explain",),
  ("report",),
  ("score",),
  ("models",),
  ("data",),
  ("data", "list"),
  ("data", "inspect"),
  ("data", "prepare"),
  ("data", "doctor"),
  ("data", "preview"),
  ("data", "backgrounds"),
  ("weights",),
  ("weights", "list"),
  ("weights", "inspect"),
  ("weights", "convert"),
  ("export",),
  ("generate",),
  ("distance",),
  ("probe",),
  ("sweep",),
  ("search",),
  ("watch",),
  ("plan",),
  ("launch",),
  ("launch", "local"),
  ("launch", "slurm"),
  ("launch", "ray"),
  ("launch", "tpu"),
  ("completion",),
)


@pytest.fixture(scope="module")
def data_dir():
  return spawned.prepared_digits()


def _train_arguments(workdir, data_dir, *more):
  return [
    *("train", "--config", _DIGITS, "--workdir", str(workdir)),
    f"--config.data.data_dir={data_dir}",
    *("--config.train.duration", "48 steps"),
    "--config.evaluate.every=16 steps",
    "--config.log.every=16 steps",
    "--config.log.tensorboard=False",
    *more,
  ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_dir):
  """The workdir of a finished run."""
  workdir = tmp_path_factory.mktemp("trained") / "run"
  assert cli.main(_train_arguments(workdir, data_dir)) == 0
  return workdir


@pytest.fixture
def digit(data_dir, tmp_path):
  """A function: (position in the test split) -> (path of a PNG, label)."""

  source = data.Source("tfds", "digits", data_dir=data_dir)
  split = data.open_dataset(source, "test")

  def write(position):
    content, label = split.read([position])[0]
    path = tmp_path / f"digit{position}.png"
    path.write_bytes(content)
    return path, label

  return write


def _python(code):
  command = [sys.executable, "-c", code]
  return subprocess.run(command, capture_output=True, text=True, check=True)


def test_help_of_every_command_is_printed_without_heavy_imports():
  code = f"""
import sys, jaxvision
from jaxvision import cli
for words in {_COMMANDS}:
  try:
    cli.main([*words, "--help"])
  except SystemExit as stop:
    assert stop.code == 0
print("imported", [name for name in {_HEAVY} if name in sys.modules])
"""
  printed = _python(code).stdout
  for words in _COMMANDS:
    assert f"usage: {' '.join(['jaxvision', *words])} " in printed
  assert printed.splitlines()[-1] == "imported []"


@pytest.mark.parametrize(
  ("words", "expected"),
  [
    (["--config.optimizer.learning_rat=1"], "'optimizer.learning_rate'"),
    (["--config.optimizer.learning_rate=fast"], "'fast' is not of type float"),
    (["--config.train.duration=2 fortnights"], "is not a duration"),
    (["--config.model.name=liner"], "did you mean 'linear'"),
    (["--config.model.options.widht=3"], "no option 'widht'"),
    (["--config.loss.name=softmx"], "did you mean 'softmax'"),
    (["--config.optimizer.name=adan"], "did you mean 'adam"),
    (["--config.schedule.name=cosin"], "did you mean 'cosine'"),
    (["--config.data.split=train"], "unknown config key 'data.split'"),
    (["--config.data.name=digit"], "did you mean 'digits'"),
    (["--config.data.device_transforms=('flip',)"], "'random_flip'"),
  ],
)
def test_mistakes_are_one_clear_line(
  words, expected, data_dir, tmp_path, capsys
):
  arguments = _train_arguments(tmp_path / "run", data_dir, *words)
  assert cli.main(arguments) == 2
  error = capsys.readouterr().err
  assert error.startswith("jaxvision: ")
  assert expected in error
  assert error.count("\n") == 1
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
  ("arguments", "expected"),
  [
    (["trian"], "invalid choice: 'trian'"),
    (["train", "--config", _DIGITS], "--workdir"),
    (
      ["models", "--config.seed=1"],
      "models does not accept --config.KEY=VALUE",
    ),
    (
      ["data", "list", "--config.seed=1"],
      "data does not accept --config.KEY=VALUE",
    ),
    (["models", "--sort"], "unrecognised argument: --sort"),
    (
      ["train", "--config", _DIGITS, "--workdir", "w", "--config.seed"],
      "--config.seed needs a value",
    ),
  ],
)
def test_wrong_arguments_show_the_usage(arguments, expected, capsys):
  with pytest.raises(SystemExit) as stop:
    cli.main(arguments)
  assert stop.value.code == 2
  assert expected in capsys.readouterr().err


# Options that are paths, in any position.
_PATHS = {
  *("class_names", "config", "data", "data_dir", "experiment", "file"),
  *("hypotheses", "images", "json", "logs", "output", "references", "rerun"),
  *("runs", "sheet", "source"),
  *("target", "weights", "workdir"),
}


def _actions(parser):
  for action in parser._actions:
    if isinstance(action, argparse._SubParsersAction):
      for child in action.choices.values():
        yield from _actions(child)
    elif action.dest in _PATHS and action.nargs != 0:
      yield f"{parser.prog} {action.dest}", action


@pytest.mark.parametrize(
  ("name", "action"), sorted(_actions(make_parser()), key=lambda a: a[0])
)
def test_every_path_may_begin_with_a_tilde(name, action, monkeypatch):
  """A shell does not expand the tilde of --workdir=~/runs/a."""
  monkeypatch.setenv("HOME", "/home/of/mine")
  assert action.type("~/runs/a") == "/home/of/mine/runs/a", name
  assert action.type("https://host/~me") == "https://host/~me"


def test_a_missing_recipe_is_an_error(tmp_path, capsys):
  arguments = ["train", "--config", "no.py", "--workdir", str(tmp_path)]
  assert cli.main(arguments) == 2
  assert "no recipe 'no.py'" in capsys.readouterr().err


def test_traceback_on_request(tmp_path, monkeypatch):
  monkeypatch.setenv("JAXVISION_TRACEBACK", "1")
  with pytest.raises(FileNotFoundError):
    cli.main(["train", "--config", "no.py", "--workdir", str(tmp_path)])


def test_a_bug_is_not_hidden_behind_one_line(monkeypatch):
  def fail(_):
    raise TypeError("a bug")

  monkeypatch.setattr(jaxvision.models, "names", fail)
  with pytest.raises(TypeError, match="a bug"):
    cli.main(["models"])


@pytest.mark.parametrize(
  ("error", "code"), [(28, 1), (27, 1), (122, 1), (13, 2)]
)
def test_a_full_disk_is_no_wrong_argument(error, code, monkeypatch, capsys):
  def fail(_):
    raise OSError(error, os.strerror(error))

  monkeypatch.setattr(jaxvision.models, "names", fail)
  assert cli.main(["models"]) == code
  assert os.strerror(error) in capsys.readouterr().err


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("which", ["last", "48", "best"])
def test_evaluate_gives_the_numbers_of_the_run(which, trained, capsys):
  result = spawned.result(trained)
  steps = {"last": 48, "48": 48, "best": result["best"]["step"]}
  arguments = ["evaluate", "--workdir", str(trained), "--json"]
  assert cli.main([*arguments, "--checkpoint", which]) == 0
  found = json.loads(capsys.readouterr().out)
  assert found.pop("step") == steps[which]
  assert found.pop("split") == "test"
  if steps[which] == 48:
    assert found == result["final"]["metrics"]


def test_evaluate_another_split(trained, capsys):
  workdir = ["--workdir", str(trained)]
  assert cli.main(["evaluate", *workdir, "--split", "validation"]) == 0
  last = spawned.measured(trained)[-1]
  printed = capsys.readouterr().out
  assert "step 48, validation\n" in printed
  assert f"loss               {last['validation_ema/loss']:.4f}" in printed
  assert f"top1               {last['validation_ema/top1']:.4f}" in printed


@pytest.mark.parametrize("which", ["47", "first"])
def test_evaluate_lists_the_existing_checkpoints(which, trained, capsys):
  arguments = ["evaluate", "--workdir", str(trained), "--checkpoint", which]
  assert cli.main(arguments) == 2
  error = capsys.readouterr().err
  assert f"no checkpoint '{which}'" in error
  assert "48; give last, best or a number" in error


def test_a_folder_that_is_not_a_run_is_an_error(tmp_path, capsys):
  for command in (["evaluate", "--workdir"], ["report"]):
    assert cli.main([*command, str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("jaxvision: ") and str(tmp_path) in error


def test_predict_names_the_digit(trained, digit, capsys):
  found = dict(digit(position) for position in range(8))
  images = [str(path) for path in found]
  arguments = ["predict", "--workdir", str(trained), *images]
  assert cli.main(arguments) == 0
  lines = capsys.readouterr().out.splitlines()
  assert [line for line in lines if not line.startswith("  ")] == images
  first = [
    lines[i + 1].split() for i, line in enumerate(lines) if line in images
  ]
  assert len(lines) == 8 * (1 + 5)
  right = [
    int(name) == label
    for (_, name), label in zip(first, found.values(), strict=True)
  ]
  assert sum(right) >= 6  # of a linear model after 48 steps


def test_predict_a_folder_as_json(trained, digit, capsys):
  path, _ = digit(0)
  digit(1)
  arguments = ["predict", "--workdir", str(trained), str(path.parent)]
  assert cli.main([*arguments, "--json", "--top", "2"]) == 0
  found = json.loads(capsys.readouterr().out)
  assert [pathlib.Path(each["image"]).name for each in found] == [
    "digit0.png",
    "digit1.png",
  ]
  assert all(len(each["top"]) == 2 for each in found)


def test_predict_continues_after_an_unreadable_file(trained, digit, capsys):
  path, _ = digit(0)
  broken, missing = path.with_name("broken.png"), path.with_name("none.png")
  broken.write_bytes(b"no image")
  images = map(str, (broken, missing, path))
  assert cli.main(["predict", "--workdir", str(trained), *images]) == 2
  printed = capsys.readouterr()
  assert f"{broken}\n  not an image" in printed.out
  assert f"{missing}\n  " in printed.out
  assert f"{path}\n  " in printed.out and "%" in printed.out
  assert "2 of 3 could not be read" in printed.err


def test_report_of_one_run_and_of_two(trained, tmp_path, capsys):
  other = shutil.copytree(trained, tmp_path / "other")
  (other / "report.html").unlink()
  assert cli.main(["report", str(other)]) == 0
  assert capsys.readouterr().out == f"report: {other}/report.html\n"
  page = tmp_path / "both.html"
  words = ["report", str(trained), str(other), "--output", str(page)]
  assert cli.main(words) == 0
  assert f"comparison: {page}" in capsys.readouterr().out
  assert "other" in page.read_text()


@pytest.mark.slow
def test_plain_lines_when_piped(trained, data_dir, tmp_path):
  command = [sys.executable, "-m", "jaxvision"]
  arguments = _train_arguments(tmp_path / "run", data_dir)
  done = subprocess.run(
    [*command, *arguments], capture_output=True, text=True, check=True
  )
  lines = done.stdout.splitlines()
  assert "\x1b" not in done.stdout and "\r" not in done.stdout
  assert [line.split()[1] for line in lines if line.startswith("step ")] == [
    *("16/48", "16/48", "32/48", "32/48", "48/48", "48/48"),
  ]
  assert all("images/s" in line for line in lines if "train/loss" in line)
  assert lines[-1].startswith(
    f"report: {tmp_path}/run/report.html, test accuracy"
  )
  ours, theirs = (spawned.result(w) for w in (tmp_path / "run", trained))
  assert ours["fingerprint"] == theirs["fingerprint"]


@pytest.mark.slow
def test_one_live_line_in_a_terminal(data_dir, tmp_path):
  arguments = _train_arguments(tmp_path / "run", data_dir)
  terminal, theirs = pty.openpty()
  started = subprocess.Popen(
    [sys.executable, "-m", "jaxvision", *arguments],
    stdout=theirs,
    stderr=theirs,
    env={**os.environ, "TERM": "xterm"},
  )
  os.close(theirs)
  printed = b""
  while chunk := _read(terminal):
    printed += chunk
  os.close(terminal)
  assert started.wait() == 0
  text = printed.decode()
  assert "\x1b[2K" in text  # the line is erased and drawn again
  frames = [each for each in text.split("\x1b[2K") if "48/48" in each]
  assert frames and all("train/top1" in each for each in frames)
  assert "…" not in text  # it fits into 80 columns
  assert "report: " in text.rstrip().splitlines()[-1]


def _read(terminal):
  try:
    return os.read(terminal, 4096)
  except OSError:  # the other end is closed
    return b""


@pytest.mark.parametrize("error", ["host", "device"])
def test_out_of_memory_is_explained(monkeypatch, capsys, error):
  import jax

  def fail(pattern):
    if error == "host":
      raise MemoryError("Unable to allocate 9.31 GiB")
    raise jax.errors.JaxRuntimeError(
      "RESOURCE_EXHAUSTED: Out of memory allocating 256 bytes.\nmore"
    )

  monkeypatch.setattr(jaxvision.models, "names", fail)
  assert cli.main(["models"]) == 1
  message = capsys.readouterr().err
  assert message.startswith("jaxvision: out of memory (")
  assert "lower train.batch_size" in message and "\nmore" not in message


@pytest.mark.parametrize(
  ("status", "code", "again"), [(-9, 137, True), (-6, 134, True), (1, 1, False)]
)
def test_dead_data_workers_end_a_run_as_their_signal_would(
  status, code, again, monkeypatch, capsys
):
  """A launcher then restarts the command, which can resume."""

  def fail(*_):
    raise data.WorkerDied("data worker 7 was ended", status)

  monkeypatch.setattr(data, "list_datasets", fail)
  assert cli.main(["data", "list"]) == code
  assert capsys.readouterr().err == "jaxvision: data worker 7 was ended\n"
  assert exit_codes.is_resumable(code) == again

"""The command `jaxvision models`."""

import ast
import dataclasses
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from jaxvision import cli, models


def _rows(capsys):
  return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_piped_list_has_one_complete_line_per_model(capsys):
  assert cli.main(["models"]) == 0
  header, *lines = capsys.readouterr().out.splitlines()
  assert header.split() == [
    *("name", "image", "parameters", "GMACs", "top-1"),
    *("published", "by", "paper"),
  ]
  assert len(lines) == len(models.names())
  for name, line in zip(models.names(), lines, strict=True):
    spec = models.spec(name)
    top1 = "-" if spec.top1 is None else str(spec.top1)
    assert line.split()[:5] == [
      *(name, str(spec.image_size)),
      *(f"{spec.parameters:,}", f"{spec.gmacs:,.4g}", top1),
    ]
    assert spec.top1_source in line
    assert line.endswith(f"  {spec.paper}")


def test_pattern_chooses(capsys):
  assert cli.main(["models", "resnet1*"]) == 0
  names = [row[0] for row in _rows(capsys)[1:]]
  assert names == models.names("resnet1*")


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize("columns", [80, 120])
def test_a_list_in_a_terminal_fits_without_truncation(columns):
  text = _in_terminal(["models", "vgg1?"], columns)
  plain = re.sub(r"\x1b\[\d*m", "", text)
  assert max(map(len, plain.splitlines())) <= columns
  words = plain.split()
  for spec in map(models.spec, models.names("vgg1?")):
    assert f"{spec.parameters:,}" in words
    assert set(spec.top1_source.split()) <= set(words)
  # Models of one paper are listed below it.
  assert " ".join(words).count(models.spec("vgg16").paper) == 1


def _in_terminal(arguments, columns):
  """Returns the output in a terminal of this width."""
  terminal, theirs = pty.openpty()
  size = struct.pack("HHHH", 50, columns, 0, 0)
  fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
  environment = {**os.environ, "TERM": "xterm"}
  environment.pop("COLUMNS", None)
  started = subprocess.Popen(
    [sys.executable, "-m", "jaxvision", *arguments],
    stdout=theirs,
    env=environment,
  )
  os.close(theirs)
  printed = b""
  while chunk := _read(terminal):
    printed += chunk
  os.close(terminal)
  assert started.wait() == 0
  return printed.decode().replace("\r\n", "\n")


def _read(terminal):
  try:
    return os.read(terminal, 4096)
  except OSError:  # the other end is closed
    return b""


def _layers(capsys):
  """The table of layers, with the options below."""
  rows = _rows(capsys)
  return rows[: next(i for i, row in enumerate(rows) if row[0] == "options,")]


def test_layers_of_one_model(capsys):
  assert cli.main(["models", "resnet18"]) == 0
  header, *rows, total = _layers(capsys)
  assert header == ["path", "output", "shape", "parameters", "MACs"]
  assert rows[0] == ["conv1", "112x112x64", "9,408", "118,013,952"]
  assert rows[2][:2] == ["layer1_0", "56x56x64"]
  assert rows[-1] == ["fc", "1000", "513,000", "512,000"]
  assert total[:3] == ["total", "1000", "11,689,512"]
  assert total[3] == "1,814,073,344"  # torchvision's, counted by torch


def test_layers_inside_blocks_at_another_size(capsys):
  words = ["models", "resnet18", "--depth", "2", "--image_size", "64"]
  assert cli.main([*words, "--num_classes", "10"]) == 0
  rows = {row[0]: row[1:] for row in _layers(capsys)}
  assert rows["layer2_0/downsample_conv"] == ["8x8x128", "8,192", "524,288"]
  assert rows["fc"] == ["10", "5,130", "5,120"]
  assert "layer2_0" not in rows


def test_layers_are_as_deep_as_fits_on_a_screen(capsys):
  for name, path in (
    ("vit_b16", "Transformer/encoderblock_0"),
    ("mlp", "head"),
  ):
    assert cli.main(["models", name]) == 0
    rows = _layers(capsys)
    assert path in [row[0] for row in rows]
    assert len(rows) < 50


def test_options_of_one_model_with_types_and_defaults(capsys):
  """Setting each option to its printed default does not change the model."""
  for name, expected in (
    ("vit_b16", ["stem_units", "tuple[int, ...] | None", "None"]),
    ("resnet50", ["blocks", "tuple[int, ...]", "(3, 4, 6, 3)"]),
    ("linear", ["dtype", "dtype", "'float32'"]),
  ):
    assert cli.main(["models", name]) == 0
    _, _, below = capsys.readouterr().out.partition("\noptions, ")
    assert "--config.model.options." in below.splitlines()[0]
    rows = [re.split(r"  +", line) for line in below.splitlines()[2:]]
    assert expected in rows
    model = models.create(name, num_classes=3)
    values = {row[0]: ast.literal_eval(row[2]) for row in rows}
    assert models.create(name, num_classes=3, **values) == model
    known = {each.name for each in dataclasses.fields(model)}
    assert known - {"num_classes", "parent", "name"} == values.keys()


@pytest.mark.parametrize(
  ("words", "expected"),
  [
    (["resent18"], "'resnet18'"),
    (["vit_b16", "--image_size", "225"], "use 224 or 240"),
    (["vit_b16", "--image_size", "0"], "image_size is 0"),
    (["linear", "--num_classes", "-1"], "num_classes is -1"),
    (["vit*", "--depth", "2"], "--depth needs one model, not vit*"),
  ],
)
def test_mistakes_are_one_clear_line(words, expected, capsys):
  assert cli.main(["models", *words]) == 2
  error = capsys.readouterr().err
  assert error.startswith("jaxvision: ") and error.count("\n") == 1
  assert expected in error

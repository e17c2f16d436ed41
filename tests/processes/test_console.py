"""The output on the terminal."""

import ast
import io
import logging
import os
import pathlib
import sys
import types
import warnings

import jax

import jaxvision
from jaxvision.processes import console


def test_our_messages_are_printed_once_and_plainly(capsys):
  console.log_to_screen()
  logging.getLogger("jaxvision.training.run").info("three %s", "steps")
  assert capsys.readouterr().out == "three steps\n"


def test_libraries_are_quiet(capsys):
  console.log_to_screen()
  logging.getLogger("absl").warning("saved")
  printed = capsys.readouterr()
  assert printed.out == printed.err == ""


def test_only_writes_given_up_are_not_reported(monkeypatch):
  reported = []
  monkeypatch.setattr(sys, "__unraisablehook__", reported.append)
  console.log_to_screen()
  given_up, other = (
    types.SimpleNamespace(exc_value=RuntimeError(message))
    for message in ("Event loop is closed", "another")
  )
  sys.unraisablehook(given_up)
  sys.unraisablehook(other)
  assert reported == [other]


def test_orbax_is_quiet_and_other_messages_are_shown(caplog):
  """The file in which a message is logged decides."""
  console.quiet_orbax()
  console.quiet_orbax()
  absl = logging.getLogger("absl")
  for path in ("/env/orbax/checkpoint/manager.py", "/home/me/mine.py"):
    record = logging.LogRecord(
      "absl", logging.WARNING, path, 1, "from %s", (path,), None
    )
    absl.handle(record)
  assert caplog.messages == ["from /home/me/mine.py"]


def test_messages_go_to_stderr_where_stdout_is_read(capsys):
  console.log_to_screen(errors=True)
  logging.getLogger("jaxvision.training.run").warning("look")
  said = capsys.readouterr()
  assert (said.out, said.err) == ("", "look\n")


def test_a_damaged_cache_of_programs_is_one_line(capsys, monkeypatch):
  others = []
  monkeypatch.setattr(
    warnings, "showwarning", lambda text, *_, **__: others.append(text)
  )
  console.log_to_screen()
  warnings.showwarning("another", UserWarning, "file.py", 1)
  for name in ("jit_add", "jit_iota"):
    text = f"Error reading persistent compilation cache entry for {name!r}"
    warnings.showwarning(f"{text}: error: -3", UserWarning, "jax.py", 7)
  printed = capsys.readouterr()
  assert printed.out.count("\n") == 1
  folder = jax.config.jax_compilation_cache_dir
  assert f"compiled programs in {folder} cannot be read" in printed.out
  assert others == ["another"]


def test_no_message_moves_the_cursor(capsys):
  console.log_to_screen()
  name = os.fsdecode(b"a\x1b[2J\xe2\x80\xae\xff.png")
  logging.getLogger("jaxvision.data").warning("%s:\n\tis odd", name)
  assert capsys.readouterr().out == "a\\x1b[2J\\u202e\\xff.png:\n\tis odd\n"


def test_unsupported_characters_are_replaced():
  stream = io.TextIOWrapper(io.BytesIO(), "ascii")
  console.say("Zürich \u6cb9 \x1b", stream=stream)
  assert stream.buffer.getvalue() == b"Z\\xfcrich \\u6cb9 \\x1b\n"


def _prints():
  root = pathlib.Path(jaxvision.__file__).parent
  for path in root.rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
      if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
        yield path.relative_to(root).as_posix()


def test_only_known_files_print_directly():
  """These files print directly, but only numbers and our own words."""
  assert set(_prints()) == {
    "cli/completion.py",
    "cli/main.py",
    "cli/tables.py",
    "processes/cluster.py",
    "processes/console.py",
    "processes/progress.py",
  }


def test_the_same_warning_is_printed_once(capsys):
  console.log_to_screen()
  for level in (logging.WARNING, logging.WARNING, logging.INFO, logging.INFO):
    logging.getLogger("jaxvision.weights").log(level, "a prefix")
  assert capsys.readouterr().out == "a prefix\n" * 3

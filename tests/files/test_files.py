"""Files: whole or not at all, strict, and named without control."""

import errno
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import unicodedata

import pytest

from jaxvision import files

NAN = float("nan")


def test_written_files_are_whole_and_leave_no_other(tmp_path):
  path = tmp_path / "a.txt"
  files.write_text(path, "first")
  files.write_bytes(path, b"second")
  assert path.read_bytes() == b"second"
  assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failed_write_leaves_what_was_there(tmp_path):
  path = tmp_path / "a.txt"
  path.write_text("old")
  with pytest.raises(KeyError), files.writing(path) as file:
    file.write(b"half")
    raise KeyError
  assert path.read_text() == "old"
  assert os.listdir(tmp_path) == ["a.txt"]


def test_a_killed_write_leaves_what_was_there_and_the_next_succeeds(tmp_path):
  path = tmp_path / "a.txt"
  path.write_text("old")
  code = (
    "import os, signal, sys\n"
    "from jaxvision import files\n"
    "with files.writing(sys.argv[1]) as file:\n"
    "  file.write(b'half'); file.flush()\n"
    "  os.kill(os.getpid(), signal.SIGKILL)\n"
  )
  done = subprocess.run([sys.executable, "-c", code, str(path)])
  assert done.returncode == -signal.SIGKILL
  assert path.read_text() == "old"
  files.write_text(path, "new")
  assert path.read_text() == "new"
  assert os.listdir(tmp_path) == ["a.txt"]


def test_threads_that_write_one_file_write_it_whole(tmp_path):
  path = tmp_path / "a.txt"
  texts = [str(digit) * 50_000 for digit in range(8)]
  threads = [
    threading.Thread(target=files.write_text, args=(path, text))
    for text in texts
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert path.read_text() in texts
  assert os.listdir(tmp_path) == ["a.txt"]


def test_a_link_is_followed_and_permissions_stay(tmp_path):
  target, link = tmp_path / "target", tmp_path / "link"
  files.write_text(target, "old", mode=0o600)
  link.symlink_to(target)
  files.write_text(link, "new")
  assert link.is_symlink()
  assert target.read_text() == "new"
  assert target.stat().st_mode & 0o777 == 0o600


def test_a_link_in_place_of_the_part_is_not_followed(tmp_path):
  victim = tmp_path / "victim"
  victim.write_text("kept")
  (tmp_path / "a.txt.part").symlink_to(victim)
  with pytest.raises(OSError):
    files.write_text(tmp_path / "a.txt", "text")
  assert victim.read_text() == "kept"


def _special(path, kind):
  if kind == "pipe":
    os.mkfifo(path)
  elif kind == "folder":
    path.mkdir()
  else:
    here = os.getcwd()
    os.chdir(path.parent)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
      server.bind(path.name)
    os.chdir(here)


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder"])
def test_special_files_are_neither_read_nor_written(tmp_path, kind):
  path = tmp_path / "a"
  _special(path, kind)
  with pytest.raises(OSError):
    files.write_text(path, "text")
  with pytest.raises(OSError):
    files.read_bytes(path, limit=10)


def test_no_more_than_the_limit_is_read(tmp_path):
  path = tmp_path / "sparse"
  with path.open("wb") as file:
    file.truncate(1 << 40)
  with pytest.raises(OSError, match=r"1099511627776 bytes.*at most 1000"):
    files.read_bytes(path, limit=1000)


def test_json_is_strict():
  value = {"a": NAN, "b": [float("inf"), 1.5, (-float("inf"), True)], "c": "é"}

  def refuse(constant):
    raise AssertionError(constant)

  text = files.to_json(value)
  assert json.loads(text, parse_constant=refuse) == {
    "a": None,
    "b": [None, 1.5, [None, True]],
    "c": "é",
  }
  assert "é" in text


def test_names_that_are_no_unicode_come_back_from_json(tmp_path):
  name = os.fsdecode(b"caf\xe9/\xff.png")
  path = tmp_path / "a.json"
  files.write_json(path, {name: [name]})
  path.read_bytes().decode("utf-8")
  assert files.read_json(path) == {name: [name]}


def test_names_that_are_no_unicode_can_be_written_as_text(tmp_path):
  files.write_text(tmp_path / "a", os.fsdecode(b"caf\xe9\n"))
  assert (tmp_path / "a").read_text("utf-8") == "caf\\xe9\n"


@pytest.mark.parametrize(
  ("content", "words"),
  [
    (b"", "is empty"),
    (b" \n", "is empty"),
    (b'{"a": ', "no JSON"),
    (b"null", "holds null"),
    (b"[]", r"holds \[\]"),
    (b"3", "holds 3"),
    (b'"text"', 'holds "text"'),
    (b"\xff\xfe{\x00", "no JSON"),
    (b"[" * 100_000, "no JSON"),
    (b"\0" * 30, "no JSON"),
  ],
)
def test_damaged_json_is_named(tmp_path, content, words):
  path = tmp_path / "a\x1b.json"
  path.write_bytes(content)
  with pytest.raises(ValueError, match=words) as caught:
    files.read_json(path, remedy="remove it")
  assert str(caught.value).startswith(f"{tmp_path}/a\\x1b.json is damaged: it ")
  assert str(caught.value).endswith("expected an object {...}; remove it")
  assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
  ("variables", "expected"),
  [
    ({}, "home/.cache/jaxvision"),
    ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/jaxvision"),
    ({"XDG_CACHE_HOME": "/xdg", "JAXVISION_CACHE": "/own"}, "/own"),
    ({"JAXVISION_CACHE": "~/own"}, "home/own"),
    ({"JAXVISION_CACHE": ""}, "home/.cache/jaxvision"),
  ],
)
def test_the_cache_folder(monkeypatch, tmp_path, variables, expected):
  for name in ("JAXVISION_CACHE", "XDG_CACHE_HOME"):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setenv("HOME", str(tmp_path / "home"))
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  assert files.cache_folder() == tmp_path / pathlib.Path(expected)


@pytest.mark.parametrize(
  ("text", "expected"),
  [
    ("plain name.png", "plain name.png"),
    ("Ölkännchen 油 👩‍🚀", "Ölkännchen 油 👩‍🚀"),
    ("a\nb\tc\rd", r"a\nb\tc\rd"),
    ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
    ("\x9b31m\x7f\0", r"\x9b31m\x7f\x00"),
    ("gpj\u202eexe", r"gpj\u202eexe"),
    ("\u2066a\u2069\u200f\ufeff\u2028", r"\u2066a\u2069\u200f\ufeff\u2028"),
    ("\U000e0041", r"\U000e0041"),
    (os.fsdecode(b"\xff\xe9.png"), r"\xff\xe9.png"),
    (b"\xff\x1b", r"\xff\x1b"),
    (pathlib.Path("a\n"), r"a\n"),
    (12, "12"),
  ],
)
def test_what_is_printable(text, expected):
  assert files.printable(text) == expected


def test_no_control_character_is_printable():
  for code in (
    *range(0x3000),
    *range(0xD800, 0x10000),
    *range(0xE0000, 0xE0100),
  ):
    shown = files.printable(chr(code))
    if unicodedata.category(chr(code)) in ("Cc", "Cs", "Zl", "Zp"):
      assert shown.isascii()
      assert shown.isprintable()
    shown.encode()


def test_lines_may_be_kept():
  assert files.printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@pytest.mark.parametrize(
  ("error", "full"),
  [
    (OSError(errno.ENOSPC, "No space left on device"), True),
    (ValueError("RESOURCE_EXHAUSTED: write [No space left on device]"), True),
    (OSError(errno.EACCES, "Permission denied"), False),
  ],
)
def test_a_full_disk_is_recognised(error, full):
  assert files.disk_is_full(error) == full


@pytest.mark.parametrize(
  "name", ["\x1b[2J", "\x7f\x9b", "\u202e", "\ufeff\u2028"]
)
def test_json_on_a_terminal_has_no_control_character(name):
  text = files.to_json({name: [f"é{name}"]})
  assert files.printable(text) == text
  assert "é" in text
  assert json.loads(text) == {name: [f"é{name}"]}

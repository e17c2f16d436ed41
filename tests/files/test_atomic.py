"""Tests of jaxvision.files.atomic: a file is complete or unchanged."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from jaxvision import files


def test_written_files_are_whole_and_leave_no_other(tmp_path):
  path = tmp_path / "a.txt"
  files.write_text(path, "first")
  files.write_bytes(path, b"second")
  assert path.read_bytes() == b"second"
  assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failed_write_keeps_the_old_file(tmp_path):
  path = tmp_path / "a.txt"
  path.write_text("old")
  with pytest.raises(KeyError), files.writing(path) as file:
    file.write(b"half")
    raise KeyError
  assert path.read_text() == "old"
  assert os.listdir(tmp_path) == ["a.txt"]


def test_a_killed_write_keeps_the_old_file_and_the_next_succeeds(tmp_path):
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


def test_text_is_utf_8_with_or_without_a_byte_order_mark(tmp_path):
  path = tmp_path / "a.csv"
  for mark in (b"", b"\xef\xbb\xbf"):
    path.write_bytes(mark + "señal\r\n".encode())
    assert files.read_text(path, limit=99) == "señal\r\n"
  path.write_bytes("señal".encode("latin-1"))
  with pytest.raises(ValueError, match=r"a\.csv is not UTF-8 text .*write it"):
    files.read_text(path, limit=99)


def test_names_that_are_not_unicode_can_be_written_as_text(tmp_path):
  files.write_text(tmp_path / "a", os.fsdecode(b"caf\xe9\n"))
  assert (tmp_path / "a").read_text("utf-8") == "caf\\xe9\n"


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

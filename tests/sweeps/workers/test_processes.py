"""Killed workers are replaced, and failures of workers are reported."""

import os
import signal
import sys
import threading
import time

import pytest

from jaxvision import sweeps

# Records its start, and runs the file "script".
_WORKER = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
started = folder / f"started-{os.getpid()}"
started.touch()
count = len(list(folder.glob("started-*")))
exec((folder / "script").read_text())
"""


def _run_workers(tmp_path, script, *, size=1, over=lambda: True):
  (tmp_path / "script").write_text(script)
  sweeps.run_workers(
    [sys.executable, "-c", _WORKER, str(tmp_path)],
    size=size,
    logs=tmp_path / "logs",
    environment={"SAID": "yes"},
    is_over=over,
  )


def _started(tmp_path):
  return len(list(tmp_path.glob("started-*")))


def test_workers_work_side_by_side_with_their_environment(tmp_path):
  script = "open(folder / f'{os.getpid()}-done', 'w').write(os.environ['SAID'])"
  done = lambda: len(list(tmp_path.glob("*-done"))) >= 2  # noqa: E731
  _run_workers(tmp_path, script, size=2, over=done)
  texts = [path.read_text() for path in tmp_path.glob("*-done")]
  assert texts == ["yes", "yes"]


def test_a_killed_worker_is_replaced(tmp_path):
  script = "os.kill(os.getpid(), signal.SIGKILL) if count == 1 else None"
  _run_workers(tmp_path, script, over=lambda: _started(tmp_path) > 1)
  assert _started(tmp_path) == 2


def test_a_failing_worker_ends_the_sweep_with_the_end_of_its_log(tmp_path):
  script = "sys.exit('no such model') if count == 2 else time.sleep(60)"
  with pytest.raises(sweeps.Failed, match=r"code 1; .*\nno such model"):
    _run_workers(tmp_path, script, size=2, over=lambda: False)


def test_after_a_signal_the_workers_save(tmp_path):
  script = (
    "signal.signal(signal.SIGTERM, lambda *_: ((folder / 'saved').touch(),"
    " os._exit(42)))\n(folder / 'ready').touch()\ntime.sleep(60)"
  )

  def interrupt():
    while not (tmp_path / "ready").exists():
      time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)

  thread = threading.Thread(target=interrupt)
  thread.start()
  with pytest.raises(sweeps.Interrupted, match="to resume the sweep"):
    _run_workers(tmp_path, script, over=lambda: False)
  thread.join()
  assert (tmp_path / "saved").exists()


def test_workers_are_of_another_session(tmp_path):
  # Ctrl-C in a terminal must reach the leading process only.
  script = "(folder / 'session').write_text(str(os.getsid(0)))"
  written = tmp_path / "session"
  _run_workers(tmp_path, script, over=written.exists)
  assert written.read_text() != str(os.getsid(0))

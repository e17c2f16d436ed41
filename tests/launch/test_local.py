"""The local launcher, with scripts that fail and with a training."""

import json
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import time

import fake_programs
import pytest
import spawned

from jaxvision import launch
from jaxvision.launch import job as jobs
from jaxvision.launch import local

# The start of every script: its number, its number of starts, and functions
# that exchange words with the test, one file per word.
_HEAD = """
import os, pathlib, signal, sys, time
number = int(os.environ["JAXVISION_PROCESS_ID"])
folder = pathlib.Path(__file__).parent
def say(word, text=""):
  path = folder / f"{word}-{number}"
  path.write_text((path.read_text() if path.exists() else "") + text + "\\n")
say("start", os.environ["JAXVISION_COORDINATOR"])
start = len((folder / f"start-{number}").read_text().splitlines())
def wait(word, of):
  while not (folder / f"{word}-{of}").exists():
    time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
  monkeypatch.setattr(local, "_POLL_SECONDS", 0.01)
  monkeypatch.setattr(local, "_SETTLE_SECONDS", 1.0)


def _job(folder, code, *command):
  python = fake_programs.write(folder / "python", _HEAD + code)
  return jobs.Job(command=command, folder=folder / "launch", python=python)


def _launch(folder, code, *, processes=2, **options):
  job = _job(folder, code)
  return local.launch(job, local.Options(processes=processes, **options))


def _said(folder, word):
  return {
    int(path.name.removeprefix(f"{word}-")): path.read_text().splitlines()
    for path in folder.glob(f"{word}-*")
  }


def test_each_process_gets_its_number(tmp_path, capfd):
  code = """
count = os.environ["JAXVISION_NUM_PROCESSES"]
devices = os.environ["JAX_NUM_CPU_DEVICES"]
print(number, "of", count, devices, *sys.argv[1:])
"""
  job = _job(tmp_path, code, "train", "--config=a b")
  assert local.launch(job, local.Options(processes=3, devices=4)) == 0
  printed = "of 3 4 -m jaxvision train --config=a b\n"
  assert capfd.readouterr().out == f"0 {printed}"
  for number in (1, 2):
    log = tmp_path / "launch" / f"process-{number}.log"
    assert log.read_text() == f"{number} {printed}"
  addresses = {tuple(lines) for lines in _said(tmp_path, "start").values()}
  assert len(addresses) == 1  # the same one for all


@pytest.mark.matrix(every=4)
@pytest.mark.parametrize(
  "end",
  [
    "os.kill(os.getpid(), signal.SIGKILL)",
    "os.kill(os.getpid(), signal.SIGSEGV)",
    "sys.exit(42)",
    "os._exit(134)",
  ],
)
def test_all_start_again_with_another_port(end, tmp_path, caplog):
  code = f"""
if start < 3 and number == 1:
  {end}
if start < 3:
  time.sleep(100)
"""
  options = {"processes": 3, "restarts": 2, "grace": 1}
  assert _launch(tmp_path, code, **options) == 0
  starts = _said(tmp_path, "start")
  assert [len(starts[number]) for number in range(3)] == [3, 3, 3]
  assert starts[0] == starts[1] == starts[2]
  assert len(set(starts[0])) == 3
  assert "process 1 was" in caplog.text
  assert "restarting all 3 processes: restart 2 of 2" in caplog.text


def test_restarts_are_limited(tmp_path, caplog):
  code = "os.kill(os.getpid(), signal.SIGKILL)"
  assert _launch(tmp_path, code, restarts=2) == 137
  assert {len(each) for each in _said(tmp_path, "start").values()} == {3}
  assert "the limit of --restarts 2 is reached" in caplog.text


@pytest.mark.parametrize("code", [1, 2, 3, 130])
def test_a_permanent_failure_is_not_started_again(code, tmp_path, caplog):
  """Also if the other processes have ended before, because of it."""
  text = f"""
if number == 1:
  wait("gone", 0)
  print("no such thing")
  sys.exit({code})
say("gone")
os._exit(134)
"""
  assert _launch(tmp_path, text) == code
  assert {len(each) for each in _said(tmp_path, "start").values()} == {1}
  assert "no such thing" in caplog.text  # of the log of process 1


def test_the_others_are_killed_when_they_do_not_end(tmp_path):
  code = """
if number == 0:
  wait("child", 1)
  sys.exit(3)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
  say("child", str(os.getpid()))
time.sleep(100)
"""
  assert _launch(tmp_path, code) == 3
  child = int(_said(tmp_path, "child")[1][0])
  assert not _runs(child)  # nor its child processes


def _runs(pid):
  deadline = time.monotonic() + 5
  while time.monotonic() < deadline:  # init has to take note of its end
    try:
      state = pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2]
    except OSError:
      return False
    if state == "Z":
      return False
    time.sleep(0.01)
  return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_all_and_nothing_starts_again(number, tmp_path):
  code = f"""
def save(signum, _):
  time.sleep(0.2)
  say("saved", str(signum))
  os._exit(42)
signal.signal({int(number)}, save)
say("ready")
if number == 0:
  wait("ready", 1)
  os.kill(os.getppid(), {int(number)})
time.sleep(100)
"""
  before = signal.getsignal(number)
  assert _launch(tmp_path, code) == 42
  assert _said(tmp_path, "saved") == {n: [str(int(number))] for n in (0, 1)}
  assert {len(each) for each in _said(tmp_path, "start").values()} == {1}
  assert signal.getsignal(number) is before


def test_processes_are_killed_after_the_grace_period(tmp_path):
  code = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say("ready")
if number == 0:
  wait("ready", 1)
  os.kill(os.getppid(), signal.SIGTERM)
time.sleep(100)
"""
  began = time.monotonic()
  assert _launch(tmp_path, code, grace=1) == 137
  assert 1 <= time.monotonic() - began < 20


def test_a_folder_has_one_launch_even_if_its_launcher_was_killed(tmp_path):
  code = """
if number == 0 and start == 1:
  wait("ready", 1)
  os.kill(os.getppid(), signal.SIGKILL)
say("ready", str(os.getpid()))
if start == 1:
  time.sleep(100)
"""
  job = _job(tmp_path, code)
  launcher = "import pickle, sys; from jaxvision.launch import local; "
  launcher += "local.launch(*pickle.load(sys.stdin.buffer))"
  killed = subprocess.run(
    [sys.executable, "-c", launcher],
    input=pickle.dumps((job, local.Options(processes=2))),
  )
  assert killed.returncode == -signal.SIGKILL
  survivors = [int(_said(tmp_path, "ready")[1][0])]
  with pytest.raises(
    ValueError, match=rf"in use by processes .*{survivors[0]}"
  ):
    local.launch(job, local.Options(processes=2))
  held, _, _ = (tmp_path / "launch" / "lock").read_text().partition(" on ")
  for line in held.split()[1:]:
    os.kill(int(line), signal.SIGKILL)
  deadline = time.monotonic() + 10
  while True:
    try:
      assert local.launch(job, local.Options(processes=2)) == 0
      break
    except ValueError:
      assert time.monotonic() < deadline
      time.sleep(0.05)


@pytest.mark.parametrize(
  ("allotted", "shares"),
  [
    ("4,5", ["4", "5"]),
    ("7, 3,1", ["7", "3"]),
    ("GPU-8932f937,MIG-GPU-0a/1/2", ["GPU-8932f937", "MIG-GPU-0a/1/2"]),
  ],
)
def test_shares_are_of_the_gpus_that_were_allotted(
  tmp_path, monkeypatch, allotted, shares
):
  monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allotted)
  job = _job(tmp_path, "")
  rendered = local.render(job, local.Options(processes=2, gpus=1))
  found = [
    word.partition("=")[2]
    for each in rendered.commands
    for word in each.words
    if word.startswith("CUDA_VISIBLE_DEVICES=")
  ]
  assert found == shares


@pytest.mark.parametrize(
  "allotted", ["4", "", "-1", "4,-1,5", "NoDevFiles", "4,4"]
)
def test_too_few_allotted_gpus_are_refused(tmp_path, monkeypatch, allotted):
  """CUDA ignores names after the first one that is not a device."""
  monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allotted)
  with pytest.raises(ValueError, match="together need 2"):
    local.render(_job(tmp_path, ""), local.Options(processes=2, gpus=1))


def test_gpus_are_shared_out(tmp_path, monkeypatch):
  monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
  job = _job(tmp_path, "")
  rendered = local.render(job, local.Options(processes=2, gpus=2))
  shown = [set(each.words) for each in rendered.commands]
  assert "CUDA_VISIBLE_DEVICES=0,1" in shown[0]
  assert "CUDA_VISIBLE_DEVICES=2,3" in shown[1]
  with pytest.raises(ValueError, match="give only one of them"):
    local.render(job, local.Options(processes=2, gpus=2, devices=1))


def _words(workdir):
  return [
    *("train", "--config", spawned.recipe("digits.py:mlp")),
    *("--workdir", str(workdir)),
    f"--config.data.data_dir={spawned.prepared_digits()}",
    "--config.model.options.hidden=(8,)",
    "--config.train.batch_size=16",
    "--config.train.duration=600 steps",
    "--config.checkpoint.every=50 steps",
    "--config.evaluate.every=200 steps",
    "--config.log.every=10 steps",
    "--config.log.tensorboard=False",
  ]


def _steps(workdir):
  return [line["step"] for line in spawned.measured(workdir)]


@pytest.mark.slow
def test_a_training_whose_process_is_killed_ends_as_if_it_was_not(tmp_path):
  whole, killed = tmp_path / "whole", tmp_path / "killed"
  words = ["launch", "local", "--processes", "2", "--devices", "1", "--"]
  calm = spawned.start([*words, *_words(whole)], output=tmp_path / "whole.txt")
  assert calm.wait() == 0, calm.output.read_text()
  started = spawned.start(
    [*words, *_words(killed)], output=tmp_path / "killed.txt"
  )
  deadline = time.monotonic() + 100
  while not any(step >= 100 for step in _steps(killed)):
    assert time.monotonic() < deadline, started.output.read_text()
    time.sleep(0.01)
  lock = (killed / "launch" / "lock").read_text().split()
  os.kill(int(lock[2]), signal.SIGKILL)
  assert started.wait() == 0, started.output.read_text()
  printed = started.output.read_text()
  assert "process 1 was ended by SIGKILL (137)" in printed
  assert "restart 1 of 3" in printed
  ours, theirs = spawned.result(killed), spawned.result(whole)
  assert ours["fingerprint"] == theirs["fingerprint"]
  starts = json.loads((killed / "environment.json").read_text())
  assert [each["step"] > 0 for each in starts] == [False, True]


def test_launchers_have_the_same_interface():
  for module in launch.LAUNCHERS.values():
    assert {"Options", "render", "launch"} <= set(vars(module))

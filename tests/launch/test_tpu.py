"""The Cloud TPU launcher with a fake gcloud that runs the commands.

The workers are folders; their commands run in a local shell.
"""

import ast
import os
import pathlib
import re
import shlex
import signal
import subprocess
import time

import fake_gcloud
import pytest

from jaxvision.launch import job as jobs
from jaxvision.launch import tpu, tpu_shell

_OPTIONS = {
  "name": "slice",
  "zone": "here",
  "accelerator": "v5litepod-16",
  "runtime": "v2-alpha-tpuv5-lite",
}
# Functions for every script that replaces a worker's python.
_HEAD = """
import os, pathlib, signal, sys, tarfile, time
cloud = pathlib.Path({cloud!r})
worker = os.environ["WORKER"]
runs = cloud / f"runs-{{worker}}"
with runs.open("a") as file:
  print(*sys.argv[1:], file=file)
run = len(runs.read_text().splitlines())
"""


@pytest.fixture
def cloud(tmp_path, monkeypatch):
  """A function: code of the workers -> the folder of the fake cloud."""
  checkout = tmp_path / "checkout"
  (checkout / "jaxvision").mkdir(parents=True)
  (checkout / "jaxvision" / "__main__.py").write_text("# committed\n")
  (checkout / "configs").mkdir()
  (checkout / "configs" / "new.py").write_text("# not yet\n")
  (checkout / ".gitignore").write_text("runs/\n")
  (checkout / "runs").mkdir()
  (checkout / "runs" / "large").write_text("not for the workers\n")
  git = ["git", "-C", str(checkout), "-c", "user.name=t", "-c", "user.email=t"]
  for words in (["init", "-q"], ["add", "jaxvision"], ["commit", "-qm", "a"]):
    subprocess.run([*git, *words], check=True)
  monkeypatch.chdir(checkout)
  monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
  monkeypatch.setenv("TMPDIR", str(tmp_path))
  monkeypatch.setattr(tpu.tempfile, "tempdir", None)
  monkeypatch.setattr(tpu, "_POLL_SECONDS", 0.01)
  monkeypatch.setattr(tpu, "_LOG_SECONDS", 2.0)

  def write(code):
    head = _HEAD.format(cloud=str(tmp_path / "cloud"))
    return fake_gcloud.write(tmp_path, head + code)

  return write


def _foresee(cloud, *futures):
  """Sets the future states of the first, second, ... slice."""
  for number, (resource, node) in enumerate(futures):
    (cloud / f"future-{number}").write_text(f"{resource}\n{node}\n")


def _job(**train):
  train = {"recipe": "configs/new.py", "workdir": "/shared/run", **train}
  return jobs.Job(
    command=("train", "--config", train["recipe"], "--workdir", "/shared/run"),
    folder=pathlib.Path("/shared/run/launch"),
    python="python",
    train=train,
  )


def _launch(**options):
  return tpu.launch(_job(), tpu.Options(**_OPTIONS, **options))


def _calls(cloud):
  """The kind and verb of all calls, without questions after state and log.

  The process that follows the log runs in parallel, so its order varies.
  """
  calls = map(shlex.split, (cloud / "calls").read_text().splitlines())
  return [
    " ".join(words[:2])
    for words in calls
    if words[1] != "describe" and f"--command={tpu_shell.FOLLOW}" not in words
  ]


_ONE_RUN = [
  "queued-resources create",
  *("tpu-vm ssh", "tpu-vm scp", "tpu-vm ssh"),  # prepare, copy, install
  "tpu-vm ssh",  # run
]


def test_a_run_from_the_request_to_the_deletion(cloud, capfd, caplog):
  caplog.set_level("INFO")
  at = cloud("print('worker', worker, 'trains')")
  _foresee(at, ("WAITING_FOR_RESOURCES PROVISIONING ACTIVE", "CREATING READY"))
  assert _launch() == 0
  assert _calls(at) == [*_ONE_RUN, "queued-resources delete"]
  for number in range(2):
    assert (at / f"runs-{number}").read_text() == (
      "-m jaxvision train --config configs/new.py --workdir /shared/run\n"
    )
  # The log of worker 0 alone.
  assert capfd.readouterr().out == "worker 0 trains\n"
  for state in ("WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"):
    assert f"the state of the request is {state}" in caplog.text
  assert not (at / "state").exists()


def test_workers_get_all_files_that_git_does_not_ignore(cloud, tmp_path):
  pathlib.Path("configs/größe \n.py").write_text("# git writes it in quotes\n")
  at = cloud(
    """
with tarfile.open("../jaxvision.tar.gz") as archive:
  (cloud / "names").write_text(str(sorted(archive.getnames())))
"""
  )
  _foresee(at, ("ACTIVE", "READY"))
  assert _launch() == 0
  assert ast.literal_eval((at / "names").read_text()) == [
    ".gitignore",
    "configs/größe \n.py",
    "configs/new.py",
    "jaxvision/__main__.py",
  ]


def test_only_this_user_can_write_the_archive(cloud, tmp_path):
  """Another user could put a link there, or replace the file."""
  victim = tmp_path / "victim"
  victim.write_text("precious")
  (tmp_path / "jaxvision-slice.tar.gz").symlink_to(victim)
  at = cloud("pass")
  _foresee(at, ("ACTIVE", "READY"))
  assert _launch() == 0
  assert victim.read_text() == "precious"
  [copy] = [
    shlex.split(line)
    for line in (at / "calls").read_text().splitlines()
    if line.startswith("tpu-vm scp")
  ]
  folder = pathlib.Path(copy[2]).parent
  assert folder.parent == tmp_path
  assert not folder.exists()


@pytest.mark.parametrize("name", ["../x", "A", "a b", "-a", "", "a-", "a\nb"])
def test_names_are_those_of_google_cloud(name):
  with pytest.raises(ValueError, match="is not a valid name in Google Cloud"):
    tpu.render(_job(), tpu.Options(**{**_OPTIONS, "name": name}))


def test_setup_runs_on_each_worker_before_the_run(cloud):
  at = cloud("assert (pathlib.Path.home() / 'mounted').exists()")
  _foresee(at, ("ACTIVE", "READY"))
  assert _launch(setup=("touch ~/mounted",)) == 0


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize(
  ("resource", "node"),
  [
    ("ACTIVE SUSPENDED", "READY"),
    ("ACTIVE", "READY PREEMPTED"),
  ],
)
def test_a_slice_that_is_preempted_is_replaced(resource, node, cloud, caplog):
  at = cloud("sys.exit(255 if run == 1 else 0)")
  _foresee(at, (resource, node), ("ACTIVE", "READY"))
  assert _launch(spot=True) == 0
  delete = ["queued-resources delete"]
  assert _calls(at) == [*_ONE_RUN, "tpu-vm ssh", *delete, *_ONE_RUN, *delete]
  assert "requesting another" in caplog.text
  creations = re.findall(
    "queued-resources create.*", (at / "calls").read_text()
  )
  assert len(creations) == 2
  assert all("--spot" in each for each in creations)


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("code", [42, 137, 255])
def test_a_run_that_can_go_on_does_so_on_the_same_slice(code, cloud):
  at = cloud(f"sys.exit({code} if run < 3 else 0)")
  _foresee(at, ("ACTIVE", "READY"))
  assert _launch() == 0
  assert len((at / "runs-0").read_text().splitlines()) == 3
  assert _calls(at).count("queued-resources create") == 1
  assert _calls(at).count("tpu-vm scp") == 1  # the code is already installed


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_permanent_failure_ends_the_launch(code, cloud, capfd):
  at = cloud(f"print('why', worker); sys.exit({code} if worker == '1' else 0)")
  _foresee(at, ("ACTIVE", "READY"))
  assert _launch() == code
  assert len((at / "runs-1").read_text().splitlines()) == 1
  assert "why 1" in capfd.readouterr().out  # the ends of all logs
  assert _calls(at)[-1] == "queued-resources delete"


@pytest.mark.slow
def test_restarts_are_limited(cloud):
  at = cloud("sys.exit(42)")
  _foresee(at, ("ACTIVE", "READY"))
  assert _launch(restarts=1) == 42
  assert len((at / "runs-0").read_text().splitlines()) == 2


def test_a_request_that_fails_says_so_and_is_deleted(cloud):
  at = cloud("")
  _foresee(at, ("WAITING_FOR_RESOURCES FAILED", "READY"))
  with pytest.raises(OSError, match="the state of the TPU request is FAILED"):
    _launch()
  assert _calls(at)[-1] == "queued-resources delete"


def test_a_rejection_has_the_message_of_gcloud(cloud):
  at = cloud("")
  (at / "refusal").write_text("Quota exceeded")
  with pytest.raises(OSError, match="Quota exceeded"):
    _launch()


def test_a_slice_of_that_name_is_used_and_may_be_kept(cloud, caplog):
  at = cloud("")
  _foresee(at, ("ACTIVE", "READY"))
  assert _launch(keep=True) == 0
  assert _launch(keep=True) == 0
  assert _calls(at).count("queued-resources create") == 1
  assert _calls(at).count("queued-resources delete") == 0
  assert "is kept and costs money" in caplog.text


_SAVES = """
def save(*_):
  (cloud / f"saved-{worker}").touch()
  sys.exit(42)
signal.signal(signal.SIGTERM, save)
(cloud / f"ready-{worker}").touch()
"""


def test_a_signal_reaches_the_workers(cloud, tmp_path):
  launcher = os.getpid()
  code = f"""{_SAVES}
while not (cloud / "ready-1").exists():
  time.sleep(0.01)
if worker == "0":
  os.kill({launcher}, signal.SIGTERM)
time.sleep(100)
"""
  at = cloud(code)
  _foresee(at, ("ACTIVE", "READY"))
  assert _launch() == 42
  assert (at / "saved-0").exists() and (at / "saved-1").exists()
  assert _calls(at)[-1] == "queued-resources delete"


def test_a_signal_ends_the_waiting_for_a_slice(cloud):
  at = cloud("")
  _foresee(at, ("WAITING_FOR_RESOURCES", "CREATING"))
  signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
  signal.setitimer(signal.ITIMER_REAL, 0.5)
  assert _launch() == 130
  assert not (at / "state").exists()


@pytest.mark.slow
def test_gcloud_may_run_the_command_again(cloud):
  """gcloud does so when the connection breaks; this ends no process."""
  at = cloud(f"{_SAVES}\nif (cloud / 'slow').exists(): time.sleep(100)")
  _foresee(at, ("ACTIVE", "READY"))
  assert _launch(keep=True) == 0
  [run] = [
    [word.replace("--worker=all", "--worker=0") for word in each.words]
    for each in tpu.render(_job(), tpu.Options(**_OPTIONS)).commands
    if each.comment == "runs on all workers"
  ]
  (at / "ready-0").unlink()
  (at / "slow").touch()
  with subprocess.Popen(run) as first:
    deadline = time.monotonic() + 20
    while not (at / "ready-0").exists():
      assert time.monotonic() < deadline
      time.sleep(0.01)
    first.kill()
  (at / "slow").unlink()
  assert subprocess.run(run).returncode == 0
  assert (at / "saved-0").exists()


def test_a_slice_that_cannot_be_deleted_is_reported(cloud, caplog):
  at = cloud("sys.exit(3)")
  (at / "stuck").touch()
  _foresee(at, ("ACTIVE", "READY"))
  assert _launch() == 3
  assert "may still exist and cost money" in caplog.text
  assert "gcloud compute tpus queued-resources delete slice" in caplog.text


def test_the_dry_run_has_every_command(cloud):
  at = cloud("sys.exit(255 if run == 1 else 0)")
  _foresee(at, ("ACTIVE", "READY PREEMPTED"), ("ACTIVE", "READY"))
  options = {
    "setup": ("mount it",),
    "project": "ours",
    "extra": ("--reserved",),
  }
  rendered = tpu.render(_job(), tpu.Options(**_OPTIONS, **options))
  assert not (at / "calls").exists()
  shown = jobs.show(rendered)
  assert "(the files under" in shown
  options["setup"] = ("true",)
  _launch(**options)
  # The folder of the archive has another name at each launch.
  called = {
    re.sub(r"jaxvision-\w{8}/", "jaxvision-XXXXXXXX/", line)
    for line in (at / "calls").read_text().splitlines()
  }
  known = {
    shlex.join(each.words[3:])
    for each in tpu.render(_job(), tpu.Options(**_OPTIONS, **options)).commands
  }
  assert called <= known
  assert all("--project=ours" in each for each in called)
  assert sum("--reserved" in each for each in known) == 1


@pytest.mark.parametrize(
  ("train", "expected"),
  [
    ({"workdir": "runs/x"}, "--workdir runs/x is a folder on each worker"),
    ({"recipe": "/home/me/x.py"}, "--config /home/me/x.py does not exist"),
  ],
)
def test_mistakes_are_explained(train, expected):
  with pytest.raises(ValueError, match=expected):
    tpu.render(_job(**train), tpu.Options(**_OPTIONS))


def test_without_gcloud_or_checkout(tmp_path, monkeypatch, cloud):
  cloud("")
  monkeypatch.chdir(tmp_path)
  with pytest.raises(OSError, match="is not a checkout of jaxvision"):
    _launch()
  monkeypatch.setenv("PATH", str(tmp_path))
  with pytest.raises(
    FileNotFoundError, match=r"gcloud is not on PATH.*--dry-run"
  ):
    _launch()

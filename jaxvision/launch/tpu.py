"""The Cloud TPU launcher: runs a job on a TPU slice, through gcloud and ssh.

It requests the slice (a queued resource), waits for it, copies the checkout to
all workers, installs it, and runs the command on all workers. jax detects the
number of each worker. The terminal shows the log of worker 0. Each worker
writes its log to ~/jaxvision.log. A preempted slice is deleted and requested
again, and the same command resumes from the last checkpoint. At the end the
slice is deleted, because it costs money as long as it exists.
"""

import contextlib
import dataclasses
import itertools
import logging
import pathlib
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

from jaxvision.launch import checkout, programs, signals, tpu_shell
from jaxvision.launch import job as jobs
from jaxvision.processes import exit_codes

_LOGGER = logging.getLogger(__name__)
_POLL_SECONDS = 15.0
_PREFIX = "jaxvision-"
# The rule of Google Cloud for names.
_NAME = re.compile("[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
# Time limit for the rest of the log after the end of the run.
_LOG_SECONDS = 15.0
# Exit code of gcloud when ssh itself fails.
_NO_CONNECTION = 255
_NOT_FOUND = "NOT_FOUND"
_ENDED = ("FAILED", "SUSPENDING", "SUSPENDED", "DELETING")


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of the Cloud TPU launcher.

  Attributes:
    name: of the slice and its queued resource.
    zone: such as "us-central2-b".
    accelerator: such as "v5litepod-16".
    runtime: the software version, such as "v2-alpha-tpuv5-lite".
    project: of Google Cloud; "" is the project in gcloud's settings.
    spot: cheaper, but may be preempted at any time.
    setup: commands for each worker, such as mounting a file system.
    extra: more options of `queued-resources create`.
    keep: whether the slice is kept at the end.
    restarts: maximum number of restarts after preemptions and crashes.
    grace: seconds for saving after a signal.
  """

  name: str
  zone: str
  accelerator: str
  runtime: str
  project: str = ""
  spot: bool = False
  setup: tuple[str, ...] = ()
  extra: tuple[str, ...] = ()
  keep: bool = False
  restarts: int = 10
  grace: int = 60


def render(job: jobs.Job, options: Options) -> jobs.Rendered:
  """The archive of the code and all commands, also those after a preemption.

  Raises:
    ValueError: the workers would not find the recipe, or would not share the
      workdir.
  """
  _check(job, options)
  here = f"(the files under {pathlib.Path.cwd()} that git does not ignore)"
  # Each launch has its own temporary folder, which only this user can read.
  archive = _archive(pathlib.Path(tempfile.gettempdir()) / f"{_PREFIX}XXXXXXXX")
  return jobs.Rendered(
    files={archive: here},
    commands=list(_commands(job, options, archive).values()),
  )


def launch(job: jobs.Job, options: Options) -> int:
  """Runs the job until it ends; forwards SIGTERM and SIGINT to the workers.

  Returns:
    The exit code of the first worker that failed; 0 if none failed.

  Raises:
    ValueError: see `render`.
    FileNotFoundError: gcloud or git is not installed.
    OSError: gcloud rejects a request; with its message.
  """
  _check(job, options)
  programs.require("gcloud", "install Google Cloud's SDK, or add --dry-run")
  programs.require("git", "install git, which lists the files of the checkout")
  with (
    tempfile.TemporaryDirectory(prefix=_PREFIX) as folder,
    signals.received() as received,
  ):
    archive = _archive(pathlib.Path(folder))
    checkout.pack(archive)
    commands = _commands(job, options, archive)
    try:
      return _run_with_restarts(commands, options, received)
    finally:
      if options.keep:
        _LOGGER.warning("the slice %s is kept and costs money", options.name)
      else:
        _delete(commands["delete"])


def _delete(command: jobs.Command) -> None:
  """Deletes the slice; a failure must not hide why the run has ended."""
  try:
    programs.output(command.words)
  except OSError as error:
    if _NOT_FOUND not in str(error):
      _LOGGER.error(
        "the slice may still exist and cost money: %s; delete it with: %s",
        error,
        shlex.join(command.words),
      )


def _run_with_restarts(
  commands: Mapping[str, jobs.Command],
  options: Options,
  received: Sequence[int],
) -> int:
  installed = False
  for attempt in itertools.count(1):
    if not _is_ready(commands):
      installed = False
      if not _obtain(commands, received):
        return exit_codes.INTERRUPTED
    try:
      programs.output(commands["prepare"].words)
      if not installed:
        _install(commands)
        installed = True
      code = _run(commands, received)
    except OSError:
      if _is_ready(commands):
        raise
      code = _NO_CONNECTION
    if code:
      _LOGGER.warning("%s: the run %s", options.name, exit_codes.describe(code))
    if received or not _should_restart(code, commands):
      return code
    if attempt > options.restarts:
      _LOGGER.error("the limit of --restarts %d is reached", options.restarts)
      return code
    _LOGGER.warning("restart %d of %d", attempt, options.restarts)
  raise AssertionError("unreachable: the loop has no end")


def _should_restart(code: int, commands: Mapping[str, jobs.Command]) -> bool:
  """Whether to restart: preempted, or the connection or the slice was lost."""
  return code != 0 and (
    exit_codes.is_resumable(code)
    or code == _NO_CONNECTION
    or not _is_ready(commands)
  )


def _is_ready(commands: Mapping[str, jobs.Command]) -> bool:
  """Whether the slice can be used; preempted slices remain listed."""
  if _state(commands["state"]) != "ACTIVE":
    return False
  return _state(commands["node"]) == "READY"


def _state(command: jobs.Command) -> str:
  """The state that gcloud reports; "" if the resource does not exist."""
  try:
    return programs.output(command.words)
  except OSError as error:
    if _NOT_FOUND in str(error):
      return ""
    raise


def _obtain(
  commands: Mapping[str, jobs.Command], received: Sequence[int]
) -> bool:
  """Requests the slice and waits for it; False if a signal ended the wait.

  Raises:
    OSError: the request failed.
  """
  state = _state(commands["state"])
  # An active request whose node is not ready was also preempted.
  if state in (*_ENDED, "ACTIVE"):
    _LOGGER.warning("the slice was lost (%s): requesting another one", state)
    programs.output(commands["delete"].words)
    state = ""
  if not state:
    programs.output(commands["create"].words)
  shown = ""
  while not received:
    state = _state(commands["state"])
    if state != shown:
      _LOGGER.info("the state of the request is %s", state)
      shown = state
    if state == "ACTIVE" and _state(commands["node"]) == "READY":
      return True
    if state in _ENDED:
      raise OSError(
        f"the state of the TPU request is {state}; gcloud compute tpus "
        "queued-resources describe shows the reason. Another zone, type or "
        "runtime may be available"
      )
    time.sleep(_POLL_SECONDS)
  return False


def _install(commands: Mapping[str, jobs.Command]) -> None:
  setup = [name for name in commands if name.startswith("setup")]
  for name in ("copy", "install", *setup):
    _LOGGER.info("%s", commands[name].comment)
    programs.output(commands[name].words)


def _run(commands: Mapping[str, jobs.Command], received: Sequence[int]) -> int:
  """Runs on all workers until they end; returns the first nonzero exit code."""
  run = _start(commands["run"])
  log = _start(commands["log"])
  forwarded = len(received)
  while run.poll() is None:
    if len(received) > forwarded:
      forwarded = len(received)
      _LOGGER.warning("saving and stopping")
      subprocess.run(commands["stop"].words, stdout=subprocess.DEVNULL)
    time.sleep(0.1)
  code = exit_codes.code(run.returncode)
  with contextlib.suppress(subprocess.TimeoutExpired):
    # Without a connection there is no log to wait for.
    log.wait(_LOG_SECONDS if code != _NO_CONNECTION else 0)
  log.kill()
  log.wait()
  if code not in (0, exit_codes.PREEMPTED):
    subprocess.run(commands["tails"].words)
  return code


def _start(command: jobs.Command) -> subprocess.Popen:
  # In its own session, Ctrl-C does not break the connections.
  return subprocess.Popen(
    command.words, stdin=subprocess.DEVNULL, start_new_session=True
  )


def _check(job: jobs.Job, options: Options) -> None:
  if not _NAME.fullmatch(options.name):
    raise ValueError(
      f"--name {options.name!r} is not a valid name in Google Cloud; write "
      "lower-case letters, digits and -, with a letter first, as in my-slice"
    )
  workdir = str(job.train.get("workdir", "/"))
  if not workdir.startswith("/"):
    raise ValueError(
      f"--workdir {workdir} is a folder on each worker, which the workers do "
      "not share and which is deleted at the end; give a path on a file system "
      "that all workers mount, such as /mnt/shared/run, and mount it with "
      "--setup"
    )
  recipe = str(job.train.get("recipe", ""))
  if recipe.startswith("/"):
    raise ValueError(
      f"--config {recipe} does not exist on the workers; give the path of a "
      "recipe in this checkout, such as configs/digits.py"
    )


def _archive(folder: jobs.Path) -> jobs.Path:
  return folder / tpu_shell.ARCHIVE


def _commands(
  job: jobs.Job, options: Options, archive: jobs.Path
) -> dict[str, jobs.Command]:
  """All gcloud commands by name, in the order of a run."""
  name = options.name
  prepare = tpu_shell.prepare(options.grace)
  stop = tpu_shell.stop(options.grace)
  remote = dataclasses.replace(job, python=tpu_shell.PYTHON)
  run = tpu_shell.run(jobs.words(remote), grace=options.grace)
  create = (
    *("queued-resources", "create", name, f"--node-id={name}"),
    f"--accelerator-type={options.accelerator}",
    f"--runtime-version={options.runtime}",
    *(["--spot"] if options.spot else []),
    *options.extra,
  )
  state = ("queued-resources", "describe", name, "--format=value(state.state)")
  delete = ("queued-resources", "delete", name, "--force")
  copy = ("tpu-vm", "scp", str(archive), f"{name}:{tpu_shell.ARCHIVE}")
  everywhere, first = "--worker=all", "--worker=0"

  def ssh(worker: str, command: str) -> jobs.Words:
    return ("tpu-vm", "ssh", name, worker, f"--command={command}")

  described = {
    "create": (create, "requests the slice"),
    "state": (state, "repeated until it is ACTIVE"),
    "node": (
      ("tpu-vm", "describe", name, "--format=value(state)"),
      "waits for READY; PREEMPTED requests another slice",
    ),
    "prepare": (ssh(everywhere, prepare), "ends an earlier run"),
    "copy": ((*copy, everywhere), "copies the code"),
    "install": (ssh(everywhere, tpu_shell.INSTALL), "installs it"),
    **{
      f"setup {number}": (ssh(everywhere, each), "sets the workers up")
      for number, each in enumerate(options.setup)
    },
    "run": (
      ssh(everywhere, run),
      "runs on all workers",
    ),
    "log": (ssh(first, tpu_shell.FOLLOW), "shows the log of worker 0"),
    "stop": (ssh(everywhere, stop), "forwards a signal: saves and ends"),
    "tails": (
      ssh(everywhere, tpu_shell.TAIL),
      "shows the end of all logs after a failure",
    ),
    "delete": (delete, "deletes the slice, at the end or after a preemption"),
  }
  return {
    key: jobs.Command(_gcloud(options, each), comment)
    for key, (each, comment) in described.items()
  }


def _gcloud(options: Options, words: Sequence[str]) -> jobs.Words:
  where = [f"--zone={options.zone}"]
  where += [f"--project={options.project}"] if options.project else []
  return ("gcloud", "compute", "tpus", *words, *where, "--quiet")

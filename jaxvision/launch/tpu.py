"""Runs a job on a slice of Cloud TPU, through gcloud and ssh.

Asks for the slice (a queued resource), waits for it, copies the checkout to all
its workers, installs it there, and runs the command on all of them; jax finds
out which worker is which. The screen has the log of worker 0; each worker keeps
its own in ~/jaxvision.log. A slice that is pre-empted is deleted and asked for
again, and the same command goes on from the last checkpoint. In the end the
slice is deleted, for it costs money as long as it is there.
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
# Google Cloud's rule.
_NAME = re.compile("[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
# How long the log may take to arrive after the end.
_LOG_SECONDS = 15.0
# What gcloud returns where ssh itself fails.
_NO_CONNECTION = 255
_NO_SUCH_THING = "NOT_FOUND"
_ENDED = ("FAILED", "SUSPENDING", "SUSPENDED", "DELETING")


@dataclasses.dataclass(frozen=True)
class Options:
  """How to run on Cloud TPU.

  Attributes:
    name: of the slice and its queued resource.
    zone: as "us-central2-b".
    accelerator: as "v5litepod-16".
    runtime: the version of its software, as "v2-alpha-tpuv5-lite".
    project: of Google Cloud; "" is that of gcloud's settings.
    spot: cheaper, and may be taken away at any time.
    setup: commands for each worker, as the mounting of a file system.
    extra: more options of `queued-resources create`.
    keep: the slice, in the end.
    restarts: after pre-emptions and crashes.
    grace: seconds to save in, after a signal to stop.
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
  """The archive of the code and all commands, also those after a pre-emption.

  Raises:
    ValueError: the workers would not find the recipe or not share the workdir.
  """
  _check(job, options)
  here = f"(the files under {pathlib.Path.cwd()} that git does not ignore)"
  # The folder is another one at each launch, and only this user's.
  archive = _archive(pathlib.Path(tempfile.gettempdir()) / f"{_PREFIX}XXXXXXXX")
  return jobs.Rendered(
    files={archive: here},
    commands=list(_commands(job, options, archive).values()),
  )


def launch(job: jobs.Job, options: Options) -> int:
  """Runs the job to its end; SIGTERM and SIGINT are passed on.

  Returns:
    The exit code of the first worker that failed; 0 if none did.

  Raises:
    ValueError: see `render`.
    FileNotFoundError: gcloud or git is not here.
    OSError: gcloud refuses something; with its words.
  """
  _check(job, options)
  programs.require("gcloud", "install Google Cloud's SDK, or add --dry-run")
  programs.require("git", "it says which files belong to the checkout")
  with (
    tempfile.TemporaryDirectory(prefix=_PREFIX) as folder,
    signals.received() as received,
  ):
    archive = _archive(pathlib.Path(folder))
    checkout.pack(archive)
    commands = _commands(job, options, archive)
    try:
      return _run_to_the_end(commands, options, received)
    finally:
      if options.keep:
        _LOGGER.warning("%s is kept, and costs money", options.name)
      else:
        _delete(commands["delete"])


def _delete(command: jobs.Command) -> None:
  """Deletes the slice; that it fails must not hide why the run has ended."""
  try:
    programs.ask(command.words)
  except OSError as error:
    if _NO_SUCH_THING not in str(error):
      _LOGGER.error(
        "the slice may be there still, and cost money: %s; delete it: %s",
        error,
        shlex.join(command.words),
      )


def _run_to_the_end(
  commands: Mapping[str, jobs.Command],
  options: Options,
  received: Sequence[int],
) -> int:
  installed = False
  for attempt in itertools.count(1):
    if not _is_there(commands):
      installed = False
      if not _obtain(commands, received):
        return exit_codes.INTERRUPTED
    try:
      programs.ask(commands["prepare"].words)
      if not installed:
        _install(commands)
        installed = True
      code = _run(commands, received)
    except OSError:
      if _is_there(commands):
        raise
      code = _NO_CONNECTION
    if code:
      _LOGGER.warning("%s: the run %s", options.name, exit_codes.describe(code))
    if received or not _would_help(code, commands):
      return code
    if attempt > options.restarts:
      _LOGGER.error("no more than --restarts %d", options.restarts)
      return code
    _LOGGER.warning("restart %d of %d", attempt, options.restarts)
  raise AssertionError("the attempts have no end")


def _would_help(code: int, commands: Mapping[str, jobs.Command]) -> bool:
  """Whether to run again: stopped, or the connection or the slice is gone."""
  return code != 0 and (
    exit_codes.is_resumable(code)
    or code == _NO_CONNECTION
    or not _is_there(commands)
  )


def _is_there(commands: Mapping[str, jobs.Command]) -> bool:
  """Whether the slice can be used; pre-empted ones stay in the list."""
  if _state(commands["state"]) != "ACTIVE":
    return False
  return _state(commands["node"]) == "READY"


def _state(command: jobs.Command) -> str:
  """What gcloud calls the state; "" where there is no such thing."""
  try:
    return programs.ask(command.words)
  except OSError as error:
    if _NO_SUCH_THING in str(error):
      return ""
    raise


def _obtain(
  commands: Mapping[str, jobs.Command], received: Sequence[int]
) -> bool:
  """Asks for the slice and waits for it; False when told to stop.

  Raises:
    OSError: the request failed.
  """
  state = _state(commands["state"])
  # An active one whose node is not ready was pre-empted as well.
  if state in (*_ENDED, "ACTIVE"):
    _LOGGER.warning("the slice was lost (%s): asking for another", state)
    programs.ask(commands["delete"].words)
    state = ""
  if not state:
    programs.ask(commands["create"].words)
  shown = ""
  while not received:
    state = _state(commands["state"])
    if state != shown:
      _LOGGER.info("the request is %s", state)
      shown = state
    if state == "ACTIVE" and _state(commands["node"]) == "READY":
      return True
    if state in _ENDED:
      raise OSError(
        f"the request for a TPU is {state}; gcloud compute tpus "
        "queued-resources describe says why: another zone, type or runtime "
        "may be had"
      )
    time.sleep(_POLL_SECONDS)
  return False


def _install(commands: Mapping[str, jobs.Command]) -> None:
  setup = [name for name in commands if name.startswith("setup")]
  for name in ("copy", "install", *setup):
    _LOGGER.info("%s", commands[name].comment)
    programs.ask(commands[name].words)


def _run(commands: Mapping[str, jobs.Command], received: Sequence[int]) -> int:
  """Runs on all workers until they end; the code of the first that failed."""
  run = _start(commands["run"])
  log = _start(commands["log"])
  passed_on = len(received)
  while run.poll() is None:
    if len(received) > passed_on:
      passed_on = len(received)
      _LOGGER.warning("saving and stopping")
      subprocess.run(commands["stop"].words, stdout=subprocess.DEVNULL)
    time.sleep(0.1)
  code = exit_codes.code(run.returncode)
  with contextlib.suppress(subprocess.TimeoutExpired):
    # Without a run there is no log to wait for.
    log.wait(_LOG_SECONDS if code != _NO_CONNECTION else 0)
  log.kill()
  log.wait()
  if code not in (0, exit_codes.PREEMPTED):
    subprocess.run(commands["tails"].words)
  return code


def _start(command: jobs.Command) -> subprocess.Popen:
  # A session of its own: Ctrl-C shall not break the connections.
  return subprocess.Popen(
    command.words, stdin=subprocess.DEVNULL, start_new_session=True
  )


def _check(job: jobs.Job, options: Options) -> None:
  if not _NAME.fullmatch(options.name):
    raise ValueError(
      f"--name {options.name!r} is no name of Google Cloud; write lower-case "
      "letters, digits and -, from a letter on, as in my-slice"
    )
  workdir = str(job.train.get("workdir", "/"))
  if not workdir.startswith("/"):
    raise ValueError(
      f"--workdir {workdir} would lie on the workers, which do not share it "
      "and are deleted in the end; give a path on a file system that all "
      "workers mount, as /mnt/shared/run, and mount it with --setup"
    )
  recipe = str(job.train.get("recipe", ""))
  if recipe.startswith("/"):
    raise ValueError(
      f"--config {recipe} is not there on the workers; give the path of a "
      "recipe in this checkout, as configs/digits.py"
    )


def _archive(folder: jobs.Path) -> jobs.Path:
  return folder / tpu_shell.ARCHIVE


def _commands(
  job: jobs.Job, options: Options, archive: jobs.Path
) -> dict[str, jobs.Command]:
  """All that gcloud is asked for, by name, in the order of a run."""
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

  said = {
    "create": (create, "asks for the slice"),
    "state": (state, "again and again, until it is ACTIVE"),
    "node": (
      ("tpu-vm", "describe", name, "--format=value(state)"),
      "whether it is READY; PREEMPTED asks for another",
    ),
    "prepare": (ssh(everywhere, prepare), "ends what still runs there"),
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
    "stop": (ssh(everywhere, stop), "passes on a signal: saves and ends"),
    "tails": (
      ssh(everywhere, tpu_shell.TAIL),
      "shows the end of all logs after a failure",
    ),
    "delete": (delete, "deletes the slice, in the end or once pre-empted"),
  }
  return {
    key: jobs.Command(_gcloud(options, each), comment)
    for key, (each, comment) in said.items()
  }


def _gcloud(options: Options, words: Sequence[str]) -> jobs.Words:
  where = [f"--zone={options.zone}"]
  where += [f"--project={options.project}"] if options.project else []
  return ("gcloud", "compute", "tpus", *words, *where, "--quiet")

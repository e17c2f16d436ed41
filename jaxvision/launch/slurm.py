"""The SLURM launcher: writes a batch script and submits it.

The script starts one process on each node (or one for each GPU), and restarts
all of them after a crash. After a preemption, or at the end of the time limit,
the processes save and exit with 42. The script then requeues the job. jax reads
the number of each process from SLURM. An array consists of many independent
jobs: the workers of a sweep.
"""

import dataclasses
import logging
import re
import shlex

from jaxvision import files
from jaxvision.launch import job as jobs
from jaxvision.launch import programs
from jaxvision.processes import exit_codes

_LOGGER = logging.getLogger(__name__)
_SCRIPT = "job.sh"
_SECRETS = "secrets.sh"
# SLURM's formats: minutes, minutes:seconds, hours:minutes:seconds,
# days-hours...
_TIME = re.compile(r"\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+(:\d\d){0,2}")


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of the SLURM launcher.

  Attributes:
    nodes: number of nodes.
    tasks: processes per node.
    array: number of jobs in an array; 0 is a single job without an array.
    gpus: GPUs per node.
    cpus: CPUs per process; 0 uses the default of SLURM.
    time: time limit of one allocation in SLURM's format; at the limit, the job
      is requeued.
    partition, account: of SLURM; "" is the default.
    extra: more options of sbatch, such as "--mem=0".
    restarts: maximum number of restarts after crashes, in one allocation.
    grace: seconds for saving before the time limit.
  """

  nodes: int = 1
  tasks: int = 1
  array: int = 0
  gpus: int = 0
  cpus: int = 0
  time: str = ""
  partition: str = ""
  account: str = ""
  extra: tuple[str, ...] = ()
  restarts: int = 3
  grace: int = 60


def render(job: jobs.Job, options: Options) -> jobs.Rendered:
  """The batch script and the command that submits it.

  Raises:
    ValueError: the time or another option is not in SLURM's format, or the GPUs
      cannot be divided among the processes.
  """
  if options.time and not _TIME.fullmatch(options.time):
    raise ValueError(
      f"--time {options.time!r} is not in SLURM's format; write minutes, "
      "hours:minutes:seconds or days-hours, such as 30, 12:00:00 or 2-0"
    )
  if options.gpus and options.tasks not in (1, options.gpus):
    raise ValueError(
      f"--tasks {options.tasks} cannot share --gpus {options.gpus}; give "
      f"--tasks 1, or --tasks {options.gpus} with one GPU per task"
    )
  for each in options.extra:
    if not each.startswith("-"):
      raise ValueError(
        f"--extra {each!r} is not an option of sbatch; write --extra=--mem=0"
      )
  script = job.folder / _SCRIPT
  return jobs.Rendered(
    files={script: _script(job, options)},
    secret={_secrets(job): _exports(job)} if job.secrets else {},
    commands=[
      jobs.Command(
        ("sbatch", "--parsable", str(script)), "submits it, prints the job ID"
      )
    ],
  )


def launch(job: jobs.Job, options: Options) -> int:
  """Submits the job; returns 0 when SLURM has accepted it.

  Raises:
    ValueError: see `render`.
    FileNotFoundError: sbatch is not installed.
    OSError: SLURM rejects the job; with its message.
  """
  rendered = render(job, options)
  programs.require(
    "sbatch", "run this on a login node of the cluster, or add --dry-run"
  )
  jobs.write(rendered)
  number = programs.output(rendered.commands[0].words).split(";")[0]
  log = job.folder / _log(options, number, "*")
  _LOGGER.info("submitted job %s; its log is %s", number, log)
  _LOGGER.info("status: squeue --job %s; cancel: scancel %s", number, number)
  return 0


def _log(options: Options, job: str, task: str) -> str:
  """The file name of a log; `task` is the number of a job in an array."""
  return f"slurm-{job}_{task}.log" if options.array else f"slurm-{job}.log"


def _secrets(job: jobs.Job) -> jobs.Path:
  return job.folder.absolute() / _SECRETS


def _exports(job: jobs.Job) -> str:
  return "".join(
    f"export {name}={shlex.quote(value)}\n"
    for name, value in job.secrets.items()
  )


def _script(job: jobs.Job, options: Options) -> str:
  lines = "\n".join(f"#SBATCH {each}" for each in _directives(job, options))
  secrets = shlex.join([".", str(_secrets(job))]) if job.secrets else ""
  own = ",".join(map(str, range(options.gpus)))
  # Without this variable, jax uses one device per SLURM process.
  devices = f"export JAX_LOCAL_DEVICE_IDS={own}\n" if options.tasks == 1 else ""
  return _TEMPLATE.format(
    directives=lines,
    devices=devices if options.gpus else "",
    secrets=f"{secrets}\n" if secrets else "",
    restarts=options.restarts,
    command=shlex.join([*_share(options), *jobs.words(job)]),
    preempted=exit_codes.PREEMPTED,
  )


def _share(options: Options) -> list[str]:
  """Options that srun does not inherit from the script since SLURM 22.05."""
  return [f"--cpus-per-task={options.cpus}"] if options.cpus else []


def _directives(job: jobs.Job, options: Options) -> list[str]:
  given = {
    "job-name": job.folder.absolute().parent.name,
    "array": f"0-{options.array - 1}" if options.array else "",
    "nodes": options.nodes,
    "ntasks-per-node": options.tasks,
    "gpus-per-node": options.gpus,
    "cpus-per-task": options.cpus,
    "time": options.time,
    "partition": options.partition,
    "account": options.account,
    "signal": f"TERM@{options.grace}",
    "output": _output(job, options),
  }
  lines = [
    *(f"--{name}={value}" for name, value in given.items() if value),
    "--open-mode=append",
    "--requeue",
    *options.extra,
  ]
  return [_directive(each) for each in lines]


def _output(job: jobs.Job, options: Options) -> str:
  r"""The path of the logs, with SLURM's placeholders for the numbers.

  Raises:
    ValueError: the path contains a \, which disables the placeholders.
  """
  folder = str(job.folder)
  if "\\" in folder:
    raise ValueError(
      f"SLURM cannot write logs to {folder!r}, because the name contains a "
      "\\; give another --workdir or --logs"
    )
  log = _log(options, "%A" if options.array else "%j", "%a")
  return str(jobs.Path(folder.replace("%", "%%")) / log)


def _directive(option: str) -> str:
  """An option of sbatch, quoted for an #SBATCH line.

  Raises:
    ValueError: the option contains a line break or another control character.
      The text after it would be run as a command of the script.
  """
  if files.printable(option) != option:
    raise ValueError(
      f"the option {option!r} of sbatch contains a line break or another "
      "control character; remove it from --workdir, --logs, --extra or "
      "another option of `jaxvision launch slurm`"
    )
  name, equals, value = option.partition("=")
  return f"{name}={shlex.quote(value)}" if equals else option


_TEMPLATE = """\
#!/bin/bash
{directives}

# jax reads the number of each process from SLURM. Each attempt uses another
# port, because the previous port may still be in use.
export PYTHONUNBUFFERED=1
{secrets}{devices}for attempt in $(seq 0 {restarts}); do
  export JAX_COORDINATOR_PORT=$((20000 + RANDOM % 12000))
  echo "attempt $attempt, start ${{SLURM_RESTART_COUNT:-0}} of the job, $(date)"
  srun --kill-on-bad-exit=1 {command}
  code=$?
  echo "the processes ended with $code, $(date)"
  # 143: SIGTERM arrived before the first save.
  if [ $code -eq {preempted} ] || [ $code -eq 143 ]; then
    # The requeue ends this script. If it is not permitted, the exit code shows
    # that the job can be resubmitted.
    scontrol requeue "$SLURM_JOB_ID" && sleep 60
    exit {preempted}
  fi
  # After an end by a signal, the same command resumes from the last checkpoint.
  [ $code -gt 128 ] && [ $code -ne 130 ] || break
done
exit $code
"""

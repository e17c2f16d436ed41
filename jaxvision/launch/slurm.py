"""Runs a job on a SLURM cluster: writes a batch script and submits it.

The script starts one process on each node (or one for each GPU), and starts all
again after a crash. After a pre-emption, or when the time is over, they save
and end with 42; the script then puts the job back into the queue. jax finds out
from SLURM which process is which. An array has many such jobs, which know
nothing of each other: the workers of a sweep.
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
# SLURM's own: minutes, minutes:seconds, hours:minutes:seconds, days-hours...
_TIME = re.compile(r"\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+(:\d\d){0,2}")


@dataclasses.dataclass(frozen=True)
class Options:
  """How to run on SLURM.

  Attributes:
    nodes: how many.
    tasks: processes on each node.
    array: how many jobs; 0 is one, that is no array.
    gpus: of each node.
    cpus: of each process; 0 leaves it to SLURM.
    time: the limit of one allocation, as SLURM writes it; the job is queued
      again when it is over.
    partition, account: of SLURM; "" is the default one.
    extra: more options of sbatch, as "--mem=0".
    restarts: after crashes, within one allocation.
    grace: seconds to save in before the time is over.
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
  """The batch script and its submission.

  Raises:
    ValueError: the time or another option is not as SLURM writes it, or the
      GPUs cannot be shared among the processes.
  """
  if options.time and not _TIME.fullmatch(options.time):
    raise ValueError(
      f"--time {options.time!r} is no time of SLURM; write minutes, "
      "hours:minutes:seconds or days-hours, as 30, 12:00:00 or 2-0"
    )
  if options.gpus and options.tasks not in (1, options.gpus):
    raise ValueError(
      f"--tasks {options.tasks} cannot share --gpus {options.gpus}; give each "
      f"node one task, or {options.gpus} with a GPU each"
    )
  for each in options.extra:
    if not each.startswith("-"):
      raise ValueError(
        f"--extra {each!r} is no option of sbatch; write --extra=--mem=0"
      )
  script = job.folder / _SCRIPT
  return jobs.Rendered(
    files={script: _script(job, options)},
    secret={_secrets(job): _exports(job)} if job.secrets else {},
    commands=[
      jobs.Command(
        ("sbatch", "--parsable", str(script)), "submits it, prints its number"
      )
    ],
  )


def launch(job: jobs.Job, options: Options) -> int:
  """Submits the job; returns 0 once SLURM has it.

  Raises:
    ValueError: see `render`.
    FileNotFoundError: SLURM is not here.
    OSError: SLURM refuses the job; with its words.
  """
  rendered = render(job, options)
  programs.require(
    "sbatch", "run this on a login node of the cluster, or add --dry-run"
  )
  jobs.write(rendered)
  number = programs.ask(rendered.commands[0].words).split(";")[0]
  log = job.folder / _log(options, number, "*")
  _LOGGER.info("job %s, which writes into %s", number, log)
  _LOGGER.info("look: squeue --job %s; end: scancel %s", number, number)
  return 0


def _log(options: Options, job: str, task: str) -> str:
  """The name of a log; `task` is the number in an array."""
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
  # By itself jax takes one device for each process that SLURM starts.
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
  """What srun does not take over from the batch script, since SLURM 22.05."""
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
  r"""The path of the logs, in which SLURM fills in the numbers.

  Raises:
    ValueError: it has a \, with which SLURM fills in nothing.
  """
  folder = str(job.folder)
  if "\\" in folder:
    raise ValueError(
      f"SLURM cannot write logs into {folder!r}, whose name has a \\; give "
      "another --workdir or --logs"
    )
  log = _log(options, "%A" if options.array else "%j", "%a")
  return str(jobs.Path(folder.replace("%", "%%")) / log)


def _directive(option: str) -> str:
  """An option of sbatch, as it stands behind #SBATCH.

  Raises:
    ValueError: it has a line break or another control character: what follows
      it would be a command of the script.
  """
  if files.printable(option) != option:
    raise ValueError(
      f"the option {option!r} of sbatch has a line break or another character "
      "that does not belong into a line; leave it out (it comes from --workdir,"
      " --logs, --extra or another option of `jaxvision launch slurm`)"
    )
  name, equals, value = option.partition("=")
  return f"{name}={shlex.quote(value)}" if equals else option


_TEMPLATE = """\
#!/bin/bash
{directives}

# Which process is which SLURM tells jax; the port is another at each attempt,
# for the last one may not be free yet.
export PYTHONUNBUFFERED=1
{secrets}{devices}for attempt in $(seq 0 {restarts}); do
  export JAX_COORDINATOR_PORT=$((20000 + RANDOM % 12000))
  echo "attempt $attempt, start ${{SLURM_RESTART_COUNT:-0}} of the job, $(date)"
  srun --kill-on-bad-exit=1 {command}
  code=$?
  echo "the processes ended with $code, $(date)"
  # 143: SIGTERM came before anything could be saved.
  if [ $code -eq {preempted} ] || [ $code -eq 143 ]; then
    # It ends this script; where it may not, the code says what to do.
    scontrol requeue "$SLURM_JOB_ID" && sleep 60
    exit {preempted}
  fi
  # A signal ended them: the same command goes on from the last checkpoint.
  [ $code -gt 128 ] && [ $code -ne 130 ] || break
done
exit $code
"""

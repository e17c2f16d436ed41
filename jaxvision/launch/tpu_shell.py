"""Shell commands for the workers of a TPU slice.

The home directory of each worker has the folder jaxvision with the code and its
environment in jaxvision/.venv, the file jaxvision.log with the output of the
last run, and the file jaxvision.pid with the process ID of the current run.
"""

import shlex
from collections.abc import Sequence

ARCHIVE = "jaxvision.tar.gz"
# Relative to the folder of the code.
PYTHON = ".venv/bin/python"
# The Python of TPU VMs is too old, so uv installs another one.
INSTALL = (
  f"rm -rf jaxvision && mkdir jaxvision && tar -xzf {ARCHIVE} -C jaxvision && "
  "cd jaxvision && python3 -m pip install --quiet --user uv && "
  "python3 -m uv venv --quiet --python 3.12 .venv && "
  f"python3 -m uv pip install --quiet --python {PYTHON} "
  "--requirement requirements.lock 'jax[tpu]' && "
  f"python3 -m uv pip install --quiet --python {PYTHON} --no-deps --editable ."
)
# Shows the log until the run ends. The log is created after the process ID. If
# the process has already ended, its ID is gone and the complete log is shown.
FOLLOW = (
  "until [ -f jaxvision.log ]; do sleep 0.2; done; "
  "pid=$(cat jaxvision.pid || echo 2147483647); "
  "tail --pid=$pid -s 0.2 -n +1 -F jaxvision.log"
)
TAIL = "tail -n 20 jaxvision.log"


def stop(grace: int) -> str:
  """Lets a run save and end; kills it after `grace` seconds."""
  return (
    "if [ -f jaxvision.pid ]; then pid=$(cat jaxvision.pid); "
    f"kill -TERM $pid; timeout {grace} tail --pid=$pid -f /dev/null; "
    "kill -KILL $pid; rm -f jaxvision.pid; fi 2> /dev/null; true"
  )


def prepare(grace: int) -> str:
  """Ends an earlier run and removes its log."""
  return f"{stop(grace)}; rm -f jaxvision.log"


def run(words: Sequence[str], *, grace: int) -> str:
  """Runs a command in the folder of the code and exits with its exit code.

  A run in progress is stopped first: gcloud repeats this command after a broken
  connection, which does not end the process.
  """
  command = shlex.join(["env", "PYTHONUNBUFFERED=1", *words])
  start = 'echo $$ > ../jaxvision.pid; exec "$@" > ../jaxvision.log 2>&1'
  return (
    f"{stop(grace)}; cd jaxvision && sh -c '{start}' sh {command}; "
    "code=$?; rm -f ../jaxvision.pid; exit $code"
  )

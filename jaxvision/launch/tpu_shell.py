"""What the workers of a TPU slice are told to do, as text for their shells.

In the home directory of each lie the folder jaxvision with the code, its
environment in jaxvision/.venv, jaxvision.log with what the last run has
printed, and jaxvision.pid with its process as long as it runs.
"""

import shlex
from collections.abc import Sequence

ARCHIVE = "jaxvision.tar.gz"
# From within the folder of the code.
PYTHON = ".venv/bin/python"
# TPU VMs come with a Python that is too old: uv brings one.
INSTALL = (
  f"rm -rf jaxvision && mkdir jaxvision && tar -xzf {ARCHIVE} -C jaxvision && "
  "cd jaxvision && python3 -m pip install --quiet --user uv && "
  "python3 -m uv venv --quiet --python 3.12 .venv && "
  f"python3 -m uv pip install --quiet --python {PYTHON} "
  "--requirement requirements.lock 'jax[tpu]' && "
  f"python3 -m uv pip install --quiet --python {PYTHON} --no-deps --editable ."
)
# Ends with the run. There is a log only after there is a process; if that has
# ended already, its number is gone, and what it has printed is shown at once.
FOLLOW = (
  "until [ -f jaxvision.log ]; do sleep 0.2; done; "
  "pid=$(cat jaxvision.pid || echo 2147483647); "
  "tail --pid=$pid -s 0.2 -n +1 -F jaxvision.log"
)
TAIL = "tail -n 20 jaxvision.log"


def stop(grace: int) -> str:
  """Lets a run save and end; after so many seconds it is killed."""
  return (
    "if [ -f jaxvision.pid ]; then pid=$(cat jaxvision.pid); "
    f"kill -TERM $pid; timeout {grace} tail --pid=$pid -f /dev/null; "
    "kill -KILL $pid; rm -f jaxvision.pid; fi 2> /dev/null; true"
  )


def prepare(grace: int) -> str:
  """Makes room for a run."""
  return f"{stop(grace)}; rm -f jaxvision.log"


def run(words: Sequence[str], *, grace: int) -> str:
  """Runs a command in the folder of the code, and ends with its exit code.

  What runs already is stopped: gcloud runs this again when a connection broke,
  which is no end for a process.
  """
  command = shlex.join(["env", "PYTHONUNBUFFERED=1", *words])
  start = 'echo $$ > ../jaxvision.pid; exec "$@" > ../jaxvision.log 2>&1'
  return (
    f"{stop(grace)}; cd jaxvision && sh -c '{start}' sh {command}; "
    "code=$?; rm -f ../jaxvision.pid; exit $code"
  )

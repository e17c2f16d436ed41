"""A fake gcloud with queued resources and their workers, for tests.

Slices are files. Each line of STATE is the answer to one request for the state
of the resource; the last line is repeated forever. NODE is the same for the
node. Workers are folders in which their commands are executed.
"""

import pathlib
import shutil

import fake_programs

_CODE = """
import os, pathlib, shlex, subprocess, sys, threading

root = pathlib.Path({root!r})
words = sys.argv[1:]
assert words[:2] == ["compute", "tpus"], words
assert words[-1] == "--quiet" and "--zone=here" in words, words
with (root / "calls").open("a") as file:
  file.write(shlex.join(words[2:]) + chr(10))
kind, verb, name = words[2:5]
given = dict(each.split("=", 1) for each in words[5:] if "=" in each)


def answer(path):
  if not path.exists():
    sys.exit("ERROR: (gcloud) NOT_FOUND: Resource was not found.")
  states = path.read_text().split()
  path.write_text(" ".join(states[1:] or states))
  print(states[0])


def workers():
  chosen = given["--worker"]
  every = sorted((root / "workers").iterdir())
  return every if chosen == "all" else [every[int(chosen)]]


if (kind, verb) == ("queued-resources", "create"):
  if (root / "refusal").exists():
    sys.exit("ERROR: (gcloud) " + (root / "refusal").read_text())
  futures = sorted(root.glob("future-*"))
  future = futures[0].read_text().splitlines()
  futures[0].unlink()
  (root / "state").write_text(future[0])
  (root / "node").write_text(future[1])
  for number in range(2):
    (root / "workers" / str(number)).mkdir(parents=True)
elif (kind, verb) == ("queued-resources", "describe"):
  answer(root / "state")
elif (kind, verb) == ("tpu-vm", "describe"):
  answer(root / "node")
elif (kind, verb) == ("queued-resources", "delete"):
  assert "--force" in words
  if (root / "stuck").exists():
    sys.exit("ERROR: (gcloud) INTERNAL: try again")
  if not (root / "state").exists():
    sys.exit("ERROR: (gcloud) NOT_FOUND: Resource was not found.")
  (root / "state").unlink()
  (root / "node").unlink()
  subprocess.run(["rm", "-rf", root / "workers"], check=True)
elif verb == "scp":
  for worker in workers():
    subprocess.run(
      ["cp", name, worker / words[5].split(":")[1]], check=True
    )
elif verb == "ssh":
  # Homes as the workers have them; programs that would need a network are not.
  commands = [
    subprocess.Popen(
      ["bash", "-c", given["--command"]],
      cwd=worker,
      env=os.environ | {{"HOME": str(worker), "WORKER": worker.name}},
    )
    for worker in workers()
  ]
  codes = [each.wait() for each in commands]
  sys.exit(next((code for code in codes if code), 0))
else:
  sys.exit(f"ERROR: (gcloud) {{kind}} {{verb}}")
"""
# Replaces the system's python3: creates the environment with a test python.
_PYTHON3 = """
import pathlib, shutil, sys
if sys.argv[3:4] == ["venv"]:
  pathlib.Path(".venv/bin").mkdir(parents=True)
  shutil.copy({python!r}, ".venv/bin/python")
"""


def write(folder: pathlib.Path, code: str) -> pathlib.Path:
  """Puts gcloud and python3 into a folder for PATH.

  Args:
    folder: gets `bin`, and `cloud` with the files of the slices.
    code: code of the python with which the workers run the job.

  Returns:
    The folder `cloud`. Its file `future-N` has the states of the resource and
    of the node after the Nth request, one line each.
  """
  programs, cloud = folder / "bin", folder / "cloud"
  programs.mkdir()
  cloud.mkdir()
  python = fake_programs.write(cloud / "python", code)
  fake_programs.write(programs / "gcloud", _CODE.format(root=str(cloud)))
  fake_programs.write(programs / "python3", _PYTHON3.format(python=python))
  assert shutil.which("tar") and shutil.which("timeout")
  return cloud

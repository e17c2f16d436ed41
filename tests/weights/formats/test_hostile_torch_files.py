"""Hostile files of torch: each is refused, in little time and memory.

All files are opened in one process with 2 GB and a deadline for each. As a
script it prints the table of the files and the refusals:

  PYTHONPATH=tests python tests/weights/formats/test_hostile_torch_files.py
"""

import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import zipfile

import pytest
import torch_files as tf

DEADLINE = 60  # seconds for each file, then the process ends; most take 0.00
MEMORY = 1 << 31  # bytes of the address space

ONE = {"0": bytes(8)}
_V2 = "torch._utils._rebuild_tensor_v2"
_TWICE = b"0h\1h\1\x86q\1"  # the pair of a value with itself
_LAUGHS = b")q\1" + 90 * _TWICE


def _os_system(named):
  return named + tf.tuple_(tf.text("touch /tmp/hostile")) + b"R"


def _stack_named(module, name):
  return tf.text(module) + tf.text(name) + b"\x93"


def _of_tensor(*, shape=(2,), strides=(1,), offset=0, size=2, key="0"):
  return tf.zipped(
    tf.tensor(tf.storage(key, size), shape, strides, offset), ONE
  )


def _bomb_pickle():
  """A pickle of 500 MB of zeros in 0.5 MB."""
  return tf.zipped(
    b"N",
    more={"data.pkl": bytes(500 << 20)},
    compression=zipfile.ZIP_DEFLATED,
  )


def _encrypted():
  content = bytearray(tf.zipped(tf.tensor(tf.storage("0", 2), (2,), (1,)), ONE))
  place = 0
  while (place := content.find(b"PK\1\2", place)) >= 0:
    content[place + 8] |= 1
    place += 4
  return bytes(content)


def _overlapping():
  """Two members in the list have the bytes of one."""
  content = tf.zipped(b"N", {"0": bytes(1000), "1": bytes(1000)})
  start = content.index(b"archive/data/1") - 30
  end = content.index(b"PK\1\2")
  content = content[:start] + content[end:]
  return content[:-6] + struct.pack("<L", start) + content[-2:]


def _tar():
  return b"pickle".ljust(257, b"\0") + b"ustar" + bytes(250)


def _big(order):
  value = tf.tensor(tf.storage("0", 2), (2,), (1,))
  return tf.zipped(value, ONE, more={"byteorder": order})


def _copies(call, *, times=400_000):
  """The same long value is given to a call again and again."""
  long = tf.text("a" * (1 << 20)) + b"q\1" + b"0"
  return tf.zipped(b"]" + long + b"(" + call * times + b"e")


# Name -> (content of the file, words of the refusal). A function is called.
CODE = {
  "os.system": _os_system(tf.named("posix.system")),
  "os.system, protocol 4": _os_system(_stack_named("posix", "system")),
  "nt.system": _os_system(tf.named("nt.system")),
  "eval": _os_system(tf.named("builtins.eval")),
  "exec of Python 2": _os_system(tf.named("__builtin__.execfile")),
  "import": _os_system(tf.named("builtins.__import__")),
  "getattr chain": tf.called(
    "builtins.getattr",
    *(tf.named("torch._utils._rebuild_tensor_v2"), tf.text("__globals__")),
  ),
  "attribute of an allowed object": _os_system(
    _stack_named("torch._utils", "_rebuild_tensor_v2.__globals__")
  ),
  "module of an allowed object": _os_system(tf.named("torch._utils.sys")),
  "operator.attrgetter": tf.called("operator.attrgetter", tf.text("system")),
  "functools.partial": tf.called("functools.partial", tf.named(_V2)),
  "subprocess": tf.named("subprocess.Popen") + b"(](" + tf.text("id") + b"etR",
  "new object": tf.named("types.FunctionType") + b")\x81",
  "code object": tf.called("types.CodeType"),
  "another pickle": tf.called("torch.load", tf.text("/tmp/other.pth")),
  "another pickle in bytes": tf.called("_pickle.loads", b"C\2N."),
  "numpy object": tf.called("numpy.core.multiarray._reconstruct"),
  "torch.hub": tf.called("torch.hub.load", tf.text("owner/name")),
  "an allowed type that is called": tf.called("torch.FloatStorage"),
  "a name with a line": _stack_named("posix\nsystem", "x"),
}
INSTRUCTIONS = {
  "INST": b"(" + tf.text("id") + b"iposix\nsystem\n",
  "OBJ": b"(" + tf.named("collections.OrderedDict") + b"o",
  "EXT1": b"\x82\1",
  "PERSID": b"Pstorage\n",
  "NEWOBJ_EX": tf.named("collections.OrderedDict") + b")}\x92",
  "NEXT_BUFFER": b"\x97",
  "state of a function": tf.named(_V2) + b"}b",
  "state of a tensor": tf.tensor(tf.storage("0", 2), (2,), (1,)) + b"}b",
  "call of a list": b"])R",
  "call of a text": tf.text("posix.system") + b")R",
  "arguments in a list": tf.named("collections.OrderedDict") + b"]R",
  "other arguments": tf.called(_V2, b"N"),
  "value before it is set": b"h\7",
  "value that was replaced": (
    tf.named("collections.OrderedDict") + b"q\1" + b"0Nq\1" + b"0h\1)R"
  ),
  "empty stack": b"0",
  "below a mark": b"N(0" + b"0" * 3,
  "mark without start": b"t",
  "mark without end": b"(",
  "two values": b"NN",
  "key without a value": b"}(Nu",
  "appending to a dict": b"}Na",
  "items of a list": b"]NNs",
  "tuple as a key": b"}))s",
  "list as a key": b"}]Ns",
  "no text": b"X\3\0\0\0\xff\xfe\xfd",
  "name without an end": b"cposix" + b"x" * 5000,
  "unknown protocol": b"\x80\x09N",
  "no storage": b"K\1Q",
  "other reference": tf.tuple_(*[tf.text("module")] * 5) + b"Q",
}
HUGE = {
  "text": b"\x8d" + struct.pack("<Q", 1 << 62),
  "text of 4 GB": b"X" + b"\xff" * 4,
  "negative text": b"T" + b"\xff" * 4,
  "bytes": b"\x8e" + struct.pack("<Q", 1 << 40),
  "byte array": b"\x96" + struct.pack("<Q", 1 << 34),
  "byte array of a number": tf.called(
    "builtins.bytearray", tf.integer(1 << 40)
  ),
  "integer": b"\x8b\xff\xff\xff\x7f" + bytes(1 << 20),
  "negative integer": b"\x8b\xff\xff\xff\xff",
  "frame": b"\x95" + b"\xff" * 8,
  "key": b"}" + tf.text("k" * (1 << 20)) + b"Ns",
}
TENSORS = {
  "offset": _of_tensor(offset=1),
  "negative offset": _of_tensor(offset=-1),
  "negative shape": _of_tensor(shape=(-2,)),
  "negative stride": _of_tensor(strides=(-1,), offset=1),
  "stride": _of_tensor(strides=(2,)),
  "stride over 64 bits": _of_tensor(strides=(1 << 64,)),
  "shape": _of_tensor(shape=(1 << 40,)),
  "shape over 64 bits": _of_tensor(shape=(1 << 40,) * 8, strides=(0,) * 8),
  "empty shape over 64 bits": _of_tensor(
    shape=(0, 1 << 61, 1 << 61), strides=(0, 0, 0)
  ),
  "axes": _of_tensor(shape=(1,) * 100, strides=(1,) * 100),
  "fewer strides": _of_tensor(shape=(1, 1)),
  "size over its member": _of_tensor(shape=(4,), size=4),
  "negative size": _of_tensor(size=-1),
  "key outside": _of_tensor(key="../../../etc/passwd"),
  "key of the pickle": _of_tensor(key="../data.pkl"),
  "missing member": _of_tensor(key="7"),
  "truth as a shape": tf.zipped(
    tf.called(
      _V2, tf.storage("0", 2), b"K\0", tf.tuple_(b"\x88"), tf.integers(1)
    ),
    ONE,
  ),
  "two types of a storage": tf.zipped(
    tf.tuple_(tf.storage("0", 2), tf.storage("0", 1, "LongStorage")), ONE
  ),
  "unknown storage": tf.zipped(tf.storage("0", 2, "QInt8Storage"), ONE),
  "negated": tf.zipped(
    tf.tensor(tf.storage("0", 2), (2,), (1,), more=tf.dict_({"neg": b"\x88"})),
    ONE,
  ),
}
_TENSOR = tf.tensor(tf.storage("0", 2), (2,), (1,))
_ROW = {"0": (2, bytes(8))}
FILES = {
  "TorchScript": tf.zipped(_TENSOR, ONE, more={"constants.pkl": b""}),
  "TorchScript code": tf.zipped(_TENSOR, ONE, more={"code/a.py": b"import os"}),
  "big-endian": _big(b"big"),
  "long byte order": _big(b"little" * 1000),
  "unknown version": tf.zipped(_TENSOR, ONE, more={"version": b"99"}),
  "no pickle": tf.zipped(b"N", more={}).replace(b"data.pkl", b"data.pkx"),
  "two pickles": tf.zipped(b"N", more={"other/data.pkl": b"N."}),
  "encrypted": _encrypted(),
  "overlapping members": _overlapping(),
  "tar": _tar(),
  "another file": b"\x89HDF\r\n" + bytes(600),
  "bare pickle": tf.pickled(_os_system(tf.named("posix.system"))),
  "magic": tf.legacy(_TENSOR, _ROW, magic=7),
  "protocol": tf.legacy(_TENSOR, _ROW, protocol=7),
  "legacy big-endian": tf.legacy(_TENSOR, _ROW, little=False),
  "missing key": tf.legacy(_TENSOR, _ROW, keys=[]),
  "other key": tf.legacy(_TENSOR, _ROW, keys=["1"]),
  "key twice": tf.legacy(_TENSOR, _ROW, keys=["0", "0"]),
  "legacy size": tf.legacy(_TENSOR, {"0": (1 << 40, bytes(8))}),
  "legacy negative size": tf.legacy(_TENSOR, {"0": (-2, bytes(8))}),
  "legacy short": tf.legacy(_TENSOR, {"0": (2, bytes(7))}),
  "legacy code": tf.legacy(CODE["os.system"]),
  "legacy view": tf.legacy(
    tf.storage("0", 2, view=tf.tuple_(tf.text("1"), b"K\1", b"K\2")), _ROW
  ),
}


def _deep(start, end, *, count=200_000):
  return tf.zipped(start * count + b"N" + end * count)


LARGE = {
  "compressed pickle": _bomb_pickle,
  "deep tuples": lambda: tf.zipped(b"N" + b"\x85" * 300_000),
  "deep lists": lambda: _deep(b"](", b"e"),
  "deep dicts": lambda: _deep(b"}(K\0", b"u"),
  "deep dicts with a tensor": lambda: tf.zipped(
    b"}(K\0" * 10_000 + _TENSOR + b"u" * 10_000, ONE
  ),
  "marks": lambda: tf.zipped(b"(" * 500_000),
  "instructions": lambda: tf.zipped(b"]" + b"N0" * 2_200_000),
  "sets": lambda: tf.zipped(b"(" + b"\x8f" * 300_000 + b"t"),
  "laughs as a key": lambda: tf.zipped(_LAUGHS + b"0}h\1Ns"),
  "laughs": lambda: tf.zipped(_LAUGHS),
  "laughs of lists": lambda: tf.zipped(b"]q\1" + b"0](h\1h\1eq\1" * 90),
  "copies of a text": lambda: _copies(tf.named("_codecs.encode") + b"h\1\x85R"),
  "copies of a list": lambda: tf.zipped(
    b"]("
    + b"K\1" * 50_000
    + b"eq\1"
    + (tf.named("builtins.set") + b"q\2" + b"h\1\x85R")
    + b"h\2h\1\x85R" * 50_000
  ),
  "equal keys": lambda: tf.zipped(
    tf.text("k" * 9999)
    + b"q\1"
    + b"0"
    + tf.text("k" * 9999)
    + b"q\2"
    + b"0"
    + b"}("
    + b"h\1Nh\2N" * 100_000
    + b"u"
  ),
  "a tensor with many names": lambda: tf.zipped(
    b"}"
    + b"("
    + _TENSOR
    + b"q\1"
    + b"0"
    + b"".join(b"J" + struct.pack("<i", i) + b"h\1" for i in range(40_000))
    + b"u",
    ONE,
  ),
  "a long name": lambda: tf.zipped(
    b"}" + tf.text("n" * 9999) + _TENSOR + b"s", ONE
  ),
}
CASES = {
  **{f"code: {n}": tf.zipped(v) for n, v in CODE.items()},
  **{f"instruction: {n}": tf.zipped(v, ONE) for n, v in INSTRUCTIONS.items()},
  **{f"huge: {n}": tf.zipped(v) for n, v in HUGE.items()},
  **{f"tensor: {n}": v for n, v in TENSORS.items()},
  **{f"file: {n}": v for n, v in FILES.items()},
  **{f"large: {n}": v for n, v in LARGE.items()},
}
_OPEN = """
import json, pathlib, resource, signal, sys, time
from jaxvision.weights import formats
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
for line in open(sys.argv[1]):
  signal.alarm(int(sys.argv[3]))
  path, start = pathlib.Path(line.rstrip("\\n")), time.perf_counter()
  try:
    said = f"READ {list(formats.open_file(path).entries)[:3]}"
  except ValueError as error:
    said = "ran out of memory" if "MemoryError" in str(error) else str(error)
  seconds = time.perf_counter() - start
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
  print(json.dumps([said, seconds, peak]), flush=True)
"""


def _opened(folder):
  """{name: (refusal, seconds, peak in MB)} of each case, in one process."""
  paths = []
  for index, content in enumerate(CASES.values()):
    path = folder / f"{index}.pth"
    path.write_bytes(content() if callable(content) else content)
    paths.append(str(path))
  listing = folder / "paths"
  listing.write_text("\n".join(paths))
  done = subprocess.run(
    [sys.executable, "-c", _OPEN, str(listing), str(MEMORY), str(DEADLINE)],
    env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stdout[-300:] + done.stderr
  lines = map(json.loads, done.stdout.splitlines())
  return dict(zip(CASES, lines, strict=True))


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
  return _opened(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused(name, opened):
  said = opened[name][0]
  assert ".pth" in said and not said.startswith("READ"), said
  assert "memory" not in said and len(said) < 1000
  if name.startswith("code"):
    assert "which could run code and is refused" in said


def test_the_refused_object_and_the_remedy_are_named(opened):
  said = opened["code: os.system"][0]
  assert "'posix.system'" in said
  assert "torch.save(model.state_dict(), FILE)" in said
  assert "damaged" not in said
  assert "TorchScript" in opened["file: TorchScript"][0]
  assert "byte order is big" in opened["file: big-endian"][0]
  assert "tar file" in opened["file: tar"][0]


def test_nothing_imports_pickle():
  folder = pathlib.Path(__file__).parents[3] / "jaxvision" / "weights"
  for path in folder.rglob("*.py"):
    found = re.search(r"(import|from) _?pickle\b", path.read_text("utf-8"))
    assert not found, path


if __name__ == "__main__":
  with tempfile.TemporaryDirectory() as _folder:
    print("| file | seconds | peak MB | refusal |\n|---|---:|---:|---|")
    for _name, (_said, _seconds, _peak) in _opened(
      pathlib.Path(_folder)
    ).items():
      _why = _said.split(": ", 1)[-1][:110]
      print(f"| {_name} | {_seconds:.2f} | {_peak} | {_why} |")

"""Weight files for tests: random, of libraries, and damaged."""

import struct

import numpy as np

from jaxvision import trees
from jaxvision.variables import variable_shapes
from jaxvision.weights.formats import files


def random_variables(model, image_size, *, seed=0):
  """Variables whose values all differ; variances are positive."""
  sides = (image_size,) * 2 if isinstance(image_size, int) else image_size
  shape = (*sides, 3)
  template = trees.flatten(variable_shapes(model, image_shape=shape))
  rng = np.random.default_rng(seed)
  leaves = {}
  for path, leaf in template.items():
    values = rng.normal(0, 0.1, leaf.shape).astype(np.float32)
    leaves[path] = abs(values) + 0.5 if path.endswith("/var") else values
  return trees.unflatten(leaves)


# Keys that identify each layout, the size and the number of classes.
KEYS = {
  "vit torchvision": {
    "encoder.layers.encoder_layer_0.ln_1.weight": (8,),
    "encoder.pos_embedding": (1, 50, 8),
    "class_token": (1, 1, 8),
    "heads.head.bias": (1000,),
  },
  "vit timm": {
    "blocks.0.attn.qkv.weight": (24, 8),
    "pos_embed": (1, 197, 8),
    "cls_token": (1, 1, 8),
    "head.bias": (1000,),
  },
  "vit huggingface": {
    "vit.encoder.layer.0.layernorm_before.weight": (8,),
    "vit.embeddings.position_embeddings": (1, 197, 8),
    "vit.embeddings.cls_token": (1, 1, 8),
  },
  "resnet": {"layer1.0.conv1.weight": (8, 8, 3, 3), "fc.bias": (1000,)},
  "resnet d": {
    "layer1.0.conv1.weight": (8, 8, 3, 3),
    "layer2.0.downsample.2.weight": (8,),
    "conv1.0.weight": (8, 3, 3, 3),
    "fc.bias": (1000,),
  },
  "efficientnet timm": {
    "blocks.0.0.conv_dw.weight": (8, 1, 3, 3),
    "blocks.0.0.se.conv_reduce.weight": (8, 8, 1, 1),
    "classifier.bias": (1000,),
  },
  "efficientnet pytorch": {
    "_blocks.0._depthwise_conv.weight": (8, 1, 3, 3),
    "_blocks.15._se_reduce.weight": (8, 8, 1, 1),
    "_blocks.22._se_reduce.weight": (8, 8, 1, 1),
    "_fc.bias": (1000,),
  },
  "lite timm": {
    "blocks.0.0.conv_dw.weight": (8, 1, 3, 3),
    "classifier.bias": (1000,),
  },
  "lite pytorch": {
    "_blocks.15._project_conv.weight": (8, 8, 1, 1),
    "_fc.bias": (1000,),
  },
  "efficientnet torchvision": {
    "features.1.0.block.0.0.weight": (8, 1, 3, 3),
    "classifier.1.bias": (1000,),
  },
  "shufflenet": {"stage2.0.branch1.0.weight": (8, 1, 3, 3)},
  "vgg timm": {"pre_logits.fc1.weight": (8, 8, 7, 7)},
  "mixer timm": {
    "blocks.0.mlp_tokens.fc1.weight": (384, 196),
    "blocks.0.mlp_tokens.fc1.bias": (384,),
    "head.bias": (1000,),
  },
  "bit timm": {
    "stages.0.blocks.0.downsample.conv.weight": (8, 8, 1, 1),
    "head.fc.bias": (21843,),
  },
  "bit huggingface": {"bit.embedder.convolution.weight": (8, 3, 7, 7)},
}


NPZ = {
  "bit": {"resnet/root_block/standardized_conv2d/kernel": (7, 7, 3, 8)},
  "vit": {
    "Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel": (8, 8),
    "Transformer/posembed_input/pos_embedding": (1, 197, 8),
    "cls": (1, 1, 8),
  },
  "efficientnet": {"efficientnet-b1/stem/conv2d/kernel": (3, 3, 3, 32)},
  "lite": {"efficientnet-lite3/stem/conv2d/kernel": (3, 3, 3, 32)},
}


def write(path, keys):
  arrays = {key: np.zeros(shape, np.float32) for key, shape in keys.items()}
  files.write(path, arrays)
  return path


ONE = '"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'


def _one(**changes):
  fields = {"dtype": '"F32"', "shape": "[2]", "data_offsets": "[0,8]"}
  fields |= changes
  inner = ",".join(f'"{key}":{value}' for key, value in fields.items())
  return f'{{"a":{{{inner}}}}}'


def _two(first, second):
  one = f'"a":{{"dtype":"F32","shape":[1],"data_offsets":{first}}}'
  return f'{{{one},"b":{{"dtype":"F32","shape":[1],"data_offsets":{second}}}}}'


# Name -> header, bytes after it, whether safetensors 0.8.0 loads it.
HEADERS = {
  "right": (_one(), 8, True),
  "spaces before and behind": (f" {_one()} \n", 8, True),
  "unknown field": (_one(x='{"y": [1, -1.5, null]}'), 8, True),
  "metadata": (f'{{"__metadata__":{{"k":"v"}},{ONE}}}', 8, True),
  "no metadata": (f'{{"__metadata__":null,{ONE}}}', 8, True),
  "any order": (_two("[4,8]", "[0,4]"), 8, True),
  "no array": ("{}", 0, True),
  "half over float": (_one(dtype='"F16"'), 8, False),
  "double over float": (_one(dtype='"F64"'), 8, False),
  "unknown type": (_one(dtype='"f32"'), 8, False),
  "type is null": (_one(dtype="null"), 8, False),
  "longer shape": (_one(shape="[3]"), 8, False),
  "shorter shape": (_one(shape="[1]"), 8, False),
  "shape of fractions": (_one(shape="[2.0]"), 8, False),
  "shape of truth": (_one(shape="[true,2]"), 8, False),
  "negative shape": (_one(shape="[-2,-1]"), 8, False),
  "minus zero": (_one(data_offsets="[-0,8]"), 8, False),
  "shape over 64 bits": (_one(shape="[18446744073709551616]"), 8, False),
  "product over 64 bits": (
    _one(shape="[4294967296,4294967296,0]", data_offsets="[0,0]"),
    0,
    False,
  ),
  "reversed offsets": (_one(data_offsets="[8,0]"), 8, False),
  "moved offsets": (_one(data_offsets="[4,12]"), 12, False),
  "three offsets": (_one(data_offsets="[0,8,8]"), 8, False),
  "one offset": (_one(data_offsets="[8]"), 8, False),
  "short offsets": (_one(data_offsets="[0,4]"), 8, False),
  "gap": (_two("[0,4]", "[5,9]"), 9, False),
  "overlap": (_two("[0,4]", "[2,6]"), 6, False),
  "the same bytes": (_two("[0,4]", "[0,4]"), 4, False),
  "bytes behind": (_one(), 9, False),
  "bytes missing": (_one(), 7, False),
  "bytes behind nothing": ("{}", 1, False),
  "list": ("[]", 0, False),
  "text": ('"a"', 0, False),
  "null": ("null", 0, False),
  "entry is null": ('{"a":null}', 0, False),
  "entry is a number": ('{"a":1}', 0, False),
  "no shape": ('{"a":{"dtype":"F32","data_offsets":[0,8]}}', 8, False),
  "two types": (f'{{"a":{{"dtype":"F32",{_one()[6:]}', 8, False),
  "metadata of numbers": ('{"__metadata__":{"k":1}}', 0, False),
  "metadata is a list": ('{"__metadata__":[]}', 0, False),
  "two metadata": ('{"__metadata__":{},"__metadata__":{}}', 0, False),
  "not a number": (_one(x="NaN"), 8, False),
  "infinite": (_one(x="1e999"), 8, False),
  "half a character": (f'{{"\\ud800":{ONE[4:]}}}', 8, False),
  "deep": (_one(x="[" * 200 + "]" * 200), 8, False),
  "very deep": ("[" * 100_000, 0, False),
  "zero byte behind": (_one() + "\0", 8, False),
  "byte order mark": ("\ufeff" + _one(), 8, False),
  "cut": (_one()[:-1], 8, False),
}


def content(header, length):
  text = header.encode("utf-8", "surrogatepass")
  return struct.pack("<Q", len(text)) + text + bytes(length)

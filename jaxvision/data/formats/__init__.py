"""Files of many examples and their indexes: TFRecord, tar, npz and captions."""

__all__ = [
  "byte_ranges",
  "caption_files",
  "index_file",
  "npz",
  "packed_names",
  "refusal",
  "tar_groups",
  "tf_example",
  "tfrecords",
]

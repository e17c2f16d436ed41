"""Every key of a run: its meaning, its unit, its default.

A recipe starts from these and changes what it must:

  from jaxvision.configs import default

  def get_config(model="resnet50"):
    config = default.get_config()
    config.model.name = model
    return config

Durations are text with a unit: "500 steps", "10 epochs", "1e6 examples" or,
inside a run, "5 percent" of its steps. A bare number means steps. They are
converted to steps once, rounded to the nearest step; everything that happens
every so often is moved up to the next whole multiple of
train.steps_per_dispatch.

Rules are pairs (regex, value). The regex must match the whole path of a
parameter, as in "layer1_0/conv1/kernel"; the first rule that matches decides,
and a parameter that no rule matches is an error.

The type and range of each key stand in one table, jaxvision/keys.py; those of
the options of a function with the function's parameters: dropout lies in
[0, 1), b1 in [0, 1). Numbers are finite in float32. On a command line true,
false and none may be written in any case.
"""

from ml_collections import config_dict

ConfigDict = config_dict.ConfigDict


def get_config() -> ConfigDict:
  """The defaults of every key; locked, so that a misspelt key is an error."""
  config = ConfigDict()

  # Everything random follows from it: initial parameters, order of the
  # examples, augmentation, dropout. In [0, 2^32).
  config.seed = 0

  config.model = _model()
  config.data = _data()
  config.loss = _loss()
  config.optimizer = _optimizer()
  config.schedule = _schedule()

  # Exponential moving average of parameters and batch statistics, evaluated
  # beside them. After step t the old average keeps the share
  # min(decay, (1 + t) / (10 + t)). In [0, 1); 0 turns it off.
  config.ema = ConfigDict({"decay": 0.0})

  config.train = ConfigDict()
  # How long to train: a duration in steps, epochs or examples.
  config.train.duration = "10 epochs"
  # Examples per step, all devices and processes together; at most 2^20.
  config.train.batch_size = 128
  # Steps in one compiled call (lax.scan). More than 1 saves host work where a
  # step takes less than a few milliseconds; needs data.placement "device". Not
  # more than the run has; the run is rounded up to whole calls, with a warning.
  config.train.steps_per_dispatch = 1
  # Parts in which the gradient of a batch is computed, one after another: less
  # memory for the same gradient. Batch statistics, dropout and mixup are those
  # of the parts: see jaxvision/accumulation.py.
  config.train.accumulate = 1
  # What of the activations is not kept but computed again for the backward
  # pass: "none"; "blocks", all but the inputs of the model's blocks; or
  # "products", all but those and the results of Dense and convolutional layers.
  config.train.remat = "none"

  config.mesh = _mesh()
  config.precision = _precision()

  config.evaluate = ConfigDict()
  # A duration; the end of the run is always evaluated.
  config.evaluate.every = "1 epochs"
  # Examples per evaluation batch; 0 means train.batch_size.
  config.evaluate.batch_size = 0
  # Classifiers on the frozen features, measured at each evaluation on the
  # validation split: ("knn(k=20)", "fewshot", "pixels/lda"). They are fitted to
  # the whole training split, which is read for it: see jaxvision/probes.py.
  config.evaluate.probes = ()

  config.checkpoint = ConfigDict()
  # A duration; a new best evaluation and the end of the run are always saved.
  config.checkpoint.every = "1 epochs"
  # How many of the newest checkpoints stay, beside the best one.
  config.checkpoint.keep = 2
  # The metric that decides which is the best, larger is better: a name in
  # metrics.jsonl, of the validation split.
  config.checkpoint.best = "validation/top1"

  config.log = ConfigDict()
  # A duration: training metrics are averaged over it and written once. "" is 50
  # steps, or less if the run or its warm-up is short: at least 50 lines a run,
  # 5 of them in the warm-up.
  config.log.every = ""
  # Write TensorBoard event files too (WORKDIR/tensorboard).
  config.log.tensorboard = True
  # What one device can compute at most, FLOP/s, of which "mfu" is the share
  # that was used. 0 looks it up (jaxvision/accelerators.py); of a CPU nothing
  # is known.
  config.log.peak_flops = 0.0
  return config.lock()


def _mesh() -> ConfigDict:
  mesh = ConfigDict()
  # How the devices are arranged; the sizes multiply to their number, whatever
  # it is on the machine that the run is on now. Batches are split over all.
  # Groups of devices that a slower network joins; 0: the slices of a TPU.
  mesh.replica = 0
  # Inside such a group, devices that parameters are not split over; 0: what the
  # others leave.
  mesh.data = 0
  # Devices that share parameters, optimizer state and moving average; 0: all.
  mesh.fsdp = 1
  # Rules: "fsdp" splits the largest axis that mesh.fsdp divides of parameters
  # of at least 16384 numbers ("fsdp(min_size=1024)"); "replicate" leaves them
  # whole; (None, "fsdp") says what each axis is split along.
  mesh.rules = ((".*", "fsdp"),)
  return mesh


def _precision() -> ConfigDict:
  precision = ConfigDict()
  # Types are "float32" and "bfloat16". What parameters are kept in: in bfloat16
  # they lose updates that are small beside them.
  precision.parameters = "float32"
  # Products and activations: the option `dtype` of the model.
  precision.compute = "float32"
  # The logits; the loss is computed in float32.
  precision.output = "float32"
  # What the optimizer keeps from step to step, computing in float32. Momentum
  # bears bfloat16; second moments, as adam has them, hardly move in it.
  precision.optimizer = "float32"
  return precision


def _model() -> ConfigDict:
  model = ConfigDict()
  # A name that `jaxvision models` lists; or a function of your own,
  # "my_model.py:create". All names of functions below may be of your own files,
  # see docs/extending.md.
  model.name = "resnet18"
  # Keyword arguments of the model: `jaxvision models NAME` lists them.
  model.options = ConfigDict()
  # A file to start from: a path or an address, of any format that
  # `jaxvision.weights.load` reads; "" starts afresh. Its classifier is replaced
  # by one of zeros.
  model.weights = ""
  # Regular expressions: which parameters start afresh all the same, as in
  # ("head/.*",), and which arrays of the file are left out.
  model.ignore = ()
  return model


def _data() -> ConfigDict:
  data = ConfigDict()
  # "tfds": a tensorflow-datasets data set prepared on disk, as array_record or
  # TFRecord; "folder": one directory of images per class; "webdataset": tar
  # shards; "npz": arrays; "mixture": several of them by weights. Or a function
  # of your own, "my_data.py:load" or "package.module:load": it takes data.name
  # and returns {split: (images or paths, labels)} or {split: a
  # jaxvision.data.Dataset}; see jaxvision/data/datasets/own.py.
  data.kind = "tfds"
  # tfds: NAME or NAME:VERSION. folder, npz: the path. webdataset: the folder,
  # or a pattern as in "shards/*-train-*.tar". mixture: what you call it.
  data.name = "digits"
  # mixture only: (weight, kind, name, split) of each source, as in
  # ((3.0, "tfds", "cifar10", "train"), (1.0, "folder", "photos", "train")).
  # Training draws from them by their weights; split is what "train" below means
  # of the source, and its other splits keep their names. Classes are joined by
  # their names, those of the first source first.
  data.sources = ()
  # tfds only: where the data sets are; None means $TFDS_DATA_DIR, or
  # ~/tensorflow_datasets.
  data.data_dir = config_dict.placeholder(str)
  # Splits in the slicing syntax of TFDS, for all kinds: "train[:80%]",
  # "train+extra"; of a mixture, this part of each source that has it, and in
  # evaluation each example once. Empty: no such split.
  data.train = "train"
  data.validation = "validation"
  data.test = "test"
  # 0 infers it from the data; another number must agree with them.
  data.num_classes = 0
  # 3: all images are made RGB; 1: grey.
  data.channels = 3
  # Applied to one image after the other on the host:
  # ("random_resized_crop(224)", "random_flip").
  # Both may end with different sizes where the model takes images of any size,
  # as ResNets do; a model of one size (mlp, learned positions) needs the same.
  data.train_transforms = ()
  data.eval_transforms = ()
  # Applied to the training batch inside the compiled step, after
  # normalisation: ("random_crop(padding=4)", "random_flip",
  # "random_mixup(0.2)"); see jaxvision/data/device_transforms.
  data.device_transforms = ()
  # Pixels in [0, 1] become (pixel - mean) / std; one number, or one a channel:
  # the mean in [0, 1], the std above 0.
  # Empty, as in the recipes of transfer: what model.weights was trained with;
  # (0.5,) without weights.
  data.mean = (0.5,)
  data.std = (0.5,)
  # "host": batches are made and sent one by one. "device": for data up to 4 GiB
  # a split. The whole training split lies in the memory of each device, the
  # others are spread over the devices; only numbers of examples are sent, those
  # of a thousand batches at once.
  data.placement = "host"
  # Threads that read and decode, per process; at most 1024.
  data.threads = 4
  # Processes that do so in place of the threads, per process; 0: none. They
  # pay where more than about eight cores decode. What they make is the same. At
  # most 1024.
  data.workers = 0
  # The share of unreadable images that is tolerated, in [0, 1]. In training the
  # next readable one stands in for each; in evaluation they do not count.
  data.max_unreadable = 0.01
  # Pixels that an image may have as it is stored; one that claims more counts
  # as unreadable before anything is decoded. 250 million take 0.75 GB in RGB.
  data.max_pixels = 250_000_000
  return data


def _loss() -> ConfigDict:
  loss = ConfigDict()
  # softmax, sigmoid, square, hinge or squared_hinge.
  loss.name = "softmax"
  # softmax, sigmoid: label_smoothing, smoothing_form. square: k, M.
  # hinge, squared_hinge: delta. label_smoothing lies in [0, 1), k and M are
  # above 0, delta is at least 0.
  loss.options = ConfigDict()
  # Factor of the loss of the auxiliary classifier, where the model has one:
  # nasnet_a_* do with model.options {"auxiliary": True}.
  loss.auxiliary_weight = 0.4
  # Added to the loss: l1 * sum |w| and l2 / 2 * sum w^2 ...
  loss.l1 = 0.0
  loss.l2 = 0.0
  # ... over the parameters whose path this regex matches.
  loss.penalty_on = ".*kernel"
  return loss


def _optimizer() -> ConfigDict:
  optimizer = ConfigDict()
  # sgd, adagrad, rmsprop, adam, adamw, lamb, lars, lion or muon, as in optax;
  # or sgdw, whose weight decay does not go through the momentum.
  optimizer.name = "sgd"
  # Keyword arguments of the optax function: {"momentum": 0.9}. momentum, b1, b2
  # and decay lie in [0, 1); eps is at least 0.
  optimizer.options = ConfigDict()
  # At the end of the warm-up; not scaled by the batch size.
  optimizer.learning_rate = 0.1
  # adamw, lamb, lars, lion, muon, sgdw: their own weight decay, times the
  # learning rate. sgd, adagrad, rmsprop, adam: added to the gradient.
  optimizer.weight_decay = 0.0
  # Largest global norm of the gradient; 0 is no clipping.
  optimizer.gradient_clip = 0.0
  # Rules: factors of the learning rate, at least 0. None freezes the parameter,
  # and frozen layers work as in evaluation: their batch normalisations use and
  # keep the running averages, and dropout and drop path are off inside them. A
  # dropout between a frozen and a trained layer belongs to the trained one: it
  # acts. A linear probe is
  # (("head/.*", 1.0), (".*", None)); in ResNets the classifier is called fc.
  # ("(embedding|Transformer/(posembed|encoderblock_[01])).*|cls", None) freezes
  # the first two blocks of a ViT, and what is before them.
  optimizer.learning_rate_rules = ((".*", 1.0),)
  # A further factor of the learning rate from each layer to the one before, as
  # for BEiT and MAE (0.65 to 0.75), in (0, 1]; 1 is without. Layers are what
  # comes before the blocks, each block, and what comes after.
  optimizer.layer_decay = 1.0
  # Rules: factors of the weight decay, at least 0.
  optimizer.weight_decay_rules = ((".*kernel", 1.0), (".*", 0.0))
  # Radius of sharpness-aware minimisation (SAM); 0 is without.
  optimizer.sam_radius = 0.0
  return optimizer


def _schedule() -> ConfigDict:
  schedule = ConfigDict()
  # constant, cosine, linear, staircase, rsqrt or warmup_stable_decay.
  schedule.name = "cosine"
  # A duration in steps, epochs or examples: how long the schedule is; "" is as
  # long as the training. After its end the rate of its last step stays, and
  # percentages of the warm-up are of it.
  schedule.duration = ""
  # A duration: the learning rate rises linearly from 0.
  schedule.warmup = "0 steps"
  # Keyword arguments of the schedule, see jaxvision/schedules.py.
  schedule.options = ConfigDict()
  return schedule

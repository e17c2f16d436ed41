"""Every key of a run: its meaning, its unit, its default.

A recipe starts from these keys and changes some of them:

  from jaxvision.configs import default

  def get_config(model="resnet50"):
    config = default.get_config()
    config.model.name = model
    return config

Durations are text with a unit: "500 steps", "10 epochs", "1e6 examples" or,
inside a run, "5 percent" of its steps. A bare number means steps. They are
converted to steps once, and rounded to the nearest step. The steps of a
repeated action are rounded up to a multiple of train.steps_per_dispatch.

Rules are pairs (regex, value). The regex must match the whole path of a
parameter, as in "layer1_0/conv1/kernel". The first rule that matches decides.
A parameter without a matching rule is an error.

The type and range of each key are in one table, jaxvision/config/keys.py. The
types and ranges of the options of a function are in the parameters of the
function: dropout is in [0, 1), b1 in [0, 1). Numbers are finite in float32. On
a command line true, false and none may be written in any case.
"""

from ml_collections import config_dict

ConfigDict = config_dict.ConfigDict


def get_config() -> ConfigDict:
  """Returns the defaults of all keys; setting an unknown key is an error."""
  config = ConfigDict()

  # All random numbers depend on the seed: initial parameters, order of the
  # examples, augmentation, dropout. In [0, 2^32).
  config.seed = 0

  config.task = _task()
  config.model = _model()
  config.data = _data()
  config.loss = _loss()
  config.optimizer = _optimizer()
  config.schedule = _schedule()

  config.ema = _ema()

  config.train = ConfigDict()
  # The length of the training: a duration in steps, epochs or examples.
  config.train.duration = "10 epochs"
  # Examples per step, over all devices and processes; at most 2^20.
  config.train.batch_size = 128
  # Steps in one compiled call (lax.scan). A value above 1 reduces the host's
  # work if a step takes less than a few milliseconds. It needs data.placement
  # "device", and must not be larger than the number of steps of the run. The
  # run is rounded up to whole calls, with a warning.
  config.train.steps_per_dispatch = 1
  # Number of parts of a batch. The gradients of the parts are computed one
  # after another and combined: less memory for the same gradient. Batch
  # statistics, dropout and mixup are computed per part: see
  # jaxvision/training/step/accumulation.py.
  config.train.accumulate = 1
  # Which activations are recomputed in the backward pass instead of stored.
  # "none": no activation. "blocks": all except the inputs of the model's
  # blocks. "products": all except these inputs and the results of Dense and
  # convolutional layers.
  config.train.remat = "none"
  # Progressive resizing: (start, size) pairs, as in (("0 percent", 128),
  # ("40 percent", 160), ("70 percent", 224)). From each start on, a duration,
  # the compiled step reduces the images to this shorter side in pixels, at most
  # that of data.train_transforms. Evaluations keep their size. (): no resizing.
  config.train.image_sizes = ()
  # Early stopping: the run ends if checkpoint.best has not improved in this
  # number of evaluations. 0 takes all steps.
  config.train.patience = 0

  config.mesh = _mesh()
  config.precision = _precision()

  config.evaluate = ConfigDict()
  # A duration. The end of the run is always evaluated.
  config.evaluate.every = "1 epochs"
  # Examples per evaluation batch; 0 means train.batch_size.
  config.evaluate.batch_size = 0
  # Classifiers on the frozen features, measured at each evaluation on the
  # validation split: ("knn(k=20)", "fewshot", "pixels/lda"). They are fitted to
  # the whole training split: see jaxvision/evaluation/probes/probe.py.
  config.evaluate.probes = ()
  # Evaluations on other data, measured at each evaluation too:
  # ("backgrounds(root='data/in9')",). jaxvision/evaluation/suites.py lists
  # them. With a moving average they measure it.
  config.evaluate.suites = ()
  # Heat maps of the mistakes in the report, made once at the end: a method such
  # as "gradcam", for all of them. "auto": gradcam if it fits the model, else
  # gradient, for as many mistakes as 1e12 FLOPs suffice for. "": none.
  config.evaluate.explain = "auto"

  config.checkpoint = ConfigDict()
  # A duration. A new best evaluation and the end of the run are always saved.
  config.checkpoint.every = "1 epochs"
  # How many of the newest checkpoints are kept, in addition to the best one.
  config.checkpoint.keep = 2
  # The metric that selects the best checkpoint: a name in metrics.jsonl, of the
  # validation split. For a task without top1, the default means its first
  # metric.
  config.checkpoint.best = "validation/top1"
  # True: the end of the run restores the best checkpoint. The final evaluation
  # and the report are about it, and predict, evaluate, explain and export open
  # it unless --checkpoint names another one. False: the same with the last
  # checkpoint. An extended run continues from the last checkpoint in both
  # cases.
  config.checkpoint.restore_best = False

  config.log = ConfigDict()
  # A duration. Training metrics are averaged over it and written once. "" means
  # 50 steps, or fewer if the run or its warm-up is short: at least 50 lines a
  # run, and 5 lines in the warm-up.
  config.log.every = ""
  # Write TensorBoard event files too (WORKDIR/tensorboard). Trials of a sweep
  # that are trained together write them only if log.trackers names
  # "tensorboard".
  config.log.tensorboard = True
  # Experiment trackers: they receive the lines of metrics.jsonl. "wandb",
  # "mlflow", both with options, as in "mlflow(experiment='digits')", or your
  # own, "my_tracker.py:make": see docs/trackers.md. "tensorboard" writes the
  # event files even if log.tensorboard is False. A name that is given twice
  # counts once. (): none.
  config.log.trackers = ()
  # The peak of one device, in FLOP/s. "mfu" is the used share of it. 0 looks it
  # up in jaxvision/xla/accelerators.py. The peak of a CPU is not known.
  config.log.peak_flops = 0.0
  return config.lock()


def _ema() -> ConfigDict:
  ema = ConfigDict()
  # An average of parameters and batch statistics, exponential or equal. It is
  # evaluated too, as "validation_ema", and used by the commands that read the
  # run. Exponential moving average: at step t the old average has the weight
  # min(decay, (1 + t) / (10 + t)). In [0, 1); 0 turns it off.
  ema.decay = 0.0
  # Equal average (stochastic weight averaging, SWA): the first averaged step, a
  # duration above 0, as in "75 percent". Before it the average is the
  # parameters themselves. "" turns it off. It needs ema.decay = 0.
  ema.start = ""
  # A duration: the time between two averaged steps of the equal average.
  ema.every = "1 epochs"
  # A duration: the training batches on which the batch statistics of the equal
  # average are recomputed, before each evaluation after ema.start and at the
  # end. It costs a forward pass over them. "0 steps": they are averaged as the
  # parameters are. Models without batch statistics need none.
  ema.statistics = "1 epochs"
  return ema


def _mesh() -> ConfigDict:
  mesh = ConfigDict()
  # The device mesh. The product of the three sizes is the number of
  # devices of the current machine. Batches are split over all devices.
  # Groups of devices that are joined by a slower network; 0: the slices of a
  # TPU.
  mesh.replica = 0
  # Devices of such a group that parameters are not split over; 0: the remaining
  # devices.
  mesh.data = 0
  # Devices that parameters, optimizer state and moving average are split over;
  # 0: all.
  mesh.fsdp = 1
  # Rules. "fsdp" splits parameters of at least 16384 numbers
  # ("fsdp(min_size=1024)") along the largest axis that mesh.fsdp divides.
  # "replicate" does not split them. (None, "fsdp") gives the mesh axis of each
  # parameter axis.
  mesh.rules = ((".*", "fsdp"),)
  return mesh


def _precision() -> ConfigDict:
  precision = ConfigDict()
  # Types are "float32" and "bfloat16", and for products also "float16". The
  # type of the parameters. In bfloat16 they lose updates that are small
  # relative to the parameter.
  precision.parameters = "float32"
  # The type of products and activations: the option `dtype` of the model. With
  # "float16" the loss is multiplied by a scale that changes during training:
  # see jaxvision/optimizers/loss_scale.py.
  precision.compute = "float32"
  # The type of the logits. The loss is computed in float32.
  precision.output = "float32"
  # The type of the optimizer state. Updates are computed in float32. Momentum
  # works in bfloat16. Second moments, as in adam, hardly change in bfloat16.
  precision.optimizer = "float32"
  return precision


def _task() -> ConfigDict:
  task = ConfigDict()
  # The kind of training. "classification": one class per image. "multilabel":
  # sets of classes, with data.labels = "sets" and loss.name = "sigmoid".
  # "regression": real numbers, with data.labels = "numbers" and loss.name =
  # "squared_error". "distillation": to answer as the teachers do.
  # "adversarial": a generator and a critic of pairs of one class, see
  # docs/dagan.md. "captioning": texts, see docs/captioning.md. Or your own
  # function, "my_task.py:make", see jaxvision/tasks.
  task.name = "classification"
  # Keyword arguments of the task. distillation: loss, weights and the options
  # of the loss, as in {"loss": "hinton", "temperature": 20.0, "alpha": 0.9}.
  # jaxvision/losses/distillation.py lists them. The loss of labels is that of
  # the group "loss".
  task.options = ConfigDict()
  # The trained networks to learn from: run folders, and NAME@FILE with a model
  # and a file of weights, as in ("runs/teacher", "resnet152@resnet152.pth").
  # They see the images of the student after all transforms, in their own
  # normalisation. A run stores digests of them and resumes with the same ones.
  task.teachers = ()
  # The side of the square images of the teachers, in pixels. The images of the
  # student are resized to it in the step. 0: the size with which each teacher
  # is evaluated.
  task.teacher_image_size = 0
  # A folder for the logits of the teachers. They are computed once, for one
  # fixed view of each image, so random transforms are refused. "": the teachers
  # run in each step.
  task.teacher_logits = ""
  return task


def _model() -> ConfigDict:
  model = ConfigDict()
  # A name that `jaxvision models` lists, or your own function,
  # "my_model.py:create". All names of functions below may be in your own files:
  # see docs/extending.md.
  model.name = "resnet18"
  # Keyword arguments of the model. `jaxvision models NAME` lists them.
  model.options = ConfigDict()
  # A file of initial weights: a path or an address, in any format that
  # `jaxvision.weights.load` reads. "" means random initial weights. The
  # classifier of the file is replaced by zeros.
  model.weights = ""
  # Regular expressions. Parameters that match keep their initial values, as in
  # ("head/.*",). Arrays of the file that match are not used.
  model.ignore = ()
  return model


def _data() -> ConfigDict:
  data = ConfigDict()
  # "tfds": a tensorflow-datasets data set prepared on disk, as array_record or
  # TFRecord. "folder": one directory of images per class. "captions": images
  # with captions in a file of COCO, Karpathy or Flickr8k. "webdataset": tar
  # shards. "npz": arrays. "mixture": a weighted mixture of these. Or your own
  # function, "my_data.py:load" or "package.module:load": it takes data.name and
  # returns {split: (images or paths, labels)} or {split: a
  # jaxvision.data.Dataset}; see jaxvision/data/sources/python_function.py.
  data.kind = "tfds"
  # tfds: NAME or NAME:VERSION. folder, npz: the path. captions: the file of
  # captions, or its folder. webdataset: the folder, or a pattern as in
  # "shards/*-train-*.tar". mixture: any name.
  data.name = "digits"
  # mixture only: (weight, kind, name, split) of each source, as in ((3.0,
  # "tfds", "cifar10", "train"), (1.0, "folder", "photos", "train")). Training
  # draws from the sources by their weights. "train" below means this split of
  # the source; its other splits keep their names. Classes of the same name are
  # merged. The classes of the first source come first.
  data.sources = ()
  # tfds only: the folder of the data sets. None means $TFDS_DATA_DIR, or
  # ~/tensorflow_datasets.
  data.data_dir = config_dict.placeholder(str)
  # Splits in the slicing syntax of TFDS, for all kinds: "train[:80%]",
  # "train+extra". For a mixture, the slice of each source that has the split;
  # evaluation uses each example once. Empty: no such split.
  data.train = "train"
  data.validation = "validation"
  data.test = "test"
  # Cross-validation: the number of folds of the split data.train, at least 2; 0
  # turns it off. The run is validated on its fold and trained on the other
  # folds; data.validation is not used, and the test split stays. The folds have
  # the same share of each class, and depend on the data alone, so all seeds
  # share them. If labels are numbers, or there are none, folds are random. A
  # sweep over the folds: {"fold": sweep.folds(5)}, see docs/sweeps.md.
  data.folds = 0
  # The fold of the run: 0 to data.folds - 1.
  data.fold = 0
  # 0 infers it from the data. Another number must agree with the data.
  data.num_classes = 0
  # The kind of the labels. "classes": one class per image. "sets": any number
  # of classes, also none. "numbers": one or several real numbers. "none": no
  # labels. docs/data.md has the form of the labels for each kind of data.
  data.labels = "classes"
  # 3: all images are converted to RGB. 1: to grey.
  data.channels = 3
  # Sampling in training. "uniform" draws each example equally often, "balanced"
  # each class. If labels are sets of classes, an image is drawn for each of its
  # classes, and images without a class form one more class. An epoch has as
  # many draws as the split has examples.
  data.sampling = "uniform"
  # Applied to each image on the host: ("random_resized_crop(224)",
  # "random_flip").
  # The two may give different sizes if the model takes images of any size, as
  # ResNets do. A model of one size (mlp, learned positions) needs the same
  # size.
  data.train_transforms = ()
  data.eval_transforms = ()
  # Applied to the training batch inside the compiled step, after
  # normalisation: ("random_crop(padding=4)", "random_flip",
  # "random_mixup(0.2)"); see jaxvision/data/transforms/device.
  data.device_transforms = ()
  # Pixels in [0, 1] become (pixel - mean) / std. One number, or one per
  # channel: the mean in [0, 1], the std above 0.
  # Empty, as in the transfer recipes: the values of the training of
  # model.weights, or (0.5,) without weights.
  data.mean = (0.5,)
  data.std = (0.5,)
  # "host": batches are made on the host and sent one by one. "device": for data
  # up to 4 GiB a split. The whole training split is stored on each device. The
  # other splits are divided over the devices. Only the indices of the examples
  # are sent, for a thousand batches at once.
  data.placement = "host"
  # Threads that read and decode, per process; at most 1024.
  data.threads = 4
  # Processes that read and decode instead of the threads, per process; 0: none.
  # They are faster if more than about eight cores decode. The batches are the
  # same. At most 1024.
  data.workers = 0
  # The largest allowed share of unreadable images, in [0, 1]. In training each
  # one is replaced by the next readable image. In evaluation they are not
  # counted.
  data.max_unreadable = 0.01
  # The largest allowed number of pixels of a stored image. An image that
  # declares more is unreadable and is not decoded. 250 million take 0.75 GB in
  # RGB.
  data.max_pixels = 250_000_000
  return data


def _loss() -> ConfigDict:
  loss = ConfigDict()
  # One class per image: softmax, sigmoid, square, hinge, squared_hinge,
  # softmax_focal or sigmoid_focal. Sets of classes: sigmoid or sigmoid_focal.
  # Numbers: squared_error or huber.
  loss.name = "softmax"
  # softmax, sigmoid: label_smoothing, smoothing_form. square: k, M. hinge,
  # squared_hinge: delta. softmax_focal: gamma. sigmoid_focal: gamma, alpha.
  # huber: delta. label_smoothing is in [0, 1), k, M and the delta of huber are
  # above 0, the delta of the hinges and gamma are at least 0, alpha is in
  # [0, 1] or None.
  loss.options = ConfigDict()
  # Factors of the loss by class. (): none. ("balanced",): n / (k n_c) for a
  # class with n_c of the n training examples of k classes; the mean factor of
  # the examples is 1. Or a number above 0 for each class. The loss of a batch
  # is divided by the number of its examples, not by the sum of their factors.
  loss.class_weights = ()
  # Factor of the loss of the auxiliary classifier, if the model has one:
  # nasnet_a_* have one with model.options {"auxiliary": True}.
  loss.auxiliary_weight = 0.4
  # The penalty l1 * sum |w| + l2 / 2 * sum w^2 is added to the loss ...
  loss.l1 = 0.0
  loss.l2 = 0.0
  # ... for the parameters whose path matches this regex.
  loss.penalty_on = ".*kernel"
  return loss


def _optimizer() -> ConfigDict:
  optimizer = ConfigDict()
  # sgd, adagrad, rmsprop, adam, adamw, lamb, lars, lion or muon, as in optax;
  # sgdw, whose weight decay is not part of the momentum; or adafactor, with
  # the changes of "Scaling Vision Transformers".
  optimizer.name = "sgd"
  # Keyword arguments of the optax function: {"momentum": 0.9}. momentum, b1, b2
  # and decay are in [0, 1); eps is at least 0.
  optimizer.options = ConfigDict()
  # The rate at the end of the warm-up. It is not scaled by the batch size.
  optimizer.learning_rate = 0.1
  # sgd, adagrad, rmsprop, adam: the weight decay that is added to the gradient.
  # The others: the weight decay of the optimizer, times the learning rate.
  optimizer.weight_decay = 0.0
  # Largest global norm of the gradient; 0 means no clipping.
  optimizer.gradient_clip = 0.0
  # Rules: factors of the learning rate, at least 0. None freezes the parameter.
  # Frozen layers work as in evaluation: their batch normalisations use and keep
  # the running averages, and dropout and drop path are off inside them. A
  # dropout between a frozen and a trained layer belongs to the trained layer
  # and is on.
  # A linear probe is (("head/.*", 1.0), (".*", None)). In ResNets the
  # classifier is called fc.
  # ("(embedding|Transformer/(posembed|encoderblock_[01])).*|cls", None) freezes
  # the first two blocks of a ViT, and all layers before them.
  optimizer.learning_rate_rules = ((".*", 1.0),)
  # Layer-wise learning-rate decay: each layer has the learning rate of the next
  # layer times this factor, as for BEiT and MAE (0.65 to 0.75). In (0, 1]; 1
  # means no decay. The part before the blocks, each block, and the part after
  # the blocks count as layers.
  optimizer.layer_decay = 1.0
  # Rules: factors of the weight decay, at least 0.
  optimizer.weight_decay_rules = ((".*kernel", 1.0), (".*", 0.0))
  # Radius of sharpness-aware minimisation (SAM); 0 means no SAM.
  optimizer.sam_radius = 0.0
  return optimizer


def _schedule() -> ConfigDict:
  schedule = ConfigDict()
  # constant, cosine, linear, staircase, rsqrt, warmup_stable_decay or
  # one_cycle.
  schedule.name = "cosine"
  # A duration in steps, epochs or examples: the length of the schedule. ""
  # means the length of the training. After the end of the schedule the rate of
  # its last step is used. A warm-up in percent refers to this length.
  schedule.duration = ""
  # A duration: the learning rate rises linearly from 0. one_cycle has its own
  # rise and takes no warm-up.
  schedule.warmup = "0 steps"
  # one_cycle only: the smallest and the largest momentum, as in (0.85, 0.95).
  # The momentum falls to the first while the rate rises, and rises to the
  # second while the rate falls. It is the option "momentum" of the optimizer,
  # or "b1" if it has none, which optimizer.options then leaves out. (): the
  # momentum is constant.
  schedule.momentum = ()
  # Keyword arguments of the schedule: see jaxvision/schedules.py.
  schedule.options = ConfigDict()
  return schedule

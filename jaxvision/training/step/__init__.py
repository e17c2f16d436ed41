"""The step of a training: a state and a batch in, the next state out."""

__all__ = ["accumulation", "forward", "precision", "remat", "train_step"]

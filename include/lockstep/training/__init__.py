"""Training: the code that trains, features, fit, evaluation, model files, and candidates in the registry."""

from lockstep.training.audit import own_packages
from lockstep.training.portable import Scorer, load_scorer
from lockstep.training.predictor import Predictor
from lockstep.training.storage import load_model
from lockstep.training.train import Training, check_parameters, resolve_upstream, train_model, training_order

__all__ = [
    "Predictor",
    "Scorer",
    "Training",
    "check_parameters",
    "load_model",
    "load_scorer",
    "own_packages",
    "resolve_upstream",
    "train_model",
    "training_order",
]

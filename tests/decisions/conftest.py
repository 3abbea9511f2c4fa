"""The shop of the training tests, with a snapshot and trained models."""

from tests.training.conftest import declare, desk, shop_template, trained, trained_template

__all__ = ["declare", "desk", "shop_template", "trained", "trained_template"]

"""The shop of the training tests: its snapshot, and its first release."""

from tests.training.conftest import desk, released, released_template, shop_template, trained, trained_template

__all__ = ["desk", "released", "released_template", "shop_template", "trained", "trained_template"]

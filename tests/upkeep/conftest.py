"""Upkeep is tested on the registries that the registry is tested on."""

from tests.registry.conftest import uri

__all__ = ["uri"]

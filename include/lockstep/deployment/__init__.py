"""Deploying a release where models are served: all members to their endpoints, then all traffic at once."""

from lockstep.deployment.deploy import Done, deploy
from lockstep.deployment.target import VertexEndpoints, vertex_endpoints

__all__ = ["Done", "VertexEndpoints", "deploy", "vertex_endpoints"]

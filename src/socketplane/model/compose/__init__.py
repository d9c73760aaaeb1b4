"""Compose files as intent: which containers there will be, on which networks, and what they declare to need."""

from __future__ import annotations

from socketplane.model.compose.dotenv import parse_env
from socketplane.model.compose.load import load
from socketplane.model.compose.project import Attachment, Need, Project, ProjectNetwork, Publication, Service
from socketplane.model.compose.scene import Scene, stage

__all__ = [
    "Attachment",
    "Need",
    "Project",
    "ProjectNetwork",
    "Publication",
    "Scene",
    "Service",
    "load",
    "parse_env",
    "stage",
]

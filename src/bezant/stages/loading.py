"""Stages by name: from entry points of this and other packages, or by a dotted path."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from bezant.errors import ConfigError
from bezant.pipeline.conformance import check_declaration
from bezant.pipeline.stage import Stage
from bezant.stages.resources import Resources


def load_stage(name: str, implementation: str, resources: Resources) -> Stage:
    """Return a stage by entry point name or dotted path. Raises: ConfigError."""
    factory: Any = None
    for entry in entry_points(group="bezant.stages", name=implementation):
        factory = entry.load()
    if factory is None:
        module, _, attribute = implementation.partition(":")
        try:
            factory = getattr(import_module(module), attribute)
        except (ImportError, AttributeError, ValueError):
            raise ConfigError(
                f"pipeline.{name} = {implementation!r} is neither an entry point of the group "
                "'bezant.stages' nor a path like package.module:Class",
                param=f"pipeline.{name}",
            ) from None
    stage: Stage = factory(resources)
    check_declaration(stage)
    if stage.name != name:
        raise ConfigError(
            f"{implementation} is a {stage.name!r} stage, not {name!r}", param=f"pipeline.{name}"
        )
    return stage

"""What a person sees of a build: how far it is, what failed and where to read on, what it has made or would make."""

from common.pipeline.terminal.handler import attach

__all__ = ["attach"]

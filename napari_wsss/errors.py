"""Errors that reach a person as one line: the thing, what is wrong with it, and the remedy."""

from __future__ import annotations


class WsssError(Exception):
    """A failure with a message fit for a person. The command line exits with status 1."""


class UsageError(WsssError):
    """The person asked for something that does not exist or does not fit. Exit status 2."""


class UnreadableImage(WsssError):
    """An image file that cannot be read; the message names the file. Other images go on."""


class CannotFeed(WsssError):
    """A stage that this image's labels cannot feed; the pipeline skips it with one line."""


class MissingModel(WsssError):
    """Weights that are not on this machine; the message names the command that gets them."""


class Cancelled(WsssError):
    """The person cancelled. What was finished stays."""

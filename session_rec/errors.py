"""The errors a user can cause. The command line prints their sentence and exits with 2."""

from __future__ import annotations


class UserError(Exception):
    """Something the user gave cannot be used. The message says what, where, and what to do."""


class ConfigError(UserError):
    """A configuration file or option is wrong."""


class DataError(UserError):
    """An input file is missing, unreadable or holds nothing usable."""


class BundleError(UserError):
    """A model directory is missing, damaged or of an unknown format."""

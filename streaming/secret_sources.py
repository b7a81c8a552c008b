"""Secrets from the environment or from a file: never a setting, never in a process list."""

from __future__ import annotations

import os
from pathlib import Path

from session_rec.errors import ConfigError


def read_secret(variable: str | None, file: Path | None, what: str) -> str | None:
    """The secret in the environment variable or in the file; None where neither is named.

    Line ends around a file's content do not count.

    Args:
        what: names the secret in errors, such as ``Kafka password``.

    Raises:
        ConfigError: the variable is not set, the file cannot be read, or the secret is empty. The
            sentence never shows the secret.

    >>> os.environ["SHOP_PASSWORD"] = "swordfish"
    >>> read_secret("SHOP_PASSWORD", None, "Kafka password")
    'swordfish'
    >>> read_secret(None, Path("no-such-file"), "Kafka password")
    Traceback (most recent call last):
    session_rec.errors.ConfigError: no-such-file cannot be read (No such file or directory): \
it must hold the Kafka password
    """
    if variable:
        secret = os.environ.get(variable)
        where = f"the environment variable {variable}"
        if secret is None:
            raise ConfigError(f"{where} is not set: it must hold the {what}")
    elif file is not None:
        where = str(file)
        try:
            secret = file.read_text("utf-8").strip("\r\n")
        except OSError as e:
            raise ConfigError(
                f"{where} cannot be read ({e.strerror}): it must hold the {what}"
            ) from None
        except UnicodeDecodeError:
            raise ConfigError(f"{where} is not UTF-8: it must hold the {what}") from None
    else:
        return None
    if not secret:
        raise ConfigError(f"{where} is empty: it must hold the {what}")
    return secret

"""Settings of the daemon as a service: HTTP and logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, model_validator

from session_rec.config import Config
from session_rec.errors import ConfigError
from streaming.secret_sources import read_secret

_OLD_NAMES = {"metrics": "http", "metrics_host": "http_host", "metrics_port": "http_port"}
_LEAST_TOKEN = 16


class OperationSettings(Config):
    """How the daemon is watched and asked.

    Attributes:
        http: whether to serve ``/metrics``, ``/healthz``, ``/readyz`` and
            ``/sessions/ID/recommendations``.
        http_host: address to serve them on; any but this machine's own loopback wants a token.
        http_port: port to serve them on; 0 takes a free one and logs it.
        http_token_env: environment variable that holds the token that clients must give.
        http_token_file: file that holds it.
        recommendations_cache: newest slates kept for ``/sessions/ID/recommendations`` and the live
            hit rate, one a session, about 1 kB each; 0 switches both off.
        healthz_timeout_s: seconds that a round of the loop may take before ``/healthz`` says that
            it is stuck; if not given twice ``delivery_timeout_s``, to deliver and to commit, and a
            minute.
        log_level: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
        log_format: ``text``, or ``json`` for one JSON object a line.
    """

    http: bool = True
    http_host: str = Field("127.0.0.1", min_length=1)
    http_port: int = Field(9464, ge=0, le=65535)
    http_token_env: str | None = None
    http_token_file: Path | None = None
    recommendations_cache: int = Field(50_000, ge=0)
    healthz_timeout_s: float | None = Field(None, gt=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    _renamed: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _take_old_names(
        cls, values: Any, handler: ModelWrapValidatorHandler[OperationSettings]
    ) -> OperationSettings:
        if not isinstance(values, dict):
            return handler(values)
        old = tuple(name for name in _OLD_NAMES if name in values)
        for name in old:
            if _OLD_NAMES[name] in values:
                raise ValueError(
                    f"{name} is the old name of {_OLD_NAMES[name]}: give only the latter"
                )
        settings = handler({_OLD_NAMES.get(key, key): value for key, value in values.items()})
        settings._renamed = old
        return settings

    @model_validator(mode="after")
    def _one_token(self) -> OperationSettings:
        if self.http_token_env and self.http_token_file:
            raise ValueError("give the token in http_token_env or in http_token_file, not in both")
        return self

    def warnings(self) -> list[str]:
        """A sentence for each setting that goes by an old name."""
        return [
            f"the setting {name} is called {_OLD_NAMES[name]} now; its old name still works"
            for name in self._renamed
        ]

    def http_token(self) -> str | None:
        """The token that HTTP clients must give; None where none is set.

        Raises:
            ConfigError: it cannot be had, is too short or cannot stand in a header.
        """
        token = read_secret(self.http_token_env, self.http_token_file, "HTTP token")
        if token is not None and (
            len(token) < _LEAST_TOKEN or not token.isascii() or any(c.isspace() for c in token)
        ):
            raise ConfigError(
                f"{self.http_token_env or self.http_token_file}: the HTTP token must have at least "
                f"{_LEAST_TOKEN} characters, all ASCII, no space: try openssl rand -hex 32"
            )
        return token

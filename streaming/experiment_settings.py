"""The settings of an experiment: a champion and a challenger, each shown to sessions of its own."""

from __future__ import annotations

from pydantic import Field

from session_rec.config import Config
from session_rec.experiment_arms import Arms


class ExperimentSettings(Config):
    """The table ``[experiment]``, the same for all daemons of a service (docs/experiments.md).

    Attributes:
        name: of the experiment; each prediction says it. Any change of the others below wants
            another name.
        salt: what the draw depends on beside the session id; ``name`` if not given.
        challenger: its model directory; or, where ``model`` is a store, its name there.
        share: of the sessions that the challenger gets, between 0 and 1.
        max_errors: batches that the challenger cannot answer after which the experiment ends.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")
    salt: str | None = Field(None, min_length=1, max_length=1000)
    challenger: str = Field(min_length=1)
    share: float = Field(0.5, gt=0, lt=1)
    max_errors: int = Field(3, ge=1)

    @property
    def arms(self) -> Arms:
        """The draw."""
        return Arms(self.salt or self.name, self.share)

"""What a setting may be: a range of numbers, or a list of values."""

from __future__ import annotations

import math
from typing import Any, Protocol

from pydantic import model_validator

from session_rec.config import Config

#: A value that a setting can take.
Value = bool | int | float | str


class Suggests(Protocol):
    """The part of an Optuna trial that draws values."""

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int: ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...


class Dimension(Config):
    """The values of one setting: ``low`` to ``high``, both included, or ``choices``."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    """Equal factors are equally likely, not equal differences."""
    step: int | float | None = None
    """Only ``low``, ``low + step``, …, ``high``."""
    choices: tuple[Value, ...] = ()

    def holds(self, value: Any) -> bool:
        """Whether the setting may take ``value``.

        >>> Dimension(low=1, high=5, step=2).holds(3), Dimension(low=1, high=5, step=2).holds(4)
        (True, False)
        >>> Dimension(choices=("input", "output")).holds("both")
        False
        """
        if self.choices:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        low, high = self.bounds
        return low <= value <= high and (self.step is None or _whole((value - low) / self.step))

    @property
    def bounds(self) -> tuple[int | float, int | float]:
        """``low`` and ``high`` of a range."""
        assert self.low is not None and self.high is not None
        return self.low, self.high

    @property
    def is_whole(self) -> bool:
        """Whether a range is written in whole numbers only."""
        return all(isinstance(n, int) for n in (self.low, self.high, self.step or 1))

    def suggest(self, trial: Suggests, name: str, whole: bool) -> Value:
        """The value that ``trial`` draws; ``whole``: the setting is a whole number."""
        if self.choices:
            chosen: Value = trial.suggest_categorical(name, self.choices)
            return chosen
        low, high = self.bounds
        if whole:
            step = int(self.step or 1)
            return trial.suggest_int(name, int(low), int(high), step=step, log=self.log)
        step_size = None if self.step is None else float(self.step)
        return trial.suggest_float(name, float(low), float(high), step=step_size, log=self.log)

    def __str__(self) -> str:
        if self.choices:
            return "(" + ", ".join(map(str, self.choices)) + ")"
        text = f"{self.low} to {self.high}"
        return text + (f" in steps of {self.step}" if self.step is not None else "")

    @model_validator(mode="after")
    def _makes_sense(self) -> Dimension:
        numbers = (self.low, self.high, self.step)
        if self.choices:
            if any(n is not None for n in numbers) or self.log:
                raise ValueError("write either low and high, or choices")
            if len({(isinstance(c, bool), c) for c in self.choices}) < len(self.choices):
                raise ValueError("a value stands among the choices twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("write low and high, or choices")
        if not all(math.isfinite(n) for n in numbers if n is not None):
            raise ValueError("low, high and step must be finite")
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("with log, low must be above 0, and there is no step")
        if self.step is not None:
            if self.step <= 0:
                raise ValueError(f"step ({self.step}) must be above 0")
            if not _whole((self.high - self.low) / self.step):
                raise ValueError("from low to high must be a whole number of steps")
        return self


def _whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-9


def between(low: int | float, high: int | float, *, log: bool = False) -> Dimension:
    """A range.

    >>> str(between(0.5, 2))
    '0.5 to 2'
    """
    return Dimension(low=low, high=high, log=log)


def one_of(*choices: Value) -> Dimension:
    """A list of values.

    >>> str(one_of(64, 128))
    '(64, 128)'
    """
    return Dimension(choices=choices)

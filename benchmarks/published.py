"""Data sets with published figures: how many positions their protocol scores, and who got what."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Published(NamedTuple):
    """One published row; HR@20 and MRR@20 in percent."""

    system: str
    hr20: float
    mrr20: float
    source: str


class KnownData(NamedTuple):
    """A data set that is recognised by the fingerprint of its content.

    Attributes:
        name: what it is called.
        positions: scored positions of its test split at min_prefix 1.
        recipes: the recipes tuned on it, relative to the repository.
        rows: published figures on its test split.
    """

    name: str
    positions: int
    recipes: Path
    rows: tuple[Published, ...]


_HERE = "measured on this split"
_RECSYS_2025 = "RecSys_Evaluation 2025"

_DIGINETICA = KnownData(
    "Diginetica, SR-GNN split",
    60_858,
    Path("configs/quality/diginetica.toml"),
    (
        Published("session popularity, untuned", 21.08, 13.69, _HERE),
        Published("sequential rules, untuned", 33.51, 11.13, _HERE),
        Published("V-SkNN, untuned", 51.60, 18.26, _HERE),
        Published("SR-GNN", 50.73, 17.59, "its paper"),
        Published("GCE-GNN", 54.22, 19.04, "its paper"),
        Published("COTREC", 54.18, 19.07, "its paper"),
        Published("MSGIFSR (own preprocessing)", 55.4, 19.0, "authors' code"),
    ),
)

_RSC15_64 = KnownData(
    "YOOCHOOSE 1/64, session-rec split",
    5_596,
    Path("configs/quality/rsc15_64.toml"),
    (
        Published("session popularity, untuned", 34.52, 24.55, _HERE),
        Published("V-SkNN, untuned", 64.78, 31.33, _HERE),
        Published("NARM", 58.77, 29.86, _RECSYS_2025),
        Published("STAMP", 59.47, 28.05, _RECSYS_2025),
        Published("GCE-GNN", 63.85, 29.56, _RECSYS_2025),
        Published("COTREC", 64.55, 31.17, _RECSYS_2025),
        Published("GRU4Rec", 65.03, 31.65, _RECSYS_2025),
        Published("RecTools 0.19 SASRec, d=128, 8 epochs", 65.56, 31.82, _HERE),
    ),
)

_KNOWN: dict[str, KnownData] = {
    "0bd47ae09219616066fd17a972871542318d18346da69842adbf575e791372e7": _DIGINETICA,
    "002a11307c036a9486d2451f025b9c6bd463f0d0e6c63c2596de1d1602620bf2": _RSC15_64,
}


def known_data(fingerprint: str) -> KnownData | None:
    """The data set of this content, if it is one with published figures."""
    return _KNOWN.get(fingerprint)

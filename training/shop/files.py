"""The shop's files: clickstream.parquet, catalog.parquet, shop.json."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from session_rec.errors import DataError
from session_rec.files import new_directory
from training.shop.catalog import Catalog
from training.shop.clickstream import Clickstream
from training.shop.config import EVENT_TYPES, make_config
from training.shop.vocabulary import COUNTRIES, DEVICES
from training.shop.world import World, build_world

FORMAT_VERSION = 1
_ROW_GROUP = 500_000


def refuse_existing(out: Path, replace: bool) -> None:
    """Raises DataError where ``out`` cannot become a shop's directory, before work is done.

    Only a directory that holds a shop is ever replaced.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file: name a directory for the shop")
    if out.exists() and not replace:
        raise DataError(f"{out} is already there: choose another directory or add --replace")
    if out.exists() and any(out.iterdir()) and not (out / "shop.json").exists():
        raise DataError(f"{out} holds no generated shop: it is not replaced, choose another one")


def write_shop(out: Path, world: World, log: Clickstream, replace: bool = False) -> dict[str, int]:
    """Writes the three files into the directory ``out``, which appears whole or not at all.

    Returns the counts that ``shop.json`` records. Raises DataError as `refuse_existing` does.
    """
    counts = {
        "rows": len(log.ts),
        "sessions": len(log.bot),
        "visits": int(log.visit.max()) + 1,
        "bot_sessions": int(log.bot.sum()),
        "duplicate_rows": log.duplicates,
        "late_rows": log.late,
        "items": len(world.catalog.name),
        "categories": len(world.catalog.category_names),
    }
    description = {
        "format_version": FORMAT_VERSION,
        "config": world.config.model_dump(mode="json"),
        "counts": counts,
        "world": world.fingerprint(),
    }
    refuse_existing(out, replace)
    with new_directory(out, replace=replace) as tmp:
        pq.write_table(
            _clickstream_table(world, log), tmp / "clickstream.parquet", row_group_size=_ROW_GROUP
        )
        pq.write_table(_catalog_table(world.catalog), tmp / "catalog.parquet")
        data = msgspec.json.format(msgspec.json.encode(description), indent=2)
        (tmp / "shop.json").write_bytes(data + b"\n")
    return counts


def read_world(path: Path) -> World:
    """Returns the world that a ``shop.json`` describes, rebuilt from its config.

    Raises DataError where the file cannot be used or the rebuilt shop is not the recorded one.
    """
    try:
        description = msgspec.json.decode(path.read_bytes())
        config, recorded = description["config"], description["world"]
        version = description["format_version"]
    except FileNotFoundError:
        raise DataError(f"{path} is missing: run `session-rec generate` first") from None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise DataError(f"{path} is not the shop.json of a generated shop") from None
    if version != FORMAT_VERSION:
        raise DataError(f"{path} has format version {version}, this program reads {FORMAT_VERSION}")
    world = build_world(make_config(**config))
    if world.fingerprint() != recorded:
        raise DataError(
            f"{path}: its config rebuilds another shop here (another version of numpy or of this "
            "program wrote it); generate the shop again"
        )
    return world


def session_names(seed: int, count: int) -> list[str]:
    """Returns ``count`` unique opaque ids: an odd multiplier permutes the numbers below 2^48."""
    number = (np.arange(count, dtype=np.uint64) + np.uint64(1 + seed)) * np.uint64(0x9E3779B97F4B)
    return [f"{int(n):012x}" for n in number & np.uint64(2**48 - 1)]


def _coded(codes: NDArray[np.int64], words: list[str]) -> pa.Array:
    indices = pa.array(codes.astype(np.int32))
    return pa.DictionaryArray.from_arrays(indices, pa.array(words)).dictionary_decode()


def _clickstream_table(world: World, log: Clickstream) -> pa.Table:
    names = session_names(world.config.seed, len(log.bot))
    return pa.table(
        {
            "session_id": _coded(log.session, names),
            "item_id": _coded(log.item, world.catalog.item_id),
            "ts": pa.array(log.ts),
            "event_type": _coded(log.type, list(EVENT_TYPES)),
            "device": _coded(log.device[log.session], [name for name, _ in DEVICES]),
            "country": _coded(log.country[log.session], [name for name, _, _ in COUNTRIES]),
        }
    )


def _catalog_table(catalog: Catalog) -> pa.Table:
    return pa.table(
        {
            "item_id": catalog.item_id,
            "name": catalog.name,
            "category": _coded(catalog.category, catalog.category_names),
            "brand": catalog.brand_name,
            "price": np.round(catalog.price, 2),
            "first_seen": catalog.first_seen,
        }
    )

"""Where every consumed record went: the terms add up to the records, and the metrics prove it."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass
class Accounts:
    """Counts of the identity, and of what lies beside it.

    Attributes:
        consumed: records taken from the events topic with emission on.
        emitted: got a prediction.
        conflated: entered their session, but a newer event of it in the same poll spoke for it.
        duplicates: same session, item, ts and type as one before.
        late: older than stream time less the allowed lateness.
        outside: older than everything in a full buffer.
        over_cap: of a session faster than a person.
        dead_lettered: could not be used, put into the dead-letter topic.
        tombstones: null values: the session was erased.
    """

    consumed: int = 0
    emitted: int = 0
    conflated: int = 0
    duplicates: int = 0
    late: int = 0
    outside: int = 0
    over_cap: int = 0
    dead_lettered: int = 0
    tombstones: int = 0

    @property
    def accounted(self) -> int:
        """The sum of the terms; equals ``consumed``."""
        return sum(getattr(self, name) for name in TERMS)

    def add(self, other: Accounts) -> None:
        """Adds another account to this one."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))


#: The terms of the identity.
TERMS: tuple[str, ...] = tuple(f.name for f in fields(Accounts) if f.name != "consumed")


@dataclass
class Notices:
    """Counts of things worth knowing that no identity holds.

    Attributes:
        unknown_items: events of items that the catalog does not hold.
        fallbacks: predictions without a known item: the popular slate.
        out_of_order: predictions for events behind a newer one.
        key_mismatches: events whose record key is not their session id.
        redelivered: records delivered again, already in the state.
        rebuilt: records read again with emission off.
        lost: records that expired before they were read, accepted as lost.
        cut_records: records that expired although contexts live at the commit were made of them.
        cut_contexts: sessions live after such a rebuild that may lack events.
        snapshots_written, snapshots_loaded: of a partition's state.
        snapshots_refused: thrown away because they did not fit.
        empty_slates: predictions without an item.
        scoring_errors: batches that a model on trial could not answer; the one before it did.
        model_swaps: models taken over from the store.
        models_refused: pointers of the store that were not followed.
        model_rollbacks: models taken back because of how their slates turned out.
    """

    unknown_items: int = 0
    fallbacks: int = 0
    out_of_order: int = 0
    key_mismatches: int = 0
    redelivered: int = 0
    rebuilt: int = 0
    lost: int = 0
    cut_records: int = 0
    cut_contexts: int = 0
    snapshots_written: int = 0
    snapshots_loaded: int = 0
    snapshots_refused: int = 0
    empty_slates: int = 0
    scoring_errors: int = 0
    model_swaps: int = 0
    models_refused: int = 0
    model_rollbacks: int = 0

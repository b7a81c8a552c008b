"""The scores that each kind of model must give, from its library or its published formula.

Nothing here comes from ``session_rec``: contexts are lists of item ids, training sessions are cut
from the rows of ``train.parquet`` by the test, and a catalog row is the place of an id in the
sorted ids of that file. Only the modules of transformer and GRU are built by ``training``, to be
filled with the tensors of the checkpoint.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from parity_rows import Row, recorded_sessions, visits
from parity_two_stage import TwoStageFormula
from safetensors.numpy import load_file

Scores = NDArray[np.float64]

#: Settings of every kind, as its training gets them.
MODELS: dict[str, dict[str, Any]] = {
    "popularity": {},
    "session-popularity": {"decay": 0.7},
    "sequential-rules": {"steps": 6, "rules_per_item": 40, "newest_n": 4, "decay": 0.6},
    "vmis-knn": {
        "sessions_per_item": 60, "neighbours": 30, "newest_n": 8, "position_power": 1.1,
        "match_idf_power": 0.5, "recency_half_life_days": 0.4, "distance_scale": 3.0,
        "idf_power": 0.6, "own_boost": 0.5, "last_item_factor": 0.4,
    },
    "item2vec": {
        "algorithm": "skip-gram", "vector_size": 24, "window": 4, "shrink_window": True,
        "epochs": 4, "negative": 5, "ns_exponent": 0.5, "sample": 0.0, "alpha": 0.1,
        "min_alpha": 0.0001, "score_with": "output", "normalise_context": True,
        "normalise_items": False, "newest_n": 6, "decay": 0.7, "seed": 3, "workers": 1,
    },
    "transformer": {
        "d_model": 16, "n_heads": 2, "n_layers": 1, "max_length": 8, "epochs": 1,
        "learning_rate": 0.01, "temperature": 0.1, "threads": 1,
    },
    "gru4rec": {
        "d_model": 16, "hidden_size": 12, "n_layers": 2, "max_length": 8, "epochs": 1,
        "learning_rate": 0.01, "temperature": 0.1, "threads": 1,
    },
}  # fmt: skip
#: Each as it is alone, the main one first. A slate of 20 reaches below so few candidates.
PARTS = ("transformer", "vmis-knn", "sequential-rules")
MODELS["two-stage"] = {
    "parts": {kind: MODELS[kind] for kind in PARTS}, "depth": 10, "hidden": 8, "epochs": 4,
}  # fmt: skip


class Formulas:
    """Scores by kind for one prepared directory and its trained models.

    Args:
        prepared: what the preparation wrote.
        runs: where each training left its checkpoints, by kind: ``RUNS/KIND.run``.
    """

    def __init__(self, prepared: Path, runs: Path) -> None:
        self._runs = runs
        columns = pq.read_table(prepared / "train.parquet").to_pydict()
        names = ("session_id", "item_id", "ts", "type")
        rows = [Row(*r) for r in zip(*(columns[n] for n in names), strict=True)]
        self.count = Counter(r.item for r in rows)
        self.items = sorted(self.count)
        self.row = {item: n for n, item in enumerate(self.items)}
        cut = [v for clicks in recorded_sessions(rows).values() for v in visits(clicks)]
        cut.sort(key=lambda visit: visit[-1].ts)
        self.ended = [visit[-1].ts for visit in cut]
        self.sessions = [[c.item for c in visit] for visit in cut]

    def known(self, context: Sequence[str]) -> list[str]:
        """The items of a context that were trained on."""
        return [item for item in context if item in self.count]

    def scores(self, kind: str, contexts: Sequence[Sequence[str]]) -> Scores:
        """float64 [B, N]: every item's score after each context; training counts after one of
        which no item is known."""
        fallback = np.array([self.count[i] for i in self.items], float)
        out = np.tile(fallback, (len(contexts), 1))
        asked = [b for b, c in enumerate(contexts) if self.known(c)]
        known = [self.known(contexts[b]) for b in asked]
        if known and kind != "popularity":
            out[asked] = getattr(self, f"_{kind.replace('-', '_')}")(known)
        return out

    # Items that a model has no evidence for: below 0, by clicks, then by row.
    @cached_property
    def _tail(self) -> Scores:
        order = sorted(self.items, key=lambda i: (-self.count[i], i))
        place = {item: n for n, item in enumerate(order, 1)}
        return np.array([-place[i] / (len(self.items) + 1) for i in self.items])

    def _over_the_tail(self, evidence: list[dict[str, float]]) -> Scores:
        out = np.tile(self._tail, (len(evidence), 1))
        for b, found in enumerate(evidence):
            for item, score in found.items():
                out[b, self.row[item]] = score
        return out

    def _session_popularity(self, contexts: list[list[str]]) -> Scores:
        decay = MODELS["session-popularity"]["decay"]
        evidence = []
        for context in contexts:
            found: dict[str, float] = defaultdict(float)
            for age, item in enumerate(reversed(context)):
                found[item] += decay**age
            evidence.append(found)
        return self._over_the_tail(evidence)

    @cached_property
    def _rules(self) -> dict[str, dict[str, float]]:
        c = MODELS["sequential-rules"]
        weight: dict[str, dict[str, float]] = {i: defaultdict(float) for i in self.items}
        for session in self.sessions:
            for at, item in enumerate(session):
                for distance, later in enumerate(session[at + 1 : at + 1 + c["steps"]], 1):
                    weight[item][later] += 1 / distance
        kept = {}
        for item, rules in weight.items():
            best = sorted(rules.items(), key=lambda r: (-r[1], r[0]))[: c["rules_per_item"]]
            kept[item] = {later: w / sum(rules.values()) for later, w in best}
        return kept

    def _sequential_rules(self, contexts: list[list[str]]) -> Scores:
        """Kamehkhosh, Jannach and Ludewig (2017)."""
        c = MODELS["sequential-rules"]
        evidence = []
        for context in contexts:
            found: dict[str, float] = defaultdict(float)
            for age, item in enumerate(context[::-1][: c["newest_n"]]):
                for later, weight in self._rules[item].items():
                    found[later] += c["decay"] ** age * weight
            evidence.append(found)
        return self._over_the_tail(evidence)

    @cached_property
    def _sessions_of(self) -> dict[str, list[int]]:
        found = defaultdict(list)
        for s, session in enumerate(self.sessions):
            for item in set(session):
                found[item].append(s)
        return found

    @cached_property
    def _idf(self) -> dict[str, float]:
        return {i: math.log(1 + len(self.sessions) / len(s)) for i, s in self._sessions_of.items()}

    def _vmis_knn(self, contexts: list[list[str]]) -> Scores:
        """Ludewig and Jannach (2018); Kersbergen, Sprangers and Schelter (2022)."""
        return self._over_the_tail([self._votes(context) for context in contexts])

    def _votes(self, context: list[str]) -> dict[str, float]:
        c = MODELS["vmis-knn"]
        idf = self._idf
        newest = context[::-1][: c["newest_n"]]
        age = {item: newest.index(item) for item in newest}
        shared: dict[int, list[str]] = defaultdict(list)
        for item in age:
            for s in self._sessions_of[item][-c["sessions_per_item"] :]:
                shared[s].append(item)
        similarity = {}
        for s, items in shared.items():
            days = (self.ended[-1] - self.ended[s]) / 86_400_000
            similarity[s] = 2 ** (-days / c["recency_half_life_days"]) * sum(
                (age[i] + 1) ** -c["position_power"] * idf[i] ** c["match_idf_power"] for i in items
            )
        votes: dict[str, float] = defaultdict(float)
        for s in sorted(similarity, key=lambda s: (similarity[s], s))[-c["neighbours"] :]:
            session, match = self.sessions[s], min(shared[s], key=age.__getitem__)
            place = max(p for p, item in enumerate(session) if item == match)
            for p, item in enumerate(session):
                distance = max(abs(p - place) - 1, 0)
                decay = math.exp(-distance / c["distance_scale"])
                votes[item] += similarity[s] * decay * idf[item] ** c["idf_power"]
        for item in age.keys() & votes.keys():
            votes[item] *= 1 + c["own_boost"] / (age[item] + 1)
        votes[newest[0]] *= c["last_item_factor"]
        return votes

    @cached_property
    def _word2vec(self) -> Any:
        """gensim's own model, trained here on lines of item ids."""
        from gensim.models import Word2Vec

        c = MODELS["item2vec"]
        corpus = self._runs / "sessions-of-the-test.txt"
        corpus.write_text("".join(" ".join(s) + "\n" for s in self.sessions))
        return Word2Vec(
            corpus_file=str(corpus), vector_size=c["vector_size"], window=c["window"],
            shrink_windows=True, epochs=c["epochs"], negative=c["negative"],
            ns_exponent=c["ns_exponent"], sample=c["sample"], alpha=c["alpha"],
            min_alpha=c["min_alpha"], sg=1, min_count=1, seed=c["seed"], workers=1,
        )  # fmt: skip

    def _item2vec(self, contexts: list[list[str]]) -> Scores:
        c, model = MODELS["item2vec"], self._word2vec
        out = np.array([model.syn1neg[model.wv.key_to_index[i]] for i in self.items], float)
        out /= np.linalg.norm(out, axis=1).max()  # what the saved model does, to be within [-1, 1]
        vectors = []
        for context in contexts:
            newest = context[::-1][: c["newest_n"]]
            weights = c["decay"] ** np.arange(len(newest))
            units = np.array([model.wv.get_vector(i, norm=True) for i in newest], float)
            vectors.append(weights @ units / weights.sum())
        scores: Scores = np.array(vectors) @ out.T
        return scores

    @cached_property
    def _over_the_parts(self) -> TwoStageFormula:
        tensors = load_file(self._runs / "two-stage" / "weights.safetensors")
        vectors = next(t for name, t in self._best("transformer").items() if "item_id" in name)
        return TwoStageFormula(
            self.items,
            self.sessions,
            vectors[1:].astype(float),
            MODELS["two-stage"]["depth"],
            {n.removeprefix("reranker."): t for n, t in tensors.items() if "reranker." in n},
        )

    def _two_stage(self, contexts: list[list[str]]) -> Scores:
        """All NaN where float32 might rank a part's items otherwise."""
        parts = {kind: self.scores(kind, contexts) for kind in PARTS}
        lines = [
            self._over_the_parts.scores(
                context, [(scores[b], kind == "transformer") for kind, scores in parts.items()]
            )
            for b, context in enumerate(contexts)
        ]
        nothing = np.full(len(self.items), np.nan)
        return np.array([nothing if line is None else line for line in lines])

    def _transformer(self, contexts: list[list[str]]) -> Scores:
        return self._torch("transformer", contexts)

    def _gru4rec(self, contexts: list[list[str]]) -> Scores:
        return self._torch("gru4rec", contexts)

    def _torch(self, kind: str, contexts: list[list[str]]) -> Scores:
        """``transformers4rec.torch.Model`` with the best weights of the training's checkpoint."""
        import torch

        from training.transformer.config import Gru4RecConfig, TransformerConfig
        from training.transformer.model import build_model

        fields = {"transformer": TransformerConfig, "gru4rec": Gru4RecConfig}
        config = fields[kind](**MODELS[kind])
        model = build_model(len(self.items), config)
        saved = self._best(kind)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(torch.from_numpy(saved[name]))
        ids = torch.zeros(len(contexts), config.max_length, dtype=torch.int64)
        for b, context in enumerate(contexts):
            newest = context[-config.max_length :]
            ids[b, : len(newest)] = torch.tensor([self.row[i] + 1 for i in newest])
        model.eval()
        with torch.no_grad():
            scores: Scores = model({"item_id": ids})[:, 1:].double().numpy()
        return scores

    def _best(self, kind: str) -> dict[str, NDArray[np.float32]]:
        """The best weights in the training's checkpoint, by the parameter's name."""
        (checkpoint,) = (self._runs / f"{kind}.run" / "checkpoints").glob("step-*")
        saved = load_file(checkpoint / "tensors.safetensors")
        return {n.removeprefix("best/"): t for n, t in saved.items() if n.startswith("best/")}

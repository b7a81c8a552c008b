"""A start for the item table: what is clicked together lies together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from session_rec.ragged import Ragged

#: Pairs further apart than this in a session add too little (weight 1/distance) to pay for.
_WINDOW = 10


def cooccurrence_vectors(
    sessions: Ragged, n_items: int, dim: int, seed: int
) -> NDArray[np.float32]:
    """float32 [N, dim] with rows of length 1.

    Positive pointwise mutual information of item pairs within a session, each counted with
    1/distance, context counts raised to .75, factorised by truncated SVD (Levy, Goldberg and
    Dagan 2015). Items without pairs get random directions.
    """
    rng = np.random.default_rng([seed, 0xC00C])
    return unit_factors(ppmi(pair_counts(sessions, n_items)), dim, rng)


def unit_factors(
    matrix: sparse.csr_matrix, dim: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """float32 [N, dim] with rows of length 1: truncated SVD of a symmetric matrix [N, N]; rows
    without an entry get random directions."""
    n_items = matrix.shape[0]
    vectors = np.zeros((n_items, dim))
    rank = min(dim, n_items)
    vectors[:, :rank] = _left_factors(matrix, rank, rng)
    norms = np.linalg.norm(vectors, axis=1)
    alone = norms < 1e-9
    vectors[alone] = rng.standard_normal((int(alone.sum()), dim))
    start: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(
        np.float32
    )
    return start


def pair_counts(sessions: Ragged, n_items: int, window: int = _WINDOW) -> sparse.csr_matrix:
    """Symmetric [N, N]: pairs at most ``window`` apart, weighted 1/distance, no diagonal."""
    session_of = np.repeat(np.arange(len(sessions)), sessions.lengths)
    counts = sparse.csr_matrix((n_items, n_items))
    for distance in range(1, window + 1):
        left, right = sessions.rows[:-distance], sessions.rows[distance:]
        pairs = (session_of[:-distance] == session_of[distance:]) & (left != right)
        weight = np.full(int(pairs.sum()), 1 / distance)
        counts = counts + sparse.csr_matrix(
            (weight, (left[pairs], right[pairs])), shape=(n_items, n_items)
        )
    return sparse.csr_matrix(counts + counts.T)


def ppmi(counts: sparse.csr_matrix, discount: float = 0.0) -> sparse.csr_matrix:
    """Positive pointwise mutual information [N, N]; a count of n has n / (n + ``discount``) of
    its value (Pantel and Lin 2002): the PMI of rare pairs is mostly chance."""
    totals = np.asarray(counts.sum(axis=1)).ravel()
    smoothed = totals**0.75
    coo = counts.tocoo()
    if coo.nnz == 0:
        return counts
    expected = totals[coo.row] * smoothed[coo.col] / smoothed.sum()
    values = np.maximum(np.log(coo.data / expected), 0) * (coo.data / (coo.data + discount))
    return sparse.csr_matrix((values, (coo.row, coo.col)), shape=counts.shape)


def _left_factors(
    matrix: sparse.csr_matrix, rank: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Left singular vectors times the root of their values: randomised subspace iteration
    (Halko, Martinsson and Tropp 2011), many times faster here than an exact solver."""
    n = matrix.shape[0]
    basis = rng.standard_normal((n, min(rank + 32, n)))
    for _ in range(5):
        basis, _ = np.linalg.qr(matrix @ basis)
        basis, _ = np.linalg.qr(matrix.T @ basis)
    u, s, _ = np.linalg.svd(np.asarray(matrix @ basis), full_matrices=False)
    return np.asarray(u[:, :rank] * np.sqrt(s[:rank]))

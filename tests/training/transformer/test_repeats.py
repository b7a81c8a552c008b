"""The repeat gate: its probabilities by the formula, its loss, and what it learns."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from session_rec.ragged import Ragged
from training.transformer import loop
from training.transformer.config import TransformerConfig
from training.transformer.repeats import RepeatGate, with_repeats
from training.transformer.validation import validation_metrics

#: Two sessions of ids, the second one padded, and questions in both.
IDS = torch.tensor([[4, 2, 4, 1], [3, 5, 0, 0]])
ROW, LAST = torch.tensor([0, 0, 1]), torch.tensor([0, 2, 1])
D, ITEMS = 6, 5


def gate() -> RepeatGate:
    torch.manual_seed(3)
    made = RepeatGate(D, 5)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += torch.randn_like(parameter)
    return made


def probabilities(
    made: RepeatGate, states: torch.Tensor, scores: torch.Tensor
) -> list[dict[int, float]]:
    """Item -> probability of each question, number by number."""
    key, bias = made.key.weight.tolist(), made.key.bias.tolist()
    distances = made.by_distance.tolist()
    answers = []
    for row, last, line in zip(ROW.tolist(), LAST.tolist(), scores.tolist(), strict=True):
        h = states[row].tolist()
        read = []
        for place in range(last + 1):
            k = [sum(w * x for w, x in zip(key[i], h[place], strict=True)) for i in range(D)]
            match = sum((k[i] + bias[i]) * h[last][i] for i in range(D)) / math.sqrt(D)
            read.append(math.exp(match + distances[last - place]))
        odds = sum(w * x for w, x in zip(made.gate.weight[0].tolist(), h[last], strict=True))
        g = 1 / (1 + math.exp(-odds - made.gate.bias.tolist()[0]))
        total = sum(math.exp(s) for s in line[1:])
        answer = {i: (1 - g) * math.exp(line[i]) / total for i in range(1, ITEMS + 1)}
        for place, weight in enumerate(read):
            answer[int(IDS[row, place])] += g * weight / sum(read)
        answers.append(answer)
    return answers


def questions() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(4)
    scores = torch.randn(3, ITEMS + 1)
    scores[:, 0] = -torch.inf
    return torch.randn(2, 4, D), scores


def test_probabilities_and_losses_are_the_formula() -> None:
    made, (states, scores) = gate(), questions()
    wanted = probabilities(made, states, scores)
    raised = with_repeats(scores, made(states, ROW, LAST), IDS[ROW])
    got = torch.softmax(raised, dim=1)
    for line, answer in zip(got.tolist(), wanted, strict=True):
        np.testing.assert_allclose(line, [0.0, *answer.values()], atol=1e-6)
    # 4 repeats, 5 is new and 3 is the only item of its session but one.
    labels = torch.tensor([2, 4, 3])
    plain = F.cross_entropy(scores, labels, reduction="none")
    losses = made.losses(plain[:, None], states, IDS, ROW, LAST, labels[:, None])
    expected = [-math.log(a[int(label)]) for a, label in zip(wanted, labels, strict=True)]
    np.testing.assert_allclose(losses[:, 0].tolist(), expected, rtol=1e-5)


def test_what_comes_later_and_padding_change_nothing() -> None:
    made, (states, _) = gate(), questions()
    weights = made(states, ROW, LAST)
    changed = states.clone()
    changed[0, 3], changed[1, 2:] = 9.0, -9.0
    assert torch.equal(weights, made(changed, ROW, LAST))
    assert (weights[0, 1:] == -torch.inf).all() and (weights[2, 2:] == -torch.inf).all()


def test_gradients_are_finite_where_nothing_repeats() -> None:
    made, (states, scores) = gate(), questions()
    states.requires_grad_()
    scores = scores.requires_grad_()
    labels = torch.tensor([5, 5, 1])
    plain = F.cross_entropy(scores, labels, reduction="none")
    made.losses(plain[:, None], states, IDS, ROW, LAST, labels[:, None]).sum().backward()
    for tensor in (states, *made.parameters()):
        assert tensor.grad is not None and bool(torch.isfinite(tensor.grad).all())


def test_it_learns_whom_a_session_comes_back_to(tmp_path: Path) -> None:
    """Walks over 300 items of which every third step goes back to the first item: what a table of
    so few sessions cannot know, and the gate can."""
    rng = np.random.default_rng(0)
    sessions = []
    for _ in range(600):
        a, b, c = rng.choice(300, 3, replace=False).tolist()
        sessions.append([a, b, c, a])
    train, valid = Ragged.from_lists(sessions[:500]), Ragged.from_lists(sessions[500:])
    found = {}
    for has_gate in (False, True):
        config = TransformerConfig(
            d_model=16, n_heads=2, epochs=6, batch_size=32, num_negatives=0, learning_rate=1e-2,
            item_start="random", repeat_gate=has_gate, threads=1,
        )  # fmt: skip
        trained = loop.fit(train, valid, 300, config, run_dir=tmp_path / str(has_gate))
        found[has_gate] = validation_metrics(trained.model, valid, config)["mrr20"]
    # A third of the questions has the first item for an answer: the rest is chance.
    assert found[True] > 0.3 > 2 * found[False]

"""The parity suite at length: 100,000 live events, six partitions, daemons killed again and again.

``make soak`` runs it; what is compared, and with what, stands in ``test_parity``.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from broker_fixtures import Broker
from parity_case import Case, make_case
from parity_checks import check_formulas, check_in_process, check_live
from parity_formulas import MODELS
from parity_live import stream
from parity_shop import Size

pytestmark = pytest.mark.soak

LONG = Size(sessions=36_000, items=1_500, live_share=0.4, rare=400, bots=30)
PARTITIONS = 6
ENDS = ("kill", "term", "kill", "kill", "stop")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("parity-soak"), LONG)


@pytest.mark.parametrize("kind", MODELS)
def test_replay_evaluate_and_the_formulas_agree(
    case: Case, kind: str, record_property: Callable[[str, object], None]
) -> None:
    scored = case.scored(kind)
    positions = check_in_process(scored)
    assert positions > 60_000
    sample = case.sample(case.keys, each=40)
    at = [case.position[key] for key in sample]
    compared = check_formulas(
        case, kind, sample, [(scored.answers.slates[p], scored.answers.scores[p]) for p in at]
    )
    record_property("compared", f"{kind}: {positions} positions, {compared} by formula")


@pytest.mark.parametrize("kind", ["transformer", "item2vec"])
def test_live_predictions_are_replayed_and_evaluated_ones(
    case: Case, broker: Broker, kind: str, record_property: Callable[[str, object], None]
) -> None:
    live = stream(
        broker, case.models / kind, case.shop.live, ENDS, PARTITIONS, max_poll_records=500
    )
    compared = check_live(case, kind, live, ENDS)
    record_property("compared", f"{kind}, {broker.name}: {compared}")
    assert compared.records == len(case.shop.live) >= 100_000
    assert compared.partitions == PARTITIONS
    assert compared.in_step > 0.9 * compared.records
    assert min(compared.fates[f] for f in ("late", "duplicates", "outside")) >= 100

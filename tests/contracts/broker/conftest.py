"""Every test runs on both brokers, and where it takes a client, with both client libraries.

Of the four pairs of those one is left to `make soak`: what others' library finds at others' broker.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# pytest imports test files by path, so these folders are not ones that Python looks in.
sys.path.insert(0, str(Path(__file__).parents[2] / "streaming"))
sys.path.insert(0, str(Path(__file__).parent))

from broker_fixtures import Broker, apache_broker, broker, embedded_broker
from client_contract import Admin, Client
from confluent_client import ConfluentClient
from kafka_python_client import KafkaPythonClient
from protocol_client import ProtocolClient

__all__ = ["apache_broker", "broker", "embedded_broker"]

_CLIENTS = {c.name: c for c in (KafkaPythonClient, ConfluentClient)}


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if (params.get("broker"), params.get("client")) == ("apache", ConfluentClient.name):
            item.add_marker(pytest.mark.soak)


@pytest.fixture(params=list(_CLIENTS))
def client(request: pytest.FixtureRequest, broker: Broker) -> Iterator[Client]:
    """Both client libraries, one after the other."""
    made: Client = _CLIENTS[request.param](broker)
    yield made
    made.close()


@pytest.fixture
def admin(client: Client) -> Admin:
    return client.admin()


@pytest.fixture
def connect(broker: Broker) -> Iterator[Callable[[], ProtocolClient]]:
    """Opens connections: a request that waits for the group blocks its own."""
    clients: list[ProtocolClient] = []

    def open_one() -> ProtocolClient:
        clients.append(ProtocolClient(broker.bootstrap_servers))
        return clients[-1]

    yield open_one
    for each in clients:
        each.close()


@pytest.fixture
def wire(connect: Callable[[], ProtocolClient]) -> ProtocolClient:
    """One connection for single requests."""
    return connect()

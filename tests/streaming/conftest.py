"""Makes the broker fixtures known to every test of this folder."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# pytest imports test files by path, so the folder is not one that Python looks in.
sys.path.insert(0, str(Path(__file__).parent))

from broker_fixtures import Broker, apache_broker, embedded_broker, one_broker, some_broker

__all__ = ["apache_broker", "embedded_broker", "one_broker", "some_broker"]


@pytest.fixture
def broker(one_broker: Broker) -> Broker:
    """What brokers do alike is held in `tests/contracts/broker`: here one of them is enough."""
    return one_broker


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process sets the logging of the whole process."""
    root = logging.getLogger()
    names = (None, "kafka", "kafka.net.selector", "kafka.net.sasl")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = list(root.handlers)
    yield
    root.handlers[:] = [h for h in root.handlers if h in handlers] or handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)

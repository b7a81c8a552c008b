"""Lets the tests of this folder import the modules beside them, and gives them a broker."""

import sys
from pathlib import Path

import pytest
from broker_fixtures import APACHE_START, Broker

# pytest imports test files by path, so the folder is not one that Python looks in.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def some_broker(request: pytest.FixtureRequest) -> Broker:
    """The real broker where there is one, else the embedded one: for tests that mostly wait."""
    name = "apache_broker" if APACHE_START.exists() else "embedded_broker"
    found: Broker = request.getfixturevalue(name)
    return found

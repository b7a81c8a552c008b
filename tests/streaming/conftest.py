"""Makes the broker fixtures known to every test of this folder."""

import sys
from pathlib import Path

# pytest imports test files by path, so the folder is not one that Python looks in.
sys.path.insert(0, str(Path(__file__).parent))

from broker_fixtures import apache_broker, broker, embedded_broker

__all__ = ["apache_broker", "broker", "embedded_broker"]

"""Makes the helpers of this folder, and the brokers and daemons of the stream's tests, known."""

import sys
from pathlib import Path

# pytest imports test files by path, so these folders are none that Python looks in.
sys.path.insert(0, str(Path(__file__).parents[1] / "streaming"))
sys.path.insert(0, str(Path(__file__).parent))

from broker_fixtures import apache_broker, broker, embedded_broker

__all__ = ["apache_broker", "broker", "embedded_broker"]

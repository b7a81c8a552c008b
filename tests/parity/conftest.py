"""Makes the helpers of this folder, and the brokers and daemons of the stream's tests, known."""

import sys
from pathlib import Path

# pytest imports test files by path, so these folders are none that Python looks in.
_HERE = Path(__file__).parent
for _folder in (_HERE.parent / "streaming", _HERE):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from broker_fixtures import apache_broker, broker, embedded_broker

__all__ = ["apache_broker", "broker", "embedded_broker"]

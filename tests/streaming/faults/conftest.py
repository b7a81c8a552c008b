"""Lets the tests of this folder import the modules beside them."""

import sys
from pathlib import Path

# pytest imports test files by path, so the folder is not one that Python looks in.
sys.path.insert(0, str(Path(__file__).parent))

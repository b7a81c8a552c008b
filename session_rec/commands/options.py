"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JsonOut = Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")]

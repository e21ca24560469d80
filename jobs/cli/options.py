"""What several commands are given."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Run configuration (YAML); PERSONALAKE_CONFIG unless given."
    ),
]
LakeOption = Annotated[
    Path | None, typer.Option("--lake", help="Folder of the lake; <data>/lake unless given.")
]

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter and write to, away from pytest's, which only their owner may enter."""
    with tempfile.TemporaryDirectory(prefix="nritya-open-") as name:
        Path(name).chmod(0o777)
        yield Path(name)

"""What the tests of pictures share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loguru import logger


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """The sentences of warnings."""
    messages: list[str] = []
    handler = logger.add(lambda said: messages.append(said.record["message"]), level="WARNING")
    yield messages
    logger.remove(handler)

"""Tests of what only a server has: passwords, locks of one run alone, connections that break, and copies."""

import pytest

from kws.registry.location import locate


@pytest.fixture
def url(server):
    """A schema of the test's own that holds nothing yet."""
    return locate(server.url(server.new_schema()))

"""What the tests of an Ascend's graphs need."""

import platform

import pytest

from parity_tests.ascend.plugin import MACHINE
from parity_tests.conftest import need


@pytest.fixture(scope="session")
def need_plugin() -> None:
    need("mindspore")
    if platform.machine() != MACHINE:
        pytest.skip(f"the plugin's functions are called as on {MACHINE}, and this is {platform.machine()}")

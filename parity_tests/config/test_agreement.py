"""The one sentence about a file that is of another network than the configuration."""

import pytest

from segformer_core.config.agreement import check_agreement
from segformer_core.errors import WeightsError


def test_every_key_that_differs_is_named_with_both_values():
    pairs = {"backbone": ("mit_b2", "mit_b0"), "in_channels": (3, 3), "class_num": (7, 19)}
    with pytest.raises(WeightsError) as raised:
        check_agreement("x.pth has", pairs)
    assert str(raised.value) == (
        "x.pth has backbone mit_b2, class_num 7; the configuration has backbone mit_b0, class_num 19; set --backbone mit_b2 "
        "--class_num 7, or choose another file"
    )


def test_agreement_is_silent():
    check_agreement("x.pth has", {"backbone": ("mit_b0", "mit_b0")})

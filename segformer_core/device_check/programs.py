"""The checks that start programs of their own, in their order: the ladder, which takes longest, is the last."""

from collections.abc import Callable
from typing import Any

from segformer_core.device_check.epoch import epoch
from segformer_core.device_check.ladder import ladder
from segformer_core.device_check.two_cards import rank_table, two_cards
from segformer_core.device_check.workplace import Workplace

PROGRAMS: dict[str, Callable[[Workplace], dict[str, Any]]] = {
    "epoch": epoch,
    "two_cards": two_cards,
    "rank_table": rank_table,
    "ladder": ladder,
}

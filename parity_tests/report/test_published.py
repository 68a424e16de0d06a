"""Published weights, where SEGFORMER_WEIGHTS names a folder with them, against the logits that transformers states.

And where SEGFORMER_CITYSCAPES names the data set, against the paper's mIoU.
"""

import pytest

from parity_tests.report.published import (
    NotChecked,
    check,
    check_miou,
    cityscapes_folder,
    published,
    published_scores,
    weights_folder,
)

ROWS = {f"{row.model}, {row.source}": row for row in published()}
SCORES = {row.model: row for row in published_scores()}
HOURS = 12


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
@pytest.mark.parametrize("name", ROWS)
def test_logits_are_those_that_transformers_states(name, backend, request):
    request.getfixturevalue(f"need_{backend}")
    try:
        check(ROWS[name], weights_folder(), backend)
    except NotChecked as error:
        pytest.skip(str(error))


@pytest.mark.timeout(HOURS * 3600)
@pytest.mark.parametrize("backend", ["torch", "mindspore"])
@pytest.mark.parametrize("name", SCORES)
def test_the_miou_on_cityscapes_is_the_papers(name, backend, tmp_path, request):
    request.getfixturevalue(f"need_{backend}")
    try:
        check_miou(SCORES[name], weights_folder(), cityscapes_folder(), backend, tmp_path)
    except NotChecked as error:
        pytest.skip(str(error))

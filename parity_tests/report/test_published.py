"""Published weights, where SEGFORMER_WEIGHTS names a folder with them, against the logits that transformers states."""

import pytest

from parity_tests.report.published import NotChecked, check, published, weights_folder

ROWS = {f"{row.model}, {row.source}": row for row in published()}


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
@pytest.mark.parametrize("name", ROWS)
def test_logits_are_those_that_transformers_states(name, backend, request):
    request.getfixturevalue(f"need_{backend}")
    try:
        check(ROWS[name], weights_folder(), backend)
    except NotChecked as error:
        pytest.skip(str(error))

"""What MindSpore computes as matrix products on a CPU: the same numbers, and no index of each that stays in memory."""

import numpy as np
import pytest

from parity_tests.support import CONFIG, runtime_of

pytestmark = pytest.mark.usefixtures("need_mindspore")

ROWS, COLUMNS = 4096, 4096
MEGABYTES = ROWS * COLUMNS * 4 / 1e6


@pytest.fixture(scope="module", autouse=True)
def graphs():
    from backend_mindspore.device import connect

    connect(runtime_of("mindspore", CONFIG.runtime))


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def resident() -> float:
    """Megabytes."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


@pytest.mark.parametrize("kind", ["float32", "float16"])
@pytest.mark.parametrize(("shape", "factors"), [((3, 5, 7), (3, 1, 1)), ((2, 4, 3, 5), (2, 4, 1, 1)), ((1, 6, 4), (1, 1, 1))])
def test_scaled_is_the_product_and_its_gradient(shape, factors, kind):
    """The factors are float32, also where a branch computes in float16; its gradient then is float16."""
    import mindspore as ms

    from backend_mindspore.kernels import Scaled

    x, factor, scaled = ms.Tensor(numbers(*shape).astype(kind)), ms.Tensor(numbers(*factors)), Scaled()
    got, want = scaled(x, factor).asnumpy(), x.asnumpy() * factor.asnumpy()
    assert got.dtype == want.dtype == np.float32 and np.array_equal(got, want)
    slope = ms.Tensor(numbers(*shape[::-1]).reshape(shape))

    def summed(x):
        return (scaled(x, factor) * slope).sum()

    got, want = ms.grad(summed)(x).asnumpy(), (slope.asnumpy() * factor.asnumpy()).astype(kind)
    assert got.dtype == want.dtype and np.array_equal(got, want)


@pytest.mark.parametrize("condition", [True, False])
def test_chosen_is_the_one_or_the_other(condition):
    import mindspore as ms

    from backend_mindspore.kernels import chosen

    x, y = numbers(3, 4), np.full((3, 4), np.nan, np.float32)
    got = chosen(ms.Tensor(condition), ms.Tensor(x), ms.Tensor(y)).asnumpy()
    assert np.array_equal(got, x if condition else y, equal_nan=True)


@pytest.mark.parametrize("shape", [(2, 5, 300), (2, 300, 5), (1, 160, 170), (1, 200, 190)])
def test_transposed_moves_each_number(shape):
    import mindspore as ms

    from backend_mindspore.layers import to_map, to_tokens

    x = ms.Tensor(numbers(*shape))
    B, M, N = shape
    assert np.array_equal(to_tokens(x.reshape(B, M, N, 1)).asnumpy(), x.asnumpy().transpose(0, 2, 1))
    assert np.array_equal(to_map(x, (M, 1)).asnumpy()[..., 0], x.asnumpy().transpose(0, 2, 1))


@pytest.mark.parametrize(
    ("what", "shape"),
    [("scaled", (ROWS, COLUMNS)), ("transposed", (64, -1)), ("transposed", (-1, 64)), ("chosen", (ROWS, COLUMNS))],
)
def test_no_index_of_each_number_stays(what, shape):
    import mindspore as ms

    from backend_mindspore.kernels import Scaled, chosen
    from backend_mindspore.products import transposed_by_unit_matrix

    x, factor, scaled = ms.Tensor(numbers(ROWS * COLUMNS).reshape(1, *shape)), ms.Tensor(numbers(1, ROWS, 1)), Scaled()
    yes = ms.Tensor(True)

    @ms.jit
    def computed(x):
        if what == "scaled":
            return scaled(x, factor)
        return chosen(yes, x, ms.ops.exp(x)) if what == "chosen" else transposed_by_unit_matrix(x)

    @ms.jit
    def warmed(x):
        return ms.ops.sin(ms.ops.cos(x) + ms.ops.exp(x))

    warmed(x)  # from here on MindSpore has memory for what is computed
    before = resident()
    computed(x)
    assert resident() - before < MEGABYTES

"""Confusion matrices are compared with a plain loop, scores with numbers calculated by hand."""

import numpy as np
import pytest

from segformer_core.evaluation.metrics import confusion_matrix, near_ties, scores


def counted_by_loop(truth: np.ndarray, prediction: np.ndarray, class_count: int) -> np.ndarray:
    counts = np.zeros((class_count, class_count), np.int64)
    for row in range(truth.shape[0]):
        for column in range(truth.shape[1]):
            if truth[row, column] != 255:
                counts[truth[row, column], prediction[row, column]] += 1
    return counts


def scored_by_loop(counts: np.ndarray) -> tuple[list[float], ...]:
    iou, accuracy, precision, f1 = [], [], [], []
    for k in range(len(counts)):
        union = sum(counts[k]) + sum(row[k] for row in counts) - counts[k][k]
        iou.append(counts[k][k] / union if union else np.nan)
        accuracy.append(counts[k][k] / sum(counts[k]) if sum(counts[k]) else np.nan)
        predicted = sum(row[k] for row in counts)
        precision.append(counts[k][k] / predicted if predicted else np.nan)
        f1.append(2 * counts[k][k] / (sum(counts[k]) + predicted) if union else np.nan)
    return iou, accuracy, precision, f1


def random_labels(class_count: int, seed: int, missing: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    present = np.array([k for k in range(class_count) if k not in missing], np.uint8)
    truth, prediction = rng.choice(present, (2, 23, 37))
    truth[rng.random(truth.shape) < 0.2] = 255
    return truth, prediction


@pytest.mark.parametrize(("class_count", "missing"), [(1, ()), (2, ()), (19, ()), (19, (0, 7, 18)), (255, ())])
def test_counts_and_scores_equal_a_plain_loop(class_count: int, missing: tuple[int, ...]) -> None:
    truth, prediction = random_labels(class_count, class_count, missing)
    counts = confusion_matrix(truth, prediction, class_count)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, counted_by_loop(truth, prediction, class_count))
    iou, accuracy, precision, f1 = scored_by_loop(counts)
    result = scores(counts)
    np.testing.assert_allclose(result.iou, iou, rtol=1e-15)
    np.testing.assert_allclose(result.accuracy, accuracy, rtol=1e-15)
    np.testing.assert_allclose(result.precision, precision, rtol=1e-15)
    np.testing.assert_allclose(result.f1, f1, rtol=1e-15)
    assert result.miou == pytest.approx(np.nanmean(iou), rel=1e-15)
    assert result.macc == pytest.approx(np.nanmean(accuracy), rel=1e-15)
    assert result.aacc == pytest.approx((prediction == truth)[truth != 255].mean(), rel=1e-15)
    if class_count == 19:
        assert result.absent == missing


def test_scores_worked_out_by_hand() -> None:
    truth = np.array([[0, 0, 0, 0, 1], [1, 1, 255, 255, 3]], np.uint8)
    prediction = np.array([[0, 0, 0, 1, 1], [1, 2, 0, 2, 3]], np.uint8)
    counts = confusion_matrix(truth, prediction, 5)
    assert counts.tolist() == [[3, 1, 0, 0, 0], [0, 2, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [0] * 5]
    result = scores(counts)
    np.testing.assert_allclose(result.iou, [3 / 4, 2 / 4, 0, 1, np.nan])  # class 2 is only predicted: 0
    np.testing.assert_allclose(result.accuracy, [3 / 4, 2 / 3, np.nan, 1, np.nan])
    np.testing.assert_allclose(result.precision, [1, 2 / 3, 0, 1, np.nan])
    np.testing.assert_allclose(result.f1, [6 / 7, 4 / 6, 0, 1, np.nan])
    assert result.miou == pytest.approx((3 / 4 + 2 / 4 + 0 + 1) / 4)
    assert result.macc == pytest.approx((3 / 4 + 2 / 3 + 1) / 3)
    assert result.mprecision == pytest.approx((1 + 2 / 3 + 0 + 1) / 4)
    assert result.mf1 == pytest.approx((6 / 7 + 4 / 6 + 0 + 1) / 4)
    assert result.aacc == pytest.approx(6 / 8)
    assert result.absent == (4,)


def test_counts_of_parts_sum_to_the_whole() -> None:
    truth, prediction = random_labels(19, 3)
    parts = [confusion_matrix(truth[rows], prediction[rows], 19) for rows in (slice(5), slice(5, 6), slice(6, None))]
    whole = confusion_matrix(truth, prediction, 19)
    np.testing.assert_array_equal(sum(parts), whole)
    assert scores(sum(parts)).miou == scores(whole).miou


def test_nothing_to_score_is_nan_and_never_the_best() -> None:
    truth, prediction = np.full((3, 4), 255, np.uint8), np.zeros((3, 4), np.uint8)
    result = scores(confusion_matrix(truth, prediction, 3))
    assert np.isnan([result.miou, result.macc, result.aacc]).all()
    assert result.absent == (0, 1, 2)
    assert not result.miou > -np.inf


def test_predictions_under_ignored_pixels_may_be_anything() -> None:
    truth, prediction = np.array([[0, 255]], np.uint8), np.array([[0, 200]], np.uint8)
    assert confusion_matrix(truth, prediction, 2).tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("truth", "prediction", "complaint"),
    [
        ([[0, 2]], [[0, 1]], "not among the 2 classes"),
        ([[0, 1]], [[0, 2]], "not among the 2 classes"),
        ([[0, 1]], [[0], [1]], r"truth is \(1, 2\), prediction \(2, 1\); expected equal sizes"),
    ],
)
def test_labels_that_cannot_be_scored_are_refused(truth: list, prediction: list, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        confusion_matrix(np.array(truth, np.uint8), np.array(prediction, np.uint8), 2)


def test_a_near_tie_is_between_the_two_best():
    """Four pixels, whose best scores are 0.5e-4, 2e-4, 0.5e-4 and 5 apart; the third's two worst are equal."""
    scores = np.array([[1.0, 1.0, 1.0, 5.0], [1.00005, 1.0002, 1.00005, 0.0], [0.0, 0.0, 1.0, -5.0]])[None, :, None]
    assert near_ties(scores).tolist() == [[[True, False, True, False]]]
    assert near_ties(scores, 10.0).tolist() == [[[True, True, True, False]]]
    assert near_ties(scores[:, ::-1]).tolist() == [[[True, False, True, False]]], "the order of the classes does not matter"


def test_one_class_alone_is_never_a_tie():
    assert not near_ties(np.zeros((2, 1, 3, 4))).any() and near_ties(np.zeros((2, 1, 3, 4))).shape == (2, 3, 4)

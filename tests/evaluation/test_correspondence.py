"""Figures of many right answers against plain loops and against the package eccv_caption."""

import numpy as np
import pytest
from eccv_caption._metrics import compute_eccv_metrics, compute_r_at_k

from lib.errors import InputError
from lib.evaluation.correspondence import correspondence, precisions, recalls, retrieval_positions


def plain(ranking, right):
    """mAP@R and R-Precision of one query, as the paper writes them."""
    r = len(right)
    hits = [item in right for item in ranking[:r]]
    average = sum(sum(hits[: k + 1]) / (k + 1) for k in range(r) if hits[k]) / r
    return average, sum(hits) / r


def random_case(seed, queries=40, gallery=90):
    generator = np.random.default_rng(seed)
    scores = generator.standard_normal((queries, gallery)).astype(np.float32)
    answers = {
        q: generator.choice(gallery, generator.integers(1, 9), replace=False).tolist()
        for q in generator.choice(queries, queries // 2, replace=False).tolist()
    }
    return scores, answers


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equal_to_plain_loops_and_to_the_package(seed, columns):
    scores, answers = random_case(seed)
    matches = correspondence(answers)
    places = retrieval_positions(scores.T if columns else scores, matches, columns)
    rankings = {q: np.argsort(-scores[q]).tolist() for q in answers}
    expected = np.mean([plain(rankings[q], set(right)) for q, right in answers.items()], axis=0)
    found = precisions(places, matches)
    np.testing.assert_allclose(found, 100 * expected, atol=1e-10)
    theirs = compute_eccv_metrics(rankings, answers)
    assert found[0] == pytest.approx(100 * theirs["eccv_map_at_r"], abs=1e-10)
    assert found[1] == pytest.approx(100 * theirs["eccv_rprecision"], abs=1e-10)
    side = recalls(places, matches)
    for k, value in ((1, side.r1), (5, side.r5), (10, side.r10)):
        assert value == pytest.approx(100 * compute_r_at_k(rankings, answers, k), abs=1e-10)
    best = [min(rankings[q].index(a) for a in right) + 1 for q, right in answers.items()]
    assert side.mean_rank == pytest.approx(np.mean(best))


def test_many_chunks_are_one(monkeypatch):
    scores, answers = random_case(5)
    matches = correspondence(answers)
    whole = retrieval_positions(scores, matches)
    turned = retrieval_positions(scores.T, matches, columns=True)
    monkeypatch.setattr("lib.evaluation.correspondence.CHUNK_ROWS", 7)
    monkeypatch.setattr("lib.evaluation.correspondence.CHUNK_COLUMNS", 3)
    assert np.array_equal(retrieval_positions(scores, matches), whole)
    assert np.array_equal(retrieval_positions(scores.T, matches, columns=True), turned)
    assert np.array_equal(whole, turned)


def test_an_answer_that_no_gallery_holds_counts():
    scores = np.array([[0.9, 0.8, 0.1, 0.2]])
    matches = correspondence({0: [0, -1]})
    places = retrieval_positions(scores, matches)
    assert places.tolist() == [0, 4]
    assert precisions(places, matches) == (50.0, 50.0)
    assert recalls(places, matches).r1 == 100


def test_ties_count_against_the_model():
    flat = np.zeros((2, 6))
    matches = correspondence({0: [1, 2], 1: [0]})
    assert retrieval_positions(flat, matches).tolist() == [4, 5, 5]
    assert precisions(retrieval_positions(flat, matches), matches) == (0.0, 0.0)


def test_a_query_may_stay_out_of_its_own_answers():
    vectors = np.eye(3) + 0.1 * np.arange(3)
    matches = correspondence({0: [2], 2: [1]})
    scores = vectors @ vectors.T
    for query, answer in ((0, 2), (2, 1)):
        others = [j for j in np.argsort(-scores[query]) if j != query]
        place = retrieval_positions(scores, correspondence({query: [answer]}), alone=True)
        assert place.tolist() == [others.index(answer)]
    assert retrieval_positions(scores, matches, alone=True).max() <= 1


def test_nan_is_refused():
    scores = np.array([[0.1, np.nan, 0.3]])
    with pytest.raises(InputError, match="holds NaN"):
        retrieval_positions(scores, correspondence({0: [0]}))

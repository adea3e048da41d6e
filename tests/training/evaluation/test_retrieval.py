"""Retrieval in a space where the right ranks are known."""

import numpy as np
import pytest
from datasets import Dataset

from merit.training.evaluation.retrieval import retrieval_of


class Space:
    """A shared space in which every text has its own axis; the features of a recording are its embedding."""

    name, fingerprint = "space", None

    def __init__(self, texts):
        self.axis = {text: i for i, text in enumerate(sorted(set(texts)))}

    def embed_texts(self, texts):
        return np.eye(len(self.axis), dtype=np.float32)[[self.axis[text] for text in texts]]

    def project(self, features):
        return features


def reports(texts):
    return Dataset.from_dict({"report": texts, "patient_id": [str(i) for i in range(len(texts))]})


def test_retrieval_finds_matching_embeddings_and_accepts_identical_reports():
    texts = ["a", "b", "a", "c", "", "d"]
    space = Space(text for text in texts if text)
    features = np.stack([space.embed_texts([text or "a"])[0] for text in texts])
    to_report, to_ecg = retrieval_of(space, features, reports(texts), resamples=5)
    for result in (to_report, to_ecg):
        assert result["metrics"]["recall_at_1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
        assert result["metrics"]["median_rank"]["value"] == 1.0
        assert result["records"] == 5
    assert (to_report["candidates"], to_ecg["candidates"]) == (4, 5)


def test_ties_rank_the_right_answer_last():
    texts = [chr(97 + i) for i in range(26)]
    for result in retrieval_of(Space(texts), np.ones((26, 26), np.float32), reports(texts), resamples=5):
        assert result["metrics"]["recall_at_10"]["value"] == 0.0
        assert result["metrics"]["median_rank"]["value"] == 26.0


def test_a_closer_wrong_report_lowers_the_rank_of_the_right_one():
    texts = ["a", "b", "c"]
    space = Space(texts)
    features = space.embed_texts(["b", "b", "c"]) + 0.1 * space.embed_texts(texts)
    to_report, _ = retrieval_of(space, features, reports(texts), resamples=5)
    assert to_report["metrics"]["recall_at_1"]["value"] == pytest.approx(2 / 3, abs=1e-5)
    replicates = to_report["replicates"]["recall_at_1"]  # of three queries
    np.testing.assert_allclose(3 * replicates, np.round(3 * replicates), atol=1e-6)
    assert replicates.shape == (5,)

"""Measures of generated reports equal the libraries' own, and the parser reads what a report states and no more."""

import doctest
import re
import time
from types import SimpleNamespace

import nltk.corpus
import numpy as np
import pytest
from nltk.translate.bleu_score import corpus_bleu
from rouge_score.rouge_scorer import RougeScorer
from sklearn.metrics import f1_score, precision_score, recall_score

from merit.processing.glossary_merit import Glossary
from merit.training.evaluation import report_measures as measures
from merit.training.evaluation.report_measures import clinical_measures, report_measures, tokenize
from merit.training.text.statements import STATEMENTS, findings_in

REFERENCES = [
    "sinus rhythm. left axis deviation. left anterior fascicular block.",
    "sinus rhythm. normal ecg.",
    "atrial fibrillation with rapid ventricular response. non-specific st-t wave changes.",
    "sinus rhythm. old inferior myocardial infarction. premature ventricular contraction(s).",
]
GENERATED = [
    "sinus rhythm. left axis deviation. left bundle branch block.",
    "sinus rhythm. normal ecg.",
    "atrial fibrillation. normal axis. non-specific st-t wave changes.",
    "sinus rhythm. possible old inferior infarct.",
]
PATIENTS = np.array([1, 2, 3, 3])


@pytest.fixture
def without_wordnet(monkeypatch):
    def missing():
        raise LookupError("no WordNet")

    monkeypatch.setattr(nltk.corpus, "wordnet", SimpleNamespace(ensure_loaded=missing))


def stated(text):
    return set(findings_in(text))


def test_tokens_are_words_with_umlauts_numbers_and_signs():
    assert tokenize("Überdrehter Linkstyp, QRS(T) abnorm 4.46") == [
        *("überdrehter", "linkstyp", ",", "qrs", "(", "t", ")", "abnorm", "4.46")
    ]


@pytest.mark.parametrize(("generated", "references"), [(GENERATED, REFERENCES), (REFERENCES, GENERATED)])
def test_bleu_on_the_records_themselves_is_that_of_nltk(generated, references):
    found = report_measures(generated, references, PATIENTS, resamples=5)
    lists = [[tokenize(text)] for text in references], [tokenize(text) for text in generated]
    for order in range(1, 5):
        expected = corpus_bleu(*lists, weights=(1 / order,) * order)
        assert 0 < expected < 1
        assert found[f"bleu_{order}"]["value"] == pytest.approx(expected, abs=1e-5)


def test_bleu_of_a_resample_is_that_of_nltk_on_the_records_it_holds(monkeypatch):
    counts = np.array([[1, 2], [1, 0], [1, 3], [1, 1]], np.float32)
    monkeypatch.setattr(measures.metrics, "resample_counts", lambda patients, resamples: counts)
    monkeypatch.setattr(measures.metrics, "interval", lambda values, metric: {"value": values[0], "low": values[1]})
    found = report_measures(GENERATED, REFERENCES, PATIENTS)
    rows = np.repeat(np.arange(4), counts[:, 1].astype(int))
    expected = corpus_bleu([[tokenize(REFERENCES[i])] for i in rows], [tokenize(GENERATED[i]) for i in rows])
    assert found["bleu_4"]["low"] == pytest.approx(expected, abs=1e-5)
    assert found["bleu_4"]["low"] != found["bleu_4"]["value"]


def test_bleu_is_zero_where_an_order_has_no_match():
    found = report_measures(["sinus ecg."], ["sinus rhythm. normal ecg."], np.array([1]), resamples=1)
    assert found["bleu_2"]["value"] > 0
    assert found["bleu_3"]["value"] == found["bleu_4"]["value"] == 0


def test_rouge_is_the_mean_of_the_library_over_the_records():
    found = report_measures(GENERATED, REFERENCES, PATIENTS, resamples=2)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=SimpleNamespace(tokenize=tokenize))
    for name, key in (("rouge1", "rouge_1"), ("rouge2", "rouge_2"), ("rougeL", "rouge_l")):
        expected = np.mean([scorer.score(r, g)[name].fmeasure for g, r in zip(GENERATED, REFERENCES)])
        assert found[key]["value"] == pytest.approx(expected, abs=1e-5)


def test_when_two_german_words_differ_by_their_umlauts_then_they_do_not_match():
    found = report_measures(["mäßig"], ["müßig"], np.array([1]), resamples=1)
    assert found["rouge_1"]["value"] == 0
    assert report_measures(["mäßig"], ["MÄSSIG mäßig"], np.array([1]), resamples=1)["rouge_1"]["value"] > 0


def test_when_wordnet_is_missing_then_meteor_has_another_name(without_wordnet):
    found = report_measures(["premature beats."], ["premature beat."], np.array([1]), resamples=1)
    assert "meteor" not in found
    assert found["meteor_exact_stem"]["value"] > 0.9  # "beats" by its stem


def test_when_wordnet_is_installed_then_synonyms_match(monkeypatch):
    lemma = SimpleNamespace(name=lambda: "auricular")
    synset = SimpleNamespace(lemmas=lambda: [lemma])
    wordnet = SimpleNamespace(
        ensure_loaded=lambda: None, synsets=lambda word: [synset] if word in ("atrial", "auricular") else []
    )
    monkeypatch.setattr(nltk.corpus, "wordnet", wordnet)
    found = report_measures(["atrial"], ["auricular"], np.array([1]), resamples=1)
    assert "meteor_exact_stem" not in found
    assert found["meteor"]["value"] > 0


@pytest.mark.parametrize("references", [REFERENCES[:2], ["", "normal ecg."]])
def test_an_empty_text_scores_zero(references, without_wordnet):
    found = report_measures(["", ""], references, np.array([1, 2]), resamples=3)
    assert {name: figure["value"] for name, figure in found.items()} == dict.fromkeys(found, 0)


def test_a_written_report_scores_one_beside_itself_on_every_resample(without_wordnet):
    found = report_measures(REFERENCES, REFERENCES, PATIENTS, resamples=20)
    for name in found.keys() - {"meteor_exact_stem"}:
        assert found[name] == {"value": 1, "low": 1, "high": 1}
    assert found["meteor_exact_stem"]["value"] > 0.99


@pytest.mark.slow
def test_a_test_fold_takes_well_under_a_minute(without_wordnet):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.permutation(" ".join(REFERENCES).split())) for _ in range(600)]
    start = time.perf_counter()
    report_measures(texts, texts[::-1], np.arange(600))
    assert time.perf_counter() - start < 15


def test_lengths_that_differ_are_an_error():
    with pytest.raises(ValueError, match="2 generated, 1 references, 2 patients"):
        report_measures(["a", "b"], ["a"], np.arange(2))
    with pytest.raises(ValueError, match="0 generated"):
        clinical_measures([], [], np.arange(0))


def test_examples_of_the_documentation_run(without_wordnet):
    assert doctest.testmod(measures).failed == 0


def test_the_table_has_all_statements_of_ptbxl():
    assert len(STATEMENTS) == 71
    assert set(STATEMENTS) <= set(Glossary.default().findings)


# The table says why it differs from the glossary on an anterior infarct and on T waves that are only flat.
@pytest.mark.parametrize("language", ["english", "german"])
@pytest.mark.parametrize("code", STATEMENTS)
def test_a_statement_is_found_in_some_phrasing_of_the_glossary(code, language):
    if (code, language) not in [("AMI", "english"), ("AMI", "german"), ("LOWT", "german")]:
        assert any(code in findings_in(phrase) for phrase in getattr(Glossary.default().findings[code], language))


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("", ""),
        ("sinus rhythm. normal ecg.", "SR NORM"),
        ("sinusrhythmus lagetyp normal normales ekg", "SR NORM"),
        ("sinus rhythm. no definite pathology.", "SR NORM"),
        ("prolonged qt. otherwise no definite pathology.", "LNGQT"),
        ("Sinusrhythmus. Linksanteriorer Hemiblock.", "SR LAFB"),
        ("left anterior fascicular block.", "LAFB"),
        ("sinus rhythm. normal axis. pr interval is normal.", "SR"),
        ("incomplete right bundle branch block.", "IRBBB"),
        ("incomplete right bundle branch block. left bundle-branch block.", "IRBBB CLBBB"),
        ("unvollständiger rechtsschenkelblock", "IRBBB"),
        ("vollständiger Linksschenkelblock", "CLBBB"),
        ("bifascicular block.", "CRBBB LAFB"),
        ("first degree av block. prolonged pr interval.", "1AVB LPR"),
        ("a-v block i lagetyp normal", "1AVB"),
        ("av-block iii. grades", "3AVB"),
        ("premature ventricular contraction(s).", "PVC"),
        ("ventricular premature complexes, bigeminy.", "PVC BIGU"),
        ("premature atrial contraction(s).", "PAC"),
        ("supraventrikuläre extrasystole(n) sinusrhythmus", "PAC SR"),
        ("ventrikuläre extrasystole(n) vorhofflimmern/-flattern", "PVC AFIB"),
        ("atrial flutter with 2:1 av block.", "AFLT 2AVB"),
        ("qrs(t) abnorm inferiorer infarkt alter unbest.", "ABQRS IMI"),
        ("inferior, posterior and lateral infarct.", "IPLMI"),
        ("infero-lateral infarct.", "ILMI"),
        ("anterior infarct, age undetermined.", "ASMI"),
        ("hochlateraler infarkt nicht auszuschliessen", "LMI"),
        ("possible inferior myocardial damage.", "IMI"),
        ("myocardial ischaemia cannot be excluded.", "ISC_"),
        ("findings are likely to be due to ischaemic heart disease.", ""),
        ("probably anterolateral ischaemia or left ventricular strain.", "ISCAL"),
        ("anterior subendocardial damage.", "INJAS"),
        ("voltages are high in chest leads suggesting lvh.", "VCLVH LVH"),
        ("right ventricular hypertrophy. septal hypertrophy.", "RVH SEHYP"),
        ("biatrial enlargement.", "LAO/LAE RAO/RAE"),
        ("st segments are depressed in i, avl. t waves are low or flat.", "STD_ LOWT"),
        ("minor non-specific st segment depression in v4,5,6.", "STD_"),
        ("st segments are depressed and t waves inverted in i.", "STD_"),
        ("t negativ in v4-6", "INVT"),
        ("unspezifisches abnormes t", "NDT"),
        ("non-specific t wave flattening in i, avl.", "NT_"),
        ("bradycardia of unknown cause.", "SBRAD"),  # a name of the glossary, not in the table
        ("the moon is made of cheese.", ""),
    ],
)
def test_a_report_states_these_codes_and_no_others(text, codes):
    assert stated(text) == set(codes.split())


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("no acute infarct.", ""),
        ("no ecg evidence of recent inferior infarct. left bundle branch block.", "CLBBB"),
        ("sinus rhythm without left bundle branch block.", "SR"),
        ("kein vorhofflimmern, sinusrhythmus", "SR"),
        ("ohne linkshypertrophie.", ""),
        ("inferior infarct is not seen.", ""),
        ("septal hypertrophy rather than old inferior infarct.", "SEHYP"),
        ("may be at increased risk of developing complete heart block.", ""),
        ("no definite pathology. first degree av block.", "NORM 1AVB"),
        ("keine p-welle erkannt linksschenkelblock", "CLBBB"),
        ("inferiorer infarkt nicht auszuschliessen hochlateraler infarkt", "IMI LMI"),
        ("sinus rhythm. not only is there atrial flutter", "SR"),
    ],
)
def test_what_is_denied_is_not_stated_and_what_is_uncertain_is(text, codes):
    assert stated(text) == set(codes.split())


def test_agreement_is_that_of_scikit_learn():
    codes = [["SR", "LAFB"], ["NORM", "SR"], ["AFIB", "NST_"], ["SR", "IMI", "PVC"]]
    found = clinical_measures(GENERATED * 10, codes * 10, np.arange(40), resamples=5)
    target, called = (
        np.array([[code in one for code in STATEMENTS] for one in sets])
        for sets in (codes * 10, [findings_in(text) for text in GENERATED * 10])
    )
    frequent = target.sum(0) >= 10
    assert found["macro"]["codes"] == frequent.sum() == 7
    for name, score in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        micro = score(target, called, average="micro")
        macro = score(target[:, frequent], called[:, frequent], average="macro", zero_division=0)
        assert found["micro"][name]["value"] == pytest.approx(micro, abs=1e-5)
        assert found["macro"][name]["value"] == pytest.approx(macro, abs=1e-5)
        assert found["micro"][name]["low"] <= found["micro"][name]["value"] <= found["micro"][name]["high"]
    assert found["per_code"]["SR"] == {"value": 1, "low": 1, "high": 1, "positives": 30, "stated": 30}
    assert found["per_code"]["LAFB"]["value"] == 0
    assert "CLBBB" not in found["per_code"]


def test_rare_codes_are_left_out_of_the_macro_figures():
    texts, codes = ["sinus rhythm."] * 10 + ["left bundle branch block."], [["SR"]] * 10 + [["WPW"]]
    found = clinical_measures(texts, codes, np.arange(11), resamples=3)
    assert found["macro"]["codes"] == 1
    assert found["macro"]["f1"]["value"] == 1
    assert found["per_code"]["WPW"]["value"] == 0


def test_a_normal_ecg_with_pathology_contradicts_itself_but_an_otherwise_normal_one_does_not():
    texts = [
        "normal ecg. old inferior infarct.",
        "first degree av block. otherwise normal ecg.",
        "sinus bradycardia. normal ecg.",
        "atrial fibrillation.",
    ]
    found = clinical_measures(texts, [[]] * 4, np.arange(4), resamples=3)["contradictions"]
    assert found["normal_with_pathology"]["value"] == 0.25
    assert found["wrong_side"]["value"] is None


def test_the_wrong_side_is_counted_among_records_that_have_one():
    texts = ["left bundle branch block.", "right bundle branch block.", "right atrial enlargement.", "normal ecg."]
    codes = [["CRBBB"], ["IRBBB"], ["LAO/LAE", "RAO/RAE"], ["LVH"]]
    found = clinical_measures(texts, codes, np.arange(4), resamples=3)
    assert found["contradictions"]["wrong_side"]["value"] == pytest.approx(1 / 3, abs=1e-5)


def test_findings_and_different_texts_are_counted():
    texts = ["sinus rhythm. normal ecg.", "", "sinus rhythm. normal ecg.", "pacemaker ecg."]
    found = clinical_measures(texts, [["SR"]] * 4, np.arange(4), resamples=3)
    assert found["states_a_finding"]["value"] == 0.25
    assert found["distinct"] == 0.75


def test_a_code_that_is_no_statement_is_an_error():
    with pytest.raises(ValueError, match=re.escape("MI, XYZ: no statement of PTB-XL")):
        clinical_measures(["sinus rhythm."], [["SR", "XYZ", "MI"]], np.array([1]))

"""Archives to tables: which recordings are found, what a row holds, failures as rows, stops and several processes."""

import json
import os
import re
import shutil
import signal
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from forked_merit import ForkedMerit, until
from wfdb_files import write_record

from merit.listing import Listing, write_listing
from merit.predict import Predictor, predict

LABELS = ["tall T waves"]


@pytest.fixture(scope="module")
def labelled(untrained, tmp_path_factory):
    """A dual encoder with two learned labels."""
    import torch

    from merit import MeritModel
    from merit.hub_cards.export import export

    model, processor = untrained
    config = type(model.config).from_dict({**model.config.to_dict(), "learned_labels": ["AFIB", "NORM"]})
    torch.manual_seed(0)
    learned = MeritModel(config)
    learned.load_state_dict(
        {name: value for name, value in model.state_dict().items() if "decoder." not in name}, strict=False
    )
    torch.nn.init.normal_(learned.label_weight)
    return export(learned, processor, tmp_path_factory.mktemp("exported") / "labelled")


@pytest.fixture(scope="module")
def archive(simulated, tmp_path_factory):
    """Ten recordings in two folders, a broken table, DICOM file and WFDB record, and a text."""
    root = tmp_path_factory.mktemp("archive")
    for number, header in enumerate(sorted(simulated.glob("records100/*/*.hea"))[:10]):
        folder = root / ("a" if number < 6 else "b/deep")
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in (".hea", ".dat"):
            shutil.copy(header.with_suffix(suffix), folder)
    (root / "a" / "broken.csv").write_text("time,II\nnothing,here\n")
    (root / "b" / "lost.hea").write_text("lost 1 100 1000\nlost.dat 16 1000 16 0 0 0 0 II\n")
    (root / "notes.txt").write_text("not a recording")
    (root / "image").write_bytes(bytes(128) + b"DICM")
    return root


@pytest.fixture(scope="module")
def predicted(archive, labelled, tmp_path_factory):
    output = tmp_path_factory.mktemp("predicted")
    done = predict(
        [archive], labelled, output, labels=LABELS, embeddings=True, part_size=5, batch_size=3, progress=False
    )
    return output, done


def table(folder):
    parts = [pd.read_parquet(path) for path in sorted(Path(folder).glob("part-*.parquet"))]
    return pd.concat(parts, ignore_index=True)


def assert_same_tables(one, other):
    pd.testing.assert_frame_equal(table(one), table(other), rtol=1e-4, atol=1e-6)


def test_a_row_holds_what_the_pipelines_answer(predicted, labelled):
    from transformers import pipeline

    rows = table(predicted[0])
    row = rows[rows["error"].isna()].iloc[3]
    classify = pipeline("zero-shot-ecg-classification", model=str(labelled))
    answer = classify(row["path"], candidate_labels=["AFIB", "NORM", *LABELS], multi_label=True)
    for entry in answer:
        assert row[f"score_{entry['label']}"] == pytest.approx(entry["score"], abs=1e-5)
    embed = pipeline("ecg-feature-extraction", model=str(labelled))
    expected = embed(row["path"])
    np.testing.assert_allclose(row["embedding"], expected / np.linalg.norm(expected), atol=1e-5)
    assert row["record_id"] == Path(row["path"]).stem
    assert (row["duration"], row["sampling_rate"], len(row["leads"])) == (10, 100, 12)


def test_failures_are_rows_that_say_why(predicted, archive):
    output, done = predicted
    rows = table(output)
    failed = rows[rows["error"].notna()].set_index("record_id")
    assert (done.recordings, done.failed, len(rows)) == (13, 3, 13)
    assert set(failed.index) == {"broken", "lost", "image"}
    assert failed.loc["lost", "path"] == str(archive / "b" / "lost.hea")
    assert "lost.dat" in failed.loc["lost", "error"]
    assert failed["score_AFIB"].isna().all()


def test_the_error_of_a_row_begins_with_what_is_wrong_and_not_with_a_position(tmp_path, labelled):
    for name in ("a", "b", "c"):
        rows = [f"{index / 100},{index % 7 / 10}" for index in range(100)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["time,II (mV)", *rows]))
    (tmp_path / "b.csv").write_text("time,II (mV)\nthis is no table\n")
    predict([tmp_path], labelled, tmp_path / "answers", progress=False)
    errors = table(tmp_path / "answers").set_index("record_id")["error"]
    assert errors["a"].startswith("1.00 s (100 samples at 100 Hz) is too short")
    assert errors["c"] == errors["a"]


def test_all_parts_have_the_same_columns_whatever_they_hold(predicted, tmp_path, labelled, archive):
    import pyarrow.parquet

    predict([archive / "a" / "broken.csv"], labelled, tmp_path, labels=LABELS, embeddings=True, progress=False)
    files = [*predicted[0].glob("part-*.parquet"), *tmp_path.glob("part-*.parquet")]
    assert len({str(pyarrow.parquet.read_schema(file)) for file in files}) == 1
    assert len(files) == 4


def test_what_a_warning_says_stands_in_the_row_of_its_recording(labelled, tmp_path):
    rng = np.random.default_rng(0)
    signal = np.cumsum(rng.normal(size=(12, 5000)), axis=1).clip(-3000, 3000).astype(np.int16)
    write_record(tmp_path / "whole", signal)
    signal[7] = 0
    write_record(tmp_path / "flat", signal)
    predict([tmp_path], labelled, tmp_path / "out", progress=False)
    rows = table(tmp_path / "out").set_index("record_id")
    assert "lead V2 is flat" in rows.loc["flat", "warnings"][0]
    assert "V2" not in rows.loc["flat", "leads"]
    assert list(rows.loc["whole", "warnings"]) == []


def test_an_error_of_a_recording_that_was_read_does_not_count_recordings(labelled, tmp_path):
    signal = np.cumsum(np.random.default_rng(0).normal(size=(12, 5000)), axis=1).clip(-3000, 3000).astype(np.int16)
    write_record(tmp_path / "whole", signal)
    write_record(tmp_path / "short", signal[:, :100])
    predict([tmp_path / "short.hea", tmp_path / "whole.hea"], labelled, tmp_path / "out", progress=False)
    errors = table(tmp_path / "out").set_index("record_id")["error"]
    assert errors["short"]
    assert "recording" not in errors["short"]
    assert errors.isna()["whole"]


def test_globs_tables_and_single_recordings_are_sources_too(archive, tmp_path):
    def paths(*sources):
        write_listing(sources, tmp_path / "listing")
        listing = Listing(tmp_path / "listing")
        return [row["path"] for row in listing.rows(range(len(listing)))]

    headers = sorted(map(str, archive.glob("a/*.hea")))
    assert paths(archive / "a") == sorted([*headers, str(archive / "a" / "broken.csv")])
    assert paths(archive / "a" / "*_lr.*") == headers
    assert paths(headers[0], headers[1].removesuffix(".hea")) == [headers[0], headers[1].removesuffix(".hea")]
    (archive / "list.csv").write_text("path,sampling_rate\na/00001_lr,100\nb/lost.hea,\n")
    assert paths(archive / "list.csv") == [str(archive / "a" / "00001_lr"), str(archive / "b" / "lost.hea")]
    (archive / "list.csv").write_text("record_id;path\n7;a/00001_lr\n")
    assert paths(archive / "list.csv") == [str(archive / "a" / "00001_lr")]
    (archive / "list.csv").write_text("path\nMüller\n", encoding="latin-1")
    with pytest.raises(ValueError, match=r"list\.csv: .* save the table as UTF-8"):
        paths(archive / "list.csv")
    (archive / "list.csv").unlink()
    with pytest.raises(FileNotFoundError, match="There is no file, folder"):
        paths(archive / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no recording"):
        paths(archive / "*.nothing")


def test_a_table_of_a_folder_that_names_no_lead_is_no_recording(tmp_path):
    def listed(source, **options):
        write_listing([source], tmp_path / "listing.arrow", **options)
        listing = Listing(tmp_path / "listing.arrow")
        return [Path(row["path"]).name for row in listing.rows(range(len(listing)))]

    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    recordings = {
        "ecg.csv": "time;Lead II (mV)\n0,00;0,1\n",
        "damaged.csv": "time,V1\nnot,numbers\n",
        "commented.csv": "# of one device\n#I,II\n",
        "numbers.csv": "0.1,0.2\n0.3,0.4\n",
        "empty.tsv": "",
    }
    others = {
        "deep/records.csv": "path,report\na,normal ecg\n",
        "patients.tsv": "patient\tage\n7\t50\n",
        "two.csv": "1,II and III\n",
        "unnamed.csv": "ch1,ch2\n0.1,0.2\n",
    }
    for name, text in (recordings | others).items():
        (root / name).write_text(text)
    (root / "page").write_text("<!DOCTYPE html><html></html>")
    left_out = f"{root / 'patients.tsv'}, {root / 'two.csv'}, {root / 'unnamed.csv'} and 1 more left out, because"
    with pytest.warns(UserWarning, match=re.escape(left_out)) as caught:
        assert sorted(listed(root)) == sorted(recordings)
    assert len(caught) == 1
    assert len(listed(root, leads_given=True)) == len(recordings) + len(others)
    assert listed(root / "patients.tsv") == ["patients.tsv"]
    assert listed(root / "*.tsv") == ["empty.tsv", "patients.tsv"]


def test_a_record_of_several_segments_is_one_recording(tmp_path):
    def listed(source):
        write_listing([source], tmp_path / "listing.arrow")
        listing = Listing(tmp_path / "listing.arrow")
        return [Path(row["path"]).name for row in listing.rows(range(len(listing)))]

    folder = tmp_path / "folder"
    folder.mkdir()
    for name, lines in {
        "p1": ["p1/4 1 100 20", "p1_layout 0", "a 10", "~ 5", "b 5"],
        "p1_layout": ["p1_layout 1 100 0", "~ 0 200 16 0 0 0 0 II"],
        "a": ["a 1 100 10", "a.dat 16 200 16 0 0 0 0 II"],
        "b": ["b 1 100 5", "b.dat 16 200 16 0 0 0 0 II"],
        "alone": ["alone 1 100 5", "b.dat 16 200 16 0 0 0 0 II"],
        "damaged": ["damaged/2 1 100 5", "alone 5"],
        "itself": ["itself/1 1 100 5", "itself 5"],
    }.items():
        (folder / f"{name}.hea").write_text("\n".join([*lines, ""]))
    whole = ["alone.hea", "damaged.hea", "itself.hea", "p1.hea"]
    assert listed(folder) == whole
    assert listed(folder / "*.hea") == whole
    assert listed(f"{folder}//") == whole
    assert listed(folder / "a.hea") == ["a.hea"]
    (folder / "p1.hea").unlink()
    assert listed(folder) == ["a.hea", "alone.hea", "b.hea", "damaged.hea", "itself.hea", "p1_layout.hea"]


def test_leads_that_are_given_make_recordings_of_tables_that_name_none(labelled, tmp_path):
    rows = "\n".join(f"{index / 100},{index % 100 / 50}" for index in range(1000))
    (tmp_path / "ecg.csv").write_text(f"time,channel\n{rows}\n")
    with pytest.warns(UserWarning, match=r"ecg\.csv left out"), pytest.raises(FileNotFoundError):
        predict([tmp_path], labelled, tmp_path / "out", progress=False)
    given = {"leads": ["II"], "units": "mV"}
    predict([tmp_path], labelled, tmp_path / "out", description=given, progress=False)
    row = table(tmp_path / "out").iloc[0]
    assert pd.isna(row["error"])
    assert list(row["leads"]) == ["II"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.tsv", "path\n{}\n"),
        ("list.csv", 'path,"units; of all"\n"{}",mV\n'),
        ("list.csv", 'record_id;"path"\n1;{}\n'),
    ],
)
def test_a_table_of_paths_may_have_other_separators_in_its_names_and_paths(tmp_path, name, text):
    (tmp_path / "a,b.hea").touch()
    (tmp_path / name).write_text(text.format("a,b.hea"))
    write_listing([tmp_path / name], tmp_path / "listing.arrow")
    assert [row["path"] for row in Listing(tmp_path / "listing.arrow").rows([0])] == [str(tmp_path / "a,b.hea")]


def test_a_table_describes_files_that_do_not_describe_themselves(labelled, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "one.npy", np.cumsum(rng.normal(size=(2, 2000)), axis=1) / 20)
    (tmp_path / "list.tsv").write_text("path\trecord_id\tsampling_rate\tunits\tleads\none.npy\tA7\t200\tmV\tI V2\n")
    predict([tmp_path / "list.tsv"], labelled, tmp_path / "out", progress=False)
    row = table(tmp_path / "out").iloc[0]
    assert (row["record_id"], row["duration"], row["sampling_rate"]) == ("A7", 10, 200)
    assert list(row["leads"]) == ["I", "V2"]


@pytest.mark.slow
def test_a_prepared_data_set_gives_the_rows_of_its_recordings(labelled, archive, tmp_path):
    from merit import workflows

    (tmp_path / "records.csv").write_text(
        "path,report\n" + "".join(f"{path.name},normal ecg\n" for path in sorted(archive.glob("a/*.hea")))
    )
    for path in [*archive.glob("a/*.hea"), *archive.glob("a/*.dat")]:
        shutil.copy(path, tmp_path)
    workflows.prepare("folder", tmp_path, tmp_path / "prepared")
    predict([tmp_path / "prepared"], labelled, tmp_path / "out", progress=False)
    predict([archive / "a" / "*.hea"], labelled, tmp_path / "expected", progress=False)
    found, expected = (table(tmp_path / name).set_index("record_id") for name in ("out", "expected"))
    found.index = [name.removesuffix(".hea") for name in found.index]
    np.testing.assert_allclose(found.loc[expected.index, "score_AFIB"], expected["score_AFIB"], atol=1e-3)


def test_small_archives_can_be_csv(labelled, archive, tmp_path):
    predict([archive / "a"], labelled, tmp_path, format="csv", embeddings=True, progress=False)
    rows = pd.read_csv(tmp_path / "part-00000.csv")
    assert len(rows) == 7
    assert rows["leads"][0].startswith('["I", "II"')
    assert len(json.loads(rows["embedding"][0])) == 32


def test_a_second_call_computes_missing_parts_only(predicted, labelled, archive, tmp_path):
    shutil.copytree(predicted[0], tmp_path / "out")
    kept = tmp_path / "out" / "part-00000.parquet"
    os.utime(kept, (0, 0))
    (tmp_path / "out" / "part-00001.parquet").unlink()
    (tmp_path / "out" / ".part-00001.parquet.1234.tmp").write_text("half a part")
    options = {"labels": LABELS, "embeddings": True, "part_size": 5, "progress": False}
    done = predict([archive], labelled, tmp_path / "out", **options)
    assert (done.recordings, done.already_done) == (5, 8)
    assert kept.stat().st_mtime == 0
    assert_same_tables(tmp_path / "out", predicted[0])
    assert not list((tmp_path / "out").glob(".*.tmp"))
    with pytest.raises(ValueError, match="other part_size, options, columns: give the command as it was"):
        predict([archive], labelled, tmp_path / "out", progress=False)


def test_reading_in_this_process_gives_the_same_table(predicted, labelled, archive, tmp_path):
    options = {"labels": LABELS, "embeddings": True, "part_size": 5, "batch_size": 3, "progress": False}
    predict([archive], labelled, tmp_path, readers=0, **options)
    assert_same_tables(tmp_path, predicted[0])


def test_a_file_that_ends_its_reader_is_a_row_that_failed(predicted, labelled, archive, tmp_path, monkeypatch):
    read = Listing.read

    def read_or_die(listing, row, description):
        if row["path"].endswith("00003_lr.hea"):
            os.kill(os.getpid(), signal.SIGKILL)  # what the kernel does where memory ends
        return read(listing, row, description)

    monkeypatch.setattr(Listing, "read", read_or_die)
    predict([archive], labelled, tmp_path, labels=LABELS, embeddings=True, part_size=5, batch_size=3, progress=False)
    rows, expected = table(tmp_path), table(predicted[0])
    dead = rows["record_id"] == "00003_lr"
    assert rows[dead]["error"].str.startswith("The process that read this file ended").tolist() == [True]
    pd.testing.assert_frame_equal(rows[~dead], expected[~dead], rtol=1e-4, atol=1e-6)


def test_a_predictor_maps_batches(predicted, labelled):
    rows = table(predicted[0]).head(4)
    answer = Predictor(labelled, labels=LABELS)({"path": rows["path"].to_numpy()})
    np.testing.assert_allclose(
        answer["score_AFIB"].to_numpy(), rows["score_AFIB"].to_numpy(float), atol=1e-5, equal_nan=True
    )


@pytest.mark.slow
def test_reports_stand_beside_the_scores(labelled, reporter_folder, archive, tmp_path):
    from transformers import pipeline

    predict([archive / "a"], labelled, tmp_path, report_model=reporter_folder, progress=False)
    row = table(tmp_path).iloc[0]
    expected = pipeline("ecg-report-generation", model=str(reporter_folder))(row["path"])
    assert row["report"] == expected["report"]
    assert row["abstained"] == expected["abstained"]
    assert 0 <= row["score_AFIB"] <= 1


def test_decisions_stand_beside_the_scores(classifier_folder, archive, tmp_path):
    decided = shutil.copytree(classifier_folder, tmp_path / "decided")
    config = json.loads((decided / "config.json").read_text())
    config["calibration"] = {"labels": {"NORM": {"threshold": 0.0, "sensitivity": 1.0, "specificity": 0.25}}}
    (decided / "config.json").write_text(json.dumps(config))
    predict([archive / "a"], decided, tmp_path / "out", decisions=True, progress=False)
    rows = table(tmp_path / "out").set_index("record_id")
    assert set(rows["present_NORM"].drop("broken")) == {True}
    assert rows.loc["00001_lr", ["sensitivity_NORM", "specificity_NORM"]].tolist() == [1, 0.25]
    assert "present_MI" not in rows
    with pytest.raises(ValueError, match="has no threshold for any label"):
        predict([archive], classifier_folder, tmp_path / "none", decisions=True)


def test_options_that_do_not_fit_the_checkpoint_are_refused(model_folder, classifier_folder, archive, tmp_path):
    with pytest.raises(ValueError, match="has no learned labels: pass labels"):
        predict([archive], model_folder, tmp_path)
    with pytest.raises(ValueError, match="labels of your own and embeddings need a dual encoder"):
        predict([archive], classifier_folder, tmp_path, embeddings=True)
    with pytest.raises(ValueError, match="writes no reports: add a report model, or leave the language out"):
        predict([archive], classifier_folder, tmp_path, language="de")
    with pytest.raises(ValueError, match="format must be one of parquet, csv"):
        predict([archive], classifier_folder, tmp_path, format="xlsx")


def test_a_classifier_answers_with_its_own_labels(classifier_folder, archive, tmp_path):
    predict([archive / "a"], classifier_folder, tmp_path, progress=False)
    assert [name for name in table(tmp_path) if name.startswith("score_")] == [
        f"score_{label}" for label in ("CD", "HYP", "MI", "NORM", "STTC")
    ]


@pytest.fixture(scope="module")
def merit(tmp_path_factory, fresh_environment):
    command = ForkedMerit(tmp_path_factory.mktemp("merit"), fresh_environment)
    yield command
    command.close()


@pytest.fixture
def arguments(archive, labelled, tmp_path):
    """A command that writes a part for each recording."""
    options = ["--labels", *LABELS, "--embeddings", "--part-size", "1", "--batch-size", "1"]
    return ["predict", archive, "--model", labelled, "--output", tmp_path, *options]


@pytest.mark.slow
def test_a_killed_prediction_goes_on_to_the_same_table(merit, predicted, arguments, tmp_path):
    pid, log = merit.start(*arguments)
    until(lambda: list(tmp_path.glob("part-*")), 120)
    os.kill(pid, signal.SIGKILL)
    assert merit.finish(pid, log).status == -signal.SIGKILL
    parts = {path: path.stat().st_mtime_ns for path in tmp_path.glob("part-*")}
    assert 0 < len(parts) < 13
    done = merit(*arguments)
    assert done.out.startswith(f"{13 - len(parts)} recordings, "), done.err
    assert f"{len(parts)} were there" in done.out
    assert {path: path.stat().st_mtime_ns for path in parts} == parts
    assert_same_tables(tmp_path, predicted[0])


@pytest.mark.slow
def test_two_processes_share_the_parts(merit, predicted, arguments, tmp_path):
    """As `torchrun` and `accelerate launch` start them; they meet through gloo."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    running = []
    for rank in range(2):
        environment = {name: str(value) for name, value in {**world, "RANK": rank, "LOCAL_RANK": rank}.items()}
        running.append(merit.start(*arguments, before=f"os.environ.update({environment})"))
    for process, share in zip(running, (7, 6)):
        done = merit.finish(*process)
        assert done.out.startswith(f"{share} recordings, "), done.err
    assert_same_tables(tmp_path, predicted[0])

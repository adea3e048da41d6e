"""`merit export` and `merit publish` against a Hub on loopback, also with failures."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub import TOKEN, File, Repo

from merit.hub_cards.export import export
from merit.hub_cards.folder import fetch, known_commits
from merit.hub_cards.publish import PublishError, check

WEIGHTS = r"^/lfs/[0-9a-f]+$"
COMMIT = "/commit/main$"
NAME = ("model", "org/merit")


@pytest.fixture(scope="module")
def complete(untrained, simulated, tmp_path_factory):
    """A folder that can be published. Tests change copies of it."""
    results = tmp_path_factory.mktemp("results") / "zero-shot.json"
    results.write_text('{"auc": 0.75}\n', encoding="utf-8")
    record = simulated / "records100" / "00000" / "00002_lr"
    return export(*untrained, tmp_path_factory.mktemp("complete") / "model", example=record, results=[results])


@pytest.fixture
def folder(complete, tmp_path):
    return shutil.copytree(complete, tmp_path / "model")


@pytest.fixture
def python(hub, fresh_environment, tmp_path_factory):
    """Run Python in a fresh process, and check that neither its output nor its requests contain the token."""
    home = tmp_path_factory.mktemp("home")

    def run(*arguments, status, token):
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=home,
            env={**fresh_environment, **hub.environment(home, token)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr
        assert not [request.path for request in hub.requests if TOKEN in request.path]
        return done

    return run


@pytest.fixture
def merit(python):
    """Run the command; returns its output, or with `status=1` its error."""

    def run(*arguments, status=0, token=TOKEN):
        done = python("-m", "merit", *arguments, status=status, token=token)
        assert "Traceback" not in done.stderr
        # Progress bars of the client stand before the last word.
        return done.stdout if not status else re.split(r"^merit: ", done.stderr, flags=re.MULTILINE)[-1]

    return run


@pytest.fixture
def send(python):
    """Run `send` in a fresh process; returns its output, or with `status=1` its error."""
    code = """
import json, sys
from merit.hub_cards.publish import PublishError, send
try:
    send(sys.argv[1], "org/merit", **json.loads(sys.argv[2]))
except PublishError as error:
    sys.exit(f"PublishError: {error}")
"""

    def run(folder, status=0, token=TOKEN, **options):
        done = python("-c", code, folder, json.dumps(options), status=status, token=token)
        return done.stdout if not status else done.stderr.partition("PublishError: ")[2]

    return run


def files(hub, revision="main"):
    commit = hub.repo(*NAME).at(revision)
    return {path: file.data for path, file in commit.files.items() if path != ".gitattributes"}


def contents(folder):
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".hub.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def listed(out):
    """The changed files in the output of a run."""
    return [line for line in out.splitlines() if line.startswith("  ")]


def titles(hub, revision="main"):
    return [commit.title for commit in hub.repo(*NAME).at(revision).history]


def uploads(hub):
    return [request for request in hub.requests if request.method == "PUT"]


def change_result(folder, auc):
    (folder / "results" / "zero-shot.json").write_text(json.dumps({"auc": auc}) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_a_folder_is_published_in_one_commit_and_then_only_what_changed(hub, merit, send, folder):
    out = merit("publish", folder, "--repo-id", "org/merit", "--private")
    assert files(hub) == contents(folder)
    assert titles(hub) == ["Publish an export of MERIT", "initial commit"]
    assert hub.repo(*NAME).private
    assert "+ model.safetensors" in out
    assert out.splitlines()[-1] == f"{hub.url}/org/merit/commit/{hub.repo(*NAME).at('main').oid}"

    change_result(folder, 0.5)
    (folder / "notes.md").write_text("new")
    send(folder)
    (folder / "notes.md").unlink()
    change_result(folder, 0.25)
    out = send(folder)
    assert listed(out) == ["  ~ results/zero-shot.json", "  - notes.md"]
    assert files(hub) == contents(folder)
    assert len(titles(hub)) == 4
    assert len(uploads(hub)) == 1  # the weights went once

    out = send(folder)
    assert "no changes" in out
    assert len(titles(hub)) == 4


@pytest.mark.slow
def test_linked_code_is_published_as_real_files(hub, send, folder, tmp_path):
    """As in the checkpoints of the repository."""
    expected = contents(folder)
    (folder / "leads_merit.py").rename(tmp_path / "leads_merit.py")
    (folder / "leads_merit.py").symlink_to(Path("..", "leads_merit.py"))
    send(folder)
    assert files(hub) == expected


@pytest.mark.slow
def test_a_dry_run_says_the_same_and_sends_nothing(hub, send, folder):
    first = send(folder, dry_run=True)
    assert "+ model.safetensors" in first
    assert "Nothing was sent" in first
    assert hub.writes() == []
    assert hub.repos == {}
    done = send(folder)
    assert listed(first) == listed(done)
    change_result(folder, 0.5)
    before = len(hub.writes())
    assert "~ results/zero-shot.json" in send(folder, dry_run=True)
    assert len(hub.writes()) == before
    assert len(titles(hub)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [{"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}],
    ids=["offline", "no connection"],
)
def test_a_dry_run_without_a_network_shows_its_local_checks(environment, folder, fresh_python):
    code = "import sys; from merit.hub_cards.publish import publish; publish(sys.argv[1], 'org/merit', dry_run=True)"
    lines = fresh_python(code, folder, **environment).splitlines()
    assert lines[0] == f"{folder} loads without this package and answers its example as stored."
    assert lines[1] == "The figures in its card are those of its result files."
    assert "The Hub was not reached, so nothing was compared" in lines[2]
    assert lines[-1] == "Nothing was sent."


@pytest.mark.parametrize("model", ["/no/such/folder", "no/such/folder", "./merit", "a model"])
def test_a_model_that_is_no_folder_and_no_name_on_the_hub_is_refused(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"^{model} is not a folder here, and not a model on the Hub"):
        fetch(model)


@pytest.mark.slow
def test_branches_and_pull_requests_do_not_change_the_main_branch(hub, send, folder):
    send(folder)
    before = files(hub)
    change_result(folder, 0.5)
    send(folder, revision="half-auc")
    assert files(hub) == before
    assert files(hub, "half-auc") == contents(folder)
    change_result(folder, 0.25)
    out = send(folder, create_pr=True)
    assert out.splitlines()[-1] == f"{hub.url}/org/merit/discussions/1"
    assert files(hub) == before
    assert files(hub, "refs/pr/1") == contents(folder)
    assert known_commits(folder).keys() == {"org/merit@main", "org/merit@half-auc"}
    assert "leave out --revision" in send(folder, create_pr=True, revision="half-auc", status=1)


@pytest.mark.slow
def test_a_newer_commit_is_not_overwritten_without_force(hub, send, folder):
    send(folder)
    theirs = hub.repo(*NAME).commit("A card by a colleague", {"README.md": File(b"# Ours")})
    change_result(folder, 0.5)
    printed = send(folder, status=1)
    assert "A card by a colleague" in printed
    assert theirs.oid[:8] in printed
    assert "--force" in printed
    assert "--create-pr" in printed
    assert hub.repo(*NAME).at("main") is theirs

    out = send(folder, force=True)
    assert "~ README.md" in out
    assert files(hub) == contents(folder)
    assert hub.repo(*NAME).at(theirs.oid).files["README.md"].data == b"# Ours"  # in the history
    change_result(folder, 0.25)
    send(folder)


@pytest.mark.slow
def test_a_repository_that_the_folder_does_not_come_from_is_not_overwritten(hub, send, folder):
    hub.repos[NAME] = Repo(*NAME)
    theirs = hub.repo(*NAME).commit("Years of work", {"thesis.tex": File(b"...")})
    printed = send(folder, status=1)
    assert "does not come from there" in printed
    assert hub.repo(*NAME).at("main") is theirs
    assert uploads(hub) == []


@pytest.mark.slow
def test_a_commit_that_arrives_meanwhile_is_not_overwritten(hub, send, folder):
    send(folder)
    change_result(folder, 0.5)
    colleague = {"README.md": File(b"# Ours")}
    hub.fail("POST", COMMIT, first=lambda: hub.repo(*NAME).commit("A card by a colleague", colleague))
    printed = send(folder, force=True, status=1)
    assert "arrived meanwhile" in printed
    assert titles(hub)[0] == "A card by a colleague"
    assert json.loads(files(hub)["results/zero-shot.json"]) == {"auc": 0.75}


@pytest.mark.slow
def test_broken_connections_and_server_errors_are_retried(hub, send, folder):
    """During the upload of weights, at the commit, and when only the reply to the commit is lost."""
    hub.fail("PUT", WEIGHTS, cut="request")
    hub.fail("PUT", WEIGHTS, status=500)
    hub.fail("POST", COMMIT, times=2, status=500)
    send(folder)
    assert files(hub) == contents(folder)
    assert len(titles(hub)) == 2
    assert len(uploads(hub)) == 3

    change_result(folder, 0.5)
    hub.fail("POST", COMMIT, cut="work")
    send(folder)
    assert files(hub) == contents(folder)
    assert len(titles(hub)) == 3  # the commit was made, and not again
    assert known_commits(folder) == {"org/merit@main": hub.repo(*NAME).at("main").oid}


@pytest.mark.slow
def test_a_persistent_error_publishes_nothing_and_the_next_run_resumes(hub, send, folder):
    hub.fail("POST", COMMIT, times=3, status=503)
    printed = send(folder, status=1)
    assert "run the same command again" in printed.lower()
    assert files(hub) == {}
    assert len(uploads(hub)) == 1
    send(folder)
    assert files(hub) == contents(folder)
    assert len(uploads(hub)) == 1  # the weights that had arrived were not sent again


@pytest.mark.slow
@pytest.mark.parametrize("status", [413, 507])
def test_a_hub_without_room_is_not_changed(status, hub, send, folder):
    hub.repos[NAME] = Repo(*NAME)
    hub.fail("PUT", WEIGHTS, times=9, status=status)
    printed = send(folder, status=1)
    assert "model.safetensors" in printed
    assert "no room" in printed
    assert "bfloat16" in printed
    assert files(hub) == {}
    assert len(titles(hub)) == 1


@pytest.mark.slow
def test_without_a_token_the_message_says_how_to_log_in(hub, send, folder):
    printed = send(folder, status=1, token=None)
    assert "hf auth login" in printed
    assert hub.repos == {}


@pytest.mark.slow
def test_a_public_repository_is_not_accepted_as_a_private_one(hub, send, folder):
    hub.repos[NAME] = Repo(*NAME)
    printed = send(folder, private=True, status=1)
    assert "is public" in printed
    assert files(hub) == {}


@pytest.mark.slow
def test_a_published_model_is_exported_changed_and_published_again(hub, merit, send, folder, tmp_path):
    send(folder)
    out = merit("export", "org/merit", tmp_path / "theirs", "--dtype", "bfloat16")
    assert out.splitlines()[-1] == f"Model in {tmp_path / 'theirs'}"
    merit("publish", tmp_path / "theirs", "--repo-id", "org/merit")
    assert files(hub) == contents(tmp_path / "theirs")
    assert files(hub)["example/00002_lr.dat"] == (folder / "example" / "00002_lr.dat").read_bytes()
    assert files(hub)["results/zero-shot.json"] == (folder / "results" / "zero-shot.json").read_bytes()
    assert len(files(hub)["model.safetensors"]) < 0.6 * len((folder / "model.safetensors").read_bytes())


@pytest.mark.slow
def test_export_gives_a_folder_an_example_and_results(merit, model_folder, tmp_path):
    results = tmp_path / "speed.json"
    results.write_text("{}")
    merit("export", model_folder, tmp_path / "first", "--results", results, "--max-shard-size", "100KB")
    merit("export", tmp_path / "first", tmp_path / "again", "--max-shard-size", "100KB")
    assert (tmp_path / "again" / "results" / "speed.json").is_file()
    assert len(list((tmp_path / "again").glob("model-*.safetensors"))) > 1
    assert contents(tmp_path / "again") == contents(tmp_path / "first")
    check(tmp_path / "again")


@pytest.mark.slow
def test_the_check_finds_missing_files_and_different_answers(folder, untrained):
    check(folder)
    other_weights = folder / "model.safetensors"
    kept = other_weights.read_bytes()
    model = type(untrained[0])(untrained[0].config)
    model.save_pretrained(folder.parent / "other")
    shutil.copy(folder.parent / "other" / "model.safetensors", other_weights)
    with pytest.raises(PublishError, match=r"more than 0\.001 apart"):
        check(folder)
    other_weights.write_bytes(kept)
    code = folder / "recordings_merit.py"
    code.write_text("from merit import nothing\n" + code.read_text())
    with pytest.raises(PublishError, match="does not load"):
        check(folder)
    (folder / "example" / "answer.json").unlink()
    with pytest.raises(PublishError, match=r"no example/answer\.json.*merit export"):
        check(folder)


@pytest.mark.slow
def test_an_encoder_with_an_example_passes_the_check(untrained, simulated, tmp_path):
    record = simulated / "records100" / "00000" / "00002_lr"
    check(export(*untrained, tmp_path / "encoder", example=record, encoder_only=True))


@pytest.mark.slow
def test_an_incomplete_folder_is_not_sent(hub, merit, folder):
    (folder / "LICENSE").unlink()
    assert "it has no LICENSE" in merit("publish", folder, "--repo-id", "org/merit", status=1)
    assert hub.requests == []


@pytest.mark.slow
def test_a_failed_download_leaves_no_partial_export(hub, merit, send, folder, tmp_path):
    send(folder)
    hub.fail("GET", "/resolve/.*/model.safetensors", times=20, status=404)
    merit("export", "org/merit", tmp_path / "theirs", status=1)
    assert not (tmp_path / "theirs").exists()

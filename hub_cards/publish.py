"""Publish an exported folder on the Hub: check it, then send it in one commit that overwrites no other commit."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash, sha_fileobj

from .card import check_card, name_card
from .folder import example_record, known_commits, remember

# Tolerances between an answer and the stored one: other machines sum in another order, and half precision rounds more.
TOLERANCE = {"float32": 1e-3, "float16": 0.02, "bfloat16": 0.1}
# Attempts to make the commit. huggingface_hub retries each file by itself.
ATTEMPTS = 3
PARTS = ("config.json", "processor_config.json", "LICENSE", "example/answer.json")
# Base class of the errors of the HTTP client, which depends on the version of huggingface_hub.
HTTPError: type[Exception] = HfHubHTTPError.__bases__[0]

# Loads the folder without this package and answers the example.
_ANSWER = """
import json, sys
sys.modules["merit"] = None
from transformers import pipeline
answer = pipeline(model=sys.argv[1], trust_remote_code=True, device="cpu")
print(json.dumps(answer(sys.argv[2], **json.loads(sys.argv[3])), default=lambda array: array.tolist()))
"""


@dataclass(frozen=True)
class _Repo:
    """A repository on the Hub. `names` are arguments of all methods of `api`."""

    api: HfApi
    repo_id: str
    repo_type: str

    @property
    def names(self) -> dict[str, Any]:
        return {"repo_id": self.repo_id, "repo_type": self.repo_type}

    @property
    def url(self) -> str:
        return f"{self.api.endpoint}/{'datasets/' * (self.repo_type == 'dataset')}{self.repo_id}"


class PublishError(ValueError):
    """A folder cannot be published, or the Hub refused it; the message says what to do."""


@dataclass(frozen=True)
class Changes:
    """The changes of a commit to the files of a repository."""

    added: list[str]
    changed: list[str]
    removed: list[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __str__(self) -> str:
        marked = [*(("+", path) for path in self.added), *(("~", path) for path in self.changed)]
        return "\n".join(f"  {mark} {path}" for mark, path in [*marked, *(("-", path) for path in self.removed)])


def publish(directory: str | Path, repo_id: str, **options) -> str:
    """Check an exported folder, put its name on the Hub into its card, and send it; see [`check`] and [`send`]."""
    check(directory)
    print(f"{directory} loads without this package and answers its example as stored.")
    check_card(directory)
    print("The figures in its card are those of its result files.")
    name_card(directory, repo_id)
    return send(directory, repo_id, **options)


def check(directory: str | Path) -> None:
    """
    Load a folder as other people will, and compare its answer to the example with the stored answer.

    This is done in a new process that cannot import this package and has no token, no network and empty caches.

    Raises:
        PublishError: a file is missing, the folder does not load, or its answer differs.
    """
    directory, record = Path(directory), example_record(directory)
    missing = [part for part in PARTS if not (directory / part).is_file()]
    if missing or record is None:
        missing = ", ".join(missing) or "recording in example/"
        raise PublishError(f"{directory} is not complete: it has no {missing}. `merit export MODEL DIR` writes it all.")
    stored = json.loads((directory / "example" / "answer.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as home:
        own = {"HF_HOME": home, "HF_HUB_OFFLINE": "1"}
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        arguments = [str(directory.resolve()), str(record.resolve()), json.dumps(stored["options"])]
        done = subprocess.run(
            [sys.executable, "-c", _ANSWER, *arguments],
            cwd=home,
            env=environment | own,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise PublishError(
            f"{directory} does not load where this package is not installed: {reason}. Export the model again."
        )
    expected, answer = _by_label(stored["answer"]), _by_label(json.loads(done.stdout.splitlines()[-1]))
    dtype = json.loads((directory / "config.json").read_text(encoding="utf-8"))["dtype"]
    if not _same(answer, expected, TOLERANCE[dtype]):
        raise PublishError(
            f"{directory} answers its example with {answer}, but {expected} is stored in example/answer.json: more "
            f"than {TOLERANCE[dtype]} apart, so weights or code are not those of the export. Export the model again."
        )


def _by_label(answer: Any) -> Any:
    """Scores by label, because close scores may change their order; other answers unchanged."""
    if isinstance(answer, list) and all(
        isinstance(entry, dict) and set(entry) == {"label", "score"} for entry in answer
    ):
        return {entry["label"]: entry["score"] for entry in answer}
    return answer


def _same(answer: Any, expected: Any, tolerance: float) -> bool:
    """Whether two answers are equal, with a tolerance for their numbers."""
    if isinstance(answer, dict) and isinstance(expected, dict):
        return answer.keys() == expected.keys() and all(_same(answer[k], expected[k], tolerance) for k in answer)
    if isinstance(answer, list) and isinstance(expected, list):
        return len(answer) == len(expected) and all(_same(*pair, tolerance) for pair in zip(answer, expected))
    if isinstance(answer, float) and isinstance(expected, float):
        return abs(answer - expected) <= tolerance
    return answer == expected


def send(
    directory: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str = "main",
    create_pr: bool = False,
    dry_run: bool = False,
    force: bool = False,
    repo_type: str = "model",
    files: Iterable[str] | None = None,
    message: str = "Publish an export of MERIT",
) -> str:
    """
    Make the files of a repository on the Hub equal to those of a folder, in one commit.

    The folder records in .hub.json which commit it was published as or exported from. If the branch has a newer commit,
    nothing is sent unless `force` is given. The new commit is then made on top of the newest one, which stays in the
    history, and fails if another one arrives meanwhile. Large files are uploaded first and become visible with the
    commit. Those that have arrived are not sent again.

    Args:
        directory: folder that [`export`] or [`prepare`] wrote.
        repo_id: such as "org/merit"; created if it does not exist.
        private: create a private repository. An existing public repository is refused.
        revision: the branch; created from the main one if it does not exist.
        create_pr: open a pull request instead.
        dry_run: compare, and send nothing. Without a network, nothing is compared.
        force: commit even if the folder does not come from the newest commit.
        repo_type: "model" or "dataset".
        files: names of the files of the folder that are sent; by default all but hidden ones.
        message: title of the commit.

    Returns:
        The address of the commit or pull request, or of the repository if nothing was sent.

    Raises:
        PublishError: the Hub refused it, or has a newer commit; the message says what to do.
    """
    directory = Path(directory)
    if create_pr and revision != "main":
        raise PublishError("--create-pr proposes to the main branch: leave out --revision.")
    repo = _Repo(HfApi(library_name="merit"), repo_id, repo_type)
    if dry_run and (reason := _not_reached(repo)):
        print(f"The Hub was not reached, so nothing was compared ({reason}).\nNothing was sent.")
        return repo.url
    with _plain_errors(repo_id):
        made = not dry_run and _make(repo, revision, private)
        head, remote = _state(repo, revision, private)
        local = _files(directory) if files is None else {name: directory / name for name in files}
        changes = _compare(local, remote)
        print(f"{directory} to {repo_id}, {revision}:\n{changes or '  no changes'}")
        if changes and remote and head and not (made or create_pr or force):
            _refuse_newer(repo, directory, revision, head)
        if dry_run or not changes:
            print("Nothing was sent.")
            url, commit = repo.url, head
        else:
            url, commit = _commit(repo, revision, head, create_pr, local, changes, message)
    if commit and not (dry_run or create_pr):
        remember(directory, repo_id, revision, commit)
    print(url)
    return url


def _not_reached(repo: _Repo) -> str | None:
    """Why the Hub gave no answer, or None if it gave one."""
    try:
        repo.api.repo_exists(**repo.names)
    except (HTTPError, ConnectionError) as error:
        return None if _status(error) else str(error)
    return None


def _files(directory: Path) -> dict[str, Path]:
    """The files of a folder that are published, by their relative paths: all but hidden ones."""
    paths = {path.relative_to(directory).as_posix(): path for path in sorted(directory.rglob("*")) if path.is_file()}
    return {name: path for name, path in paths.items() if not _is_hidden(name)}


def _is_hidden(name: str) -> bool:
    """Files such as .gitattributes belong to the Hub, .hub.json and .cache to this machine."""
    return any(part.startswith(".") for part in name.split("/"))


def _make(repo: _Repo, revision: str, private: bool) -> bool:
    """Create the repository and the branch if they do not exist; returns whether one of them was created."""
    if not (missing := not repo.api.repo_exists(**repo.names)):
        missing = not repo.api.revision_exists(revision=revision, **repo.names)
    else:
        repo.api.create_repo(private=private, exist_ok=True, **repo.names)
    if missing and revision != "main":
        repo.api.create_branch(branch=revision, exist_ok=True, **repo.names)
    return missing


def _state(repo: _Repo, revision: str, private: bool) -> tuple[str | None, dict[str, RepoFile]]:
    """The newest commit of a branch and its files. A new branch has no commit, but the files of the main branch."""
    try:
        info = repo.api.repo_info(revision=revision, **repo.names)
        head = info.sha
    except RevisionNotFoundError:
        info, head = repo.api.repo_info(**repo.names), None
    except RepositoryNotFoundError:
        return None, {}
    if private and not info.private:
        raise PublishError(
            f"{repo.repo_id} exists and is public: make it private on the Hub first, or leave out --private."
        )
    tree = repo.api.list_repo_tree(recursive=True, revision=info.sha, **repo.names)
    return head, {entry.path: entry for entry in tree if isinstance(entry, RepoFile) and not _is_hidden(entry.path)}


def _compare(local: dict[str, Path], remote: dict[str, RepoFile]) -> Changes:
    both = sorted(local.keys() & remote.keys())
    return Changes(
        added=sorted(local.keys() - remote.keys()),
        changed=[name for name in both if not _is_same(local[name], remote[name])],
        removed=sorted(remote.keys() - local.keys()),
    )


def _is_same(path: Path, there: RepoFile) -> bool:
    if path.stat().st_size != there.size:
        return False
    with path.open("rb") as file:
        if there.lfs:
            return sha_fileobj(file).hex() == there.lfs.sha256
        return git_hash(file.read()) == there.blob_id


def _refuse_newer(repo: _Repo, directory: Path, revision: str, head: str) -> None:
    known = known_commits(directory).get(f"{repo.repo_id}@{revision}")
    if known == head:
        return
    last = repo.api.list_repo_commits(revision=revision, **repo.names)[0]
    origin = f"was made from {known[:8]}" if known else "does not come from there"
    raise PublishError(
        f'{repo.repo_id} holds what {directory} does not: its last commit is {head[:8]} "{last.title}" of '
        f"{last.created_at:%Y-%m-%d}, and the folder {origin}. Nothing was sent. Look at "
        f"{repo.url}/commits/{revision}; then --create-pr proposes the changes above, and --force makes "
        "them on top of that commit, which stays in the history."
    )


def _commit(
    repo: _Repo,
    revision: str,
    head: str | None,
    create_pr: bool,
    local: dict[str, Path],
    changes: Changes,
    message: str,
) -> tuple[str, str]:
    """Upload large files, then make one commit on top of `head`; returns its address and its hash."""
    additions = [CommitOperationAdd(name, local[name]) for name in (*changes.added, *changes.changed)]
    options: dict[str, Any] = {"revision": revision, "create_pr": create_pr, **repo.names}
    repo.api.preupload_lfs_files(additions=additions, free_memory=False, **options)
    attempt = 0
    while True:
        attempt += 1
        try:
            # upload_folder may split a folder into several commits.
            commit = repo.api.create_commit(
                operations=[*additions, *map(CommitOperationDelete, changes.removed)],
                commit_message=message,
                parent_commit=head,
                **options,
            )
            return commit.pr_url or commit.commit_url, commit.oid
        except HTTPError as error:
            if not _may_pass(error):
                raise
            if create_pr:
                raise PublishError(
                    f"The reply to the pull request was lost. Look at {repo.url}/discussions whether it was opened; "
                    "if not, run the same command again."
                ) from None
            now, remote = _state(repo, revision, private=False)
            if now and now != head and not _compare(local, remote):
                return f"{repo.url}/commit/{now}", now  # only the reply was lost
            if attempt == ATTEMPTS:
                raise
            time.sleep(2**attempt)


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _may_pass(error: BaseException) -> bool:
    """Whether another attempt may succeed: there was no reply, or an error of the server."""
    return _status(error) in (None, 408, 429, 500, 502, 503, 504)


@contextmanager
def _plain_errors(repo_id: str) -> Iterator[None]:
    """Explain errors of the Hub and what to do. Addresses are left out, as those of uploads may hold a signature."""
    try:
        yield
    except (HTTPError, RuntimeError) as error:
        # huggingface_hub wraps the error of a single file.
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        status = _status(cause)
        if status in (401, 403):
            advice = "Log in with `hf auth login` or HF_TOKEN, as a user who may write there, and run it again."
        elif status in (409, 412):
            advice = "Somebody else's commit arrived meanwhile. Run the same command again to see it."
        elif status in (402, 413, 507):
            advice = "The Hub has no room for it: make room there, or export with --dtype bfloat16; then run it again."
        else:
            advice = "Run the same command again: files that have arrived are not sent again."
        reason = getattr(cause, "server_message", None) or (f"status {status}" if status else str(cause))
        file = f"{error} " if cause is not error else ""
        reason = reason.strip().rstrip(".")
        raise PublishError(f"{repo_id} was not changed. {file}The Hub says: {reason}. {advice}") from None

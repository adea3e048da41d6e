"""A small Hub on loopback: it answers what the clients of huggingface_hub, transformers and datasets ask.

Repositories live in memory. A commit is a whole tree of files, so a revision is complete or absent, as with git. Large
files come first, by the LFS protocol, and are kept by content until a commit names them.

    with LoopbackHub() as hub:
        subprocess.run([...], env={**os.environ, **hub.environment(home)})

What goes wrong in the real world is switched on with `hub.fail(...)`.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml
from packaging.version import Version

TOKEN = "hf_loopbackTokenThatMustNotLeak"
LFS_SUFFIXES = (".safetensors", ".parquet", ".arrow", ".bin")
GITATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES).encode()
KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
PLACES = {"model": "", "dataset": "datasets/", "space": "spaces/"}
# On tests that let the Hub look at a card.
validates = pytest.mark.skipif(
    Version(version("huggingface_hub")) < Version("2"), reason="before 2, validate() asks huggingface.co alone"
)


@dataclass(frozen=True)
class File:
    """A file as git has it: itself, or the pointer to a large object."""

    data: bytes
    large: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def pointer(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @property
    def oid(self) -> str:
        blob = self.pointer if self.large else self.data
        return hashlib.sha1(b"blob %d\0" % len(blob) + blob).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.oid

    def describe(self, path: str) -> dict[str, Any]:
        facts = {"type": "file", "path": path, "size": len(self.data), "oid": self.oid}
        if self.large:
            facts["lfs"] = {"oid": self.sha256, "size": len(self.data), "pointerSize": len(self.pointer)}
        return facts


@dataclass(frozen=True)
class Commit:
    title: str
    files: dict[str, File]
    parent: "Commit | None" = None

    @property
    def oid(self) -> str:
        tree = "".join(f"{path} {file.oid}\n" for path, file in sorted(self.files.items()))
        text = f"{self.parent.oid if self.parent else ''}\n{self.title}\n{tree}"
        return hashlib.sha1(text.encode()).hexdigest()

    @property
    def history(self) -> "list[Commit]":
        """This commit and all before it, the newest first."""
        return [self, *(self.parent.history if self.parent else [])]

    @property
    def date(self) -> str:
        """Commits are a minute apart, so that dates follow from the history."""
        return f"{datetime(2026, 1, 1) + timedelta(minutes=len(self.history)):%Y-%m-%dT%H:%M:%S.000Z}"


@dataclass
class Repo:
    kind: Literal["model", "dataset", "space"]
    name: str
    private: bool = False
    branches: dict[str, Commit] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        self.branches.setdefault("main", Commit("initial commit", {".gitattributes": File(GITATTRIBUTES)}))

    def at(self, revision: str) -> Commit:
        """The commit of a branch, a pull request or a hash."""
        if revision in self.branches:
            return self.branches[revision]
        for commit in (commit for head in self.branches.values() for commit in head.history):
            if commit.oid == revision:
                return commit
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def commit(self, title: str, changes: dict[str, File | None], branch: str = "main") -> Commit:
        """Put a commit on a branch; None removes a file. Tests use it as somebody else's push."""
        head = self.branches[branch]
        files = {path: file for path, file in {**head.files, **changes}.items() if file is not None}
        self.branches[branch] = Commit(title, files, head)
        return self.branches[branch]


@dataclass
class Request:
    method: str
    path: str
    authorization: str | None
    sent: int = 0  # bytes of its body that arrived


@dataclass
class Fault:
    """What goes wrong with the next `times` requests of a method whose path matches."""

    method: str
    path: str
    times: int
    status: int | None
    cut: Literal["request", "reply", "work"] | None
    first: Callable[[], Any] | None


class Refusal(Exception):
    def __init__(self, status: int, code: str | None, message: str):
        self.status, self.code, self.message = status, code, message


class LoopbackHub:
    """
    The server. Writing needs `TOKEN`, and so does reading a private repository.

    Attributes: `url`; `repos` by (kind, "org/name"); `large`, the large objects that arrived, by SHA-256, whether a
    commit names them or not; `requests`, all that came, in order.
    """

    def __init__(self):
        self.repos: dict[tuple[str, str], Repo] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.lock = threading.RLock()
        self._faults: list[Fault] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home, token: str | None = TOKEN) -> dict[str, str]:
        """What a fresh process needs to take this for the Hub, with caches of its own in `home`."""
        own = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "NO_PROXY": "*"}
        return {**own, **quiet, **({"HF_TOKEN": token} if token else {})}

    def fail(
        self,
        method: str,
        path: str,
        times: int = 1,
        *,
        status: int | None = None,
        cut: Literal["request", "reply", "work"] | None = None,
        first: Callable[[], Any] | None = None,
    ) -> None:
        """
        Let the next `times` requests go wrong whose method and path (a regular expression) match.

        Args:
            status: answer with this status and do nothing.
            cut: close the connection in the middle of the request's body, in the middle of the reply's body, or
                ("work") when all is done, before any reply.
            first: call this, then answer as usual; a commit of somebody else that comes in between, for one.
        """
        self._faults.append(Fault(method, path, times, status, cut, first))

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self._faults:
                if fault.times and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def writes(self) -> list[Request]:
        """The requests that change something."""
        asks = ("/validate-yaml", "/paths-info/", "/preupload/", "objects/batch")
        return [r for r in self.requests if r.method not in ("GET", "HEAD") and not any(ask in r.path for ask in asks)]

    def repo(self, kind: str, name: str) -> Repo:
        try:
            return self.repos[kind, name]
        except KeyError:
            raise Refusal(404, "RepoNotFound", "Repository not found") from None


def metadata_errors(data: dict[str, Any]) -> list[str]:
    """What the Hub would not take or could not show of a card's metadata."""
    errors = []
    for key in ("license", "library_name"):
        if not isinstance(data.get(key, ""), str):
            errors.append(f'"{key}" must be a string')
    for result in (result for model in data.get("model-index", []) for result in model["results"]):
        for thing, key in (("task", "type"), ("dataset", "name"), ("dataset", "type")):
            if not result[thing].get(key):
                errors.append(f'"model-index": a result has no {thing}.{key}')
        for metric in result["metrics"]:
            if "type" not in metric or "value" not in metric:
                errors.append('"model-index": a metric has no type or no value')
    return errors


ROUTES: list[tuple[str, re.Pattern, str]] = []


def route(method: str, pattern: str):
    """The handler of a method and path. Groups of the pattern become arguments; {repo} is kind and name."""
    repo = r"(?:(?P<kind>models|datasets|spaces)/)?(?P<name>[\w.-]+/[\w.-]+)"

    def register(function):
        ROUTES.append((method, re.compile(pattern.replace("{repo}", repo) + "$"), function.__name__))
        return function

    return register


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LoopbackHub

    def log_message(self, *_):
        pass

    def do_GET(self):
        split = urlsplit(self.path)
        path, self.query = split.path, parse_qs(split.query)
        request = Request(self.command, self.path, self.headers.get("Authorization"))
        self.hub.requests.append(request)
        self.fault = self.hub.fault_for(self.command, path)
        try:
            self.body = self._read_body(request)
            if self.fault and self.fault.first:
                self.fault.first()
            if self.fault and self.fault.status:
                raise Refusal(self.fault.status, None, f"{HTTPStatus(self.fault.status).phrase} (switched on)")
            answer = self._dispatch(path)
            if self.fault and self.fault.cut == "work":
                raise ConnectionAbortedError
            if answer is not None:
                self._reply(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})
        except Refusal as refusal:
            headers = {"Content-Type": "application/json", "X-Error-Message": refusal.message}
            if refusal.code:
                headers["X-Error-Code"] = refusal.code
            self._reply(refusal.status, json.dumps({"error": refusal.message}).encode(), headers)
        except ConnectionError:
            self.close_connection = True

    do_HEAD = do_POST = do_PUT = do_GET

    def _dispatch(self, path: str) -> Any:
        method = "GET" if self.command == "HEAD" else self.command
        for routed, pattern, name in ROUTES:
            if routed == method and (match := pattern.match(path)):
                arguments = {key: unquote(value or "") for key, value in match.groupdict().items()}
                if "kind" in arguments:
                    arguments["repo"] = self._repo(KINDS.get(arguments.pop("kind"), "model"), arguments.pop("name"))
                return getattr(self, name)(**arguments)
        raise Refusal(404, None, f"This Hub has no {self.command} {path}")

    def _repo(self, kind: str, name: str) -> Repo:
        repo = self.hub.repo(kind, name)
        if repo.private and not self._known():
            raise Refusal(401, "RepoNotFound", "Repository not found")
        return repo

    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _authorize(self) -> None:
        if not self._known():
            raise Refusal(401, None, "Invalid username or password.")

    def _read_body(self, request: Request) -> bytes:
        """The body, by its length or in chunks; half of it when the connection is to be cut there."""
        body = bytearray()
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while length := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
        else:
            length = int(self.headers.get("Content-Length") or 0)
            half = self.fault and self.fault.cut == "request"
            body += self.rfile.read(length // 2 if half else length)
        request.sent = len(body)
        if self.fault and self.fault.cut == "request":
            raise ConnectionAbortedError
        return bytes(body)

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.fault and self.fault.cut == "reply":
            self.wfile.write(body[: len(body) // 2])
            raise ConnectionAbortedError
        self.wfile.write(body)

    # Who and what

    @route("GET", "/api/whoami-v2")
    def whoami(self):
        self._authorize()
        return {"type": "user", "name": "org", "orgs": [], "auth": {"accessToken": {"role": "write"}}}

    @route("POST", "/api/repos/create")
    def create(self):
        self._authorize()
        asked = json.loads(self.body)
        kind, name = asked.get("type") or "model", f"{asked.get('organization') or 'org'}/{asked['name']}"
        url = f"{self.hub.url}/{PLACES[kind]}{name}"
        with self.hub.lock:
            if (kind, name) in self.hub.repos:
                self._reply(409, json.dumps({"error": "You already created this repo", "url": url}).encode(), {})
                return None
            private = asked.get("private") or asked.get("visibility") == "private"
            self.hub.repos[kind, name] = Repo(kind, name, bool(private))
        return {"url": url, "name": name}

    @route("POST", "/api/validate-yaml")
    def validate_yaml(self):
        """A card's metadata: YAML, with a model-index that has all that the Hub shows."""
        match = re.match(r"\s*---\r?\n(.*?)\r?\n---", json.loads(self.body)["content"], re.DOTALL)
        try:
            errors = metadata_errors(yaml.safe_load(match[1]) if match else {})
        except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            errors = [f"malformed metadata: {error!r}"]
        body = {"errors": [{"message": message} for message in errors], "warnings": []}
        self._reply(400 if errors else 200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    # Reading

    @route("GET", r"/api/{repo}(?:/revision/(?P<revision>[^/]+))?")
    def info(self, repo: Repo, revision: str):
        commit = repo.at(revision or "main")
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        if "blobs" in self.query:
            for entry in siblings:
                facts = commit.files[entry["rfilename"]].describe(entry["rfilename"])
                lfs = {"lfs": {"sha256": facts["lfs"]["oid"], **facts["lfs"]}} if "lfs" in facts else {}
                entry.update(size=facts["size"], blobId=facts["oid"], **lfs)
        dates = {"createdAt": commit.history[-1].date, "lastModified": commit.date}
        counts = {"downloads": 0, "likes": 0, "tags": [], "gated": False, "disabled": False}
        identity = {"_id": repo.name, "id": repo.name, "author": repo.name.split("/")[0], "private": repo.private}
        return {**identity, **dates, **counts, "sha": commit.oid, "siblings": siblings}

    @route("GET", r"/api/{repo}/refs")
    def refs(self, repo: Repo):
        entries = [
            {"name": name, "ref": name if name.startswith("refs/") else f"refs/heads/{name}", "targetCommit": head.oid}
            for name, head in repo.branches.items()
        ]
        pulls = [entry for entry in entries if entry["ref"].startswith("refs/pr/")]
        return {"branches": [e for e in entries if e not in pulls], "pullRequests": pulls, "tags": [], "converts": []}

    @route("GET", r"/api/{repo}/commits/(?P<revision>[^/]+)")
    def commits(self, repo: Repo, revision: str):
        return [
            {"id": commit.oid, "title": commit.title, "message": "", "date": commit.date, "authors": [{"user": "org"}]}
            for commit in repo.at(revision).history
        ]

    @route("GET", r"/api/{repo}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?")
    def tree(self, repo: Repo, revision: str, folder: str):
        files = repo.at(revision).files
        inside = f"{folder.rstrip('/')}/" if folder else ""
        if inside and not any(path.startswith(inside) for path in files):
            raise Refusal(404, "EntryNotFound", f"{folder} does not exist on {revision}")
        recursive = self.query.get("recursive", ["false"])[0].lower() in ("1", "true")
        entries = {}
        for path in sorted(path for path in files if path.startswith(inside)):
            parts = path.removeprefix(inside).split("/")
            for depth in range(1, len(parts)) if recursive else range(1, min(2, len(parts))):
                parent = inside + "/".join(parts[:depth])
                entries[parent] = {"type": "directory", "path": parent, "size": 0, "oid": "0" * 40}
            if recursive or len(parts) == 1:
                entries[path] = files[path].describe(path)
        return list(entries.values())

    @route("POST", r"/api/{repo}/paths-info/(?P<revision>[^/]+)")
    def paths_info(self, repo: Repo, revision: str):
        files, found = repo.at(revision).files, []
        for path in parse_qs(self.body.decode()).get("paths", []):
            if path in files:
                found.append(files[path].describe(path))
            elif any(name.startswith(f"{path}/") for name in files):
                found.append({"type": "directory", "path": path, "size": 0, "oid": "0" * 40})
        return found

    @route("GET", r"/{repo}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
    def resolve(self, repo: Repo, revision: str, path: str):
        commit = repo.at(revision)
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        file = commit.files.get(path)
        if file is None:
            message = f"{path} does not exist on {revision}"
            self._reply(404, b"", {**headers, "X-Error-Code": "EntryNotFound", "X-Error-Message": message})
            return
        headers["ETag"] = f'"{file.etag}"'
        data, status = file.data, 200
        if asked := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
            if start >= len(data):
                self._reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
            data, status = data[start : end + 1], 206
        self._reply(status, data, headers)

    # Writing

    @route("POST", r"/api/{repo}/branch/(?P<branch>[^/]+)")
    def create_branch(self, repo: Repo, branch: str):
        self._authorize()
        if branch in repo.branches:
            raise Refusal(409, None, "Reference already exists")
        repo.branches[branch] = repo.at((json.loads(self.body or "{}") or {}).get("startingPoint") or "main")
        return {}

    @route("POST", r"/api/{repo}/variables")
    def add_variable(self, repo: Repo):
        self._authorize()
        asked = json.loads(self.body)
        repo.variables[asked["key"]] = asked["value"]
        return {name: {"value": value} for name, value in repo.variables.items()}

    @route("POST", r"/api/{repo}/preupload/(?P<revision>[^/]+)")
    def preupload(self, repo: Repo, revision: str):
        self._authorize()
        known = repo.at(revision).files
        answers = []
        for asked in json.loads(self.body)["files"]:
            path = asked["path"]
            large = path.endswith(LFS_SUFFIXES) or asked["size"] > 10_000_000
            answer = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            answers.append({**answer, "oid": known[path].etag} if path in known else answer)
        return {"files": answers}

    @route("POST", r"/{repo}\.git/info/lfs/objects/batch")
    def lfs_batch(self, repo: Repo):
        self._authorize()
        objects = json.loads(self.body)["objects"]
        for asked in objects:
            if asked["oid"] not in self.hub.large:
                upload = {"href": f"{self.hub.url}/lfs/{asked['oid']}"}
                asked["actions"] = {"upload": upload, "verify": {"href": f"{self.hub.url}/lfs/verify"}}
        return {"transfer": "basic", "objects": objects}

    @route("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})")
    def lfs_put(self, oid: str):
        """As at the real store, the address itself is the permission: no token comes here."""
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise Refusal(400, None, "The content does not have the hash that was announced")
        self.hub.large[oid] = self.body
        return {}

    @route("POST", "/lfs/verify")
    def lfs_verify(self):
        self._authorize()
        asked = json.loads(self.body)
        if len(self.hub.large.get(asked["oid"], b"")) != asked["size"]:
            raise Refusal(404, None, "No such object")
        return {}

    @route("POST", r"/api/{repo}/commit/(?P<revision>[^/]+)")
    def commit(self, repo: Repo, revision: str):
        self._authorize()
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        with self.hub.lock:
            head, target = repo.at(revision), revision
            if "create_pr" in self.query:
                number = 1 + sum(name.startswith("refs/pr/") for name in repo.branches)
                head, target = repo.at(header.get("parentCommit", head.oid)), f"refs/pr/{number}"
            elif header.get("parentCommit", head.oid) != head.oid:
                raise Refusal(412, None, "A commit has happened since. Please refresh and try again.")
            changes: dict[str, File | None] = {}
            for key, value in ((line["key"], line["value"]) for line in lines):
                if key == "file":
                    changes[value["path"]] = File(base64.b64decode(value["content"]))
                elif key == "lfsFile":
                    if value["oid"] not in self.hub.large:
                        raise Refusal(400, None, f"{value['path']}: its content was not uploaded")
                    changes[value["path"]] = File(self.hub.large[value["oid"]], large=True)
                elif key == "deletedFile":
                    if value["path"] not in head.files:
                        raise Refusal(404, "EntryNotFound", "A file with this name doesn't exist")
                    changes[value["path"]] = None
                elif key == "deletedFolder":
                    folder = value["path"].rstrip("/") + "/"
                    changes.update(dict.fromkeys(path for path in head.files if path.startswith(folder)))
            repo.branches[target] = head
            made = repo.commit(header["summary"], changes, target)
        place = f"{self.hub.url}/{PLACES[repo.kind]}{repo.name}"
        pull = f"{place}/discussions/{target.removeprefix('refs/pr/')}" if target.startswith("refs/pr/") else None
        return {
            "success": True,
            "commitOid": made.oid,
            "commitUrl": f"{place}/commit/{made.oid}",
            "pullRequestUrl": pull,
        }

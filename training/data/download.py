"""Open ECG data sets from PhysioNet, fetched file by file when asked for, and at no other time.

A collection lists its files with their SHA-256; that list decides what is fetched. A file arrives under its name with
".part", goes on from there after an interruption, and gets its name when its hash is right. Killed at any moment and
run again, the result is the same. Only `merit download` and callers of `download` start a transfer.
"""

import errno
import hashlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import quote

from filelock import FileLock, Timeout

# The HTTP client of huggingface_hub: httpx in its version 1, httpx2 in version 2.
from huggingface_hub.utils import httpx
from tqdm.auto import tqdm

from .open_datasets import OPEN_DATASETS, OpenDataset

PHYSIONET = "https://physionet.org/files"
# A request that brings nothing new is repeated after 1, 2, 4, ... seconds, so often and so long at most.
_FRUITLESS_ATTEMPTS = 6
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 60.0
_TIMEOUT = 30.0


class DownloadError(OSError):
    """What could not be fetched, why, and what to do about it."""


def download(
    name: str,
    directory: str | os.PathLike,
    only: Sequence[str] = (),
    connections: int = 4,
    base_url: str = PHYSIONET,
    progress: bool = True,
) -> Path:
    """Fetch an open data set, or what is missing or damaged of it, in the tree that PhysioNet gives it.

    Every file that is there already is checked against its hash, so that running this again proves a tree whole. The
    list of hashes stays in the directory, as SLUG-VERSION.sha256.

    Args:
        name: a key of `OPEN_DATASETS`. `OPEN_DATASETS[name].notice()` gives licence and citation.
        directory: where the tree is to be; made if absent.
        only: beginnings of the paths to fetch, such as "records100" or "files/p100"; all by default. The files at the
            root of the collection (tables, licence) always come.
        connections: how many files are fetched at the same time.
        base_url: a mirror with the layout of https://physionet.org/files.
        progress: show a progress bar over the files.

    Returns:
        The directory.

    Raises:
        DownloadError: when a file cannot be fetched, stored or verified. All that has arrived stays.
        ValueError: for an unknown name, fewer connections than one, or a mirror that is no address.

    >>> download("ptbxl", "ptb-xl", only=["records100"])  # doctest: +SKIP
    PosixPath('ptb-xl')
    """
    if name not in OPEN_DATASETS:
        raise ValueError(f"there is no open data set {name!r}; there are {', '.join(OPEN_DATASETS)}")
    if connections < 1:
        raise ValueError(f"the number of connections must be at least 1, not {connections}")
    if not re.match("https?://[^/]", base_url):
        raise ValueError(f"a mirror has an address such as {PHYSIONET}, not {base_url!r}")
    dataset, directory = OPEN_DATASETS[name], Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    checksums = directory / f"{dataset.slug}-{dataset.version}.sha256"
    others = sorted({*directory.glob("*.sha256")} - {checksums})
    if others:
        raise DownloadError(f"{directory} holds {others[0].stem}, which is not {dataset.title}; name another directory")

    client = httpx.Client(
        headers={"User-Agent": "merit-ecg", "Accept-Encoding": "identity"}, timeout=_TIMEOUT, follow_redirects=True
    )
    try:
        with FileLock(directory / ".download.lock", timeout=0), client:
            transfer = _Transfer(client, f"{base_url.rstrip('/')}/{dataset.slug}/{dataset.version}", directory)
            if not checksums.exists():
                transfer.fetch_checksums(checksums)
            beginnings = tuple(only) or ("",)
            total = _count(checksums, dataset, beginnings)
            entries = (entry for entry in _entries(checksums) if _is_wanted(entry[1], dataset, beginnings))
            with tqdm(total=total, desc=dataset.title, unit="file", disable=not progress) as bar:
                transfer.fetch_all(entries, bar, connections)
    except Timeout:
        raise DownloadError(f"another download into {directory} is running; wait for it, or end it first") from None
    return directory


def _entries(checksums: Path) -> Iterator[tuple[str, str]]:
    """SHA-256 and path of every file of a collection. The list comes from elsewhere: no path may leave the tree."""
    with open(checksums, encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            match = re.fullmatch(r"([0-9a-f]{64})  ?([^\n]+)\n", line)
            if match is None:
                raise DownloadError(
                    f"{checksums}, line {number}: {line[:200]!r} is not a SHA-256 and a path; remove the file and try "
                    "again, and if it comes back like this, take another mirror"
                )
            digest, path = match.groups()
            if not path.isprintable() or {"", ".", ".."} & {*path.split("/")} or re.search(r"[\\:]", path):
                raise DownloadError(
                    f"{checksums}, line {number}: the path {path!r} does not stay inside the data set; nothing was "
                    "fetched; do not trust this mirror"
                )
            yield digest, path


def _is_wanted(path: str, dataset: OpenDataset, beginnings: tuple[str, ...]) -> bool:
    return "/" not in path or (path.startswith(dataset.folder) and path.startswith(beginnings))


def _count(checksums: Path, dataset: OpenDataset, beginnings: tuple[str, ...]) -> int:
    """How many files are wanted. Every beginning must be that of some file below the root."""
    total, found, folders = 0, set(), set()
    for _, path in _entries(checksums):
        total += _is_wanted(path, dataset, beginnings)
        if "/" in path and path.startswith(dataset.folder):
            found.update(beginning for beginning in beginnings if path.startswith(beginning))
            folders.add(dataset.folder + path.removeprefix(dataset.folder).partition("/")[0])
    missing = [beginning for beginning in beginnings if beginning not in found]
    if missing:
        raise DownloadError(
            f"{checksums} lists no file of {dataset.title} that begins with {missing[0]!r}; "
            f"there are {', '.join(sorted(folders)[:10]) or 'none at all'}"
        )
    return total


class _Stopped(Exception):
    """Another thread has failed, or the user has had enough."""


class _Transfer:
    """Fetches files of one collection into one directory."""

    def __init__(self, client: "httpx.Client", url: str, directory: Path):
        self.client, self.url, self.directory = client, url, directory
        self.stopped = threading.Event()

    def fetch_checksums(self, checksums: Path) -> None:
        """The list of hashes has none itself: it starts anew each time and counts once every line has been read."""
        part = _part(checksums)
        part.unlink(missing_ok=True)
        self._fetch("SHA256SUMS.txt", part)
        for _ in _entries(part):
            pass
        part.replace(checksums)

    def fetch_all(self, entries: Iterator[tuple[str, str]], bar: tqdm, connections: int) -> None:
        """Fetch the `bar.total` files of `entries` in threads; the first error ends it."""
        outcomes: SimpleQueue[Exception | None] = SimpleQueue()
        turn = threading.Lock()

        def work() -> None:
            try:
                while True:
                    with turn:
                        entry = next(entries, None)
                    if entry is None:
                        return
                    self._fetch_verified(*entry)
                    outcomes.put(None)
            except Exception as error:
                outcomes.put(error)

        # Daemons: whoever interrupts the program does not wait for a server that has gone silent.
        threads = [threading.Thread(target=work, daemon=True) for _ in range(connections)]
        try:
            for thread in threads:
                thread.start()
            for _ in range(bar.total):
                error = outcomes.get()
                if error is not None:
                    raise error
                bar.update()
        finally:
            self.stopped.set()
            for thread in threads:
                thread.join(timeout=1)

    def _fetch_verified(self, digest: str, path: str) -> None:
        target = self.directory / path
        if target.is_file() and _sha256(target) == digest:
            return
        part = _part(target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # The first attempt may have gone on from damaged bytes; the second starts from nothing.
            for _ in range(2):
                self._fetch(path, part)
                if _sha256(part) == digest:
                    part.replace(target)
                    return
                part.unlink()
        except DownloadError:
            raise
        except OSError as error:
            advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "see to that"
            raise DownloadError(
                f"cannot store {target}: {error.strerror}; {advice} and run the same command again, which keeps what "
                "has arrived"
            ) from error
        raise DownloadError(
            f"{self.url}/{path} came twice with a SHA-256 that is not {digest}; try again later or from another mirror"
        )

    def _fetch(self, path: str, part: Path) -> None:
        """Bring `part` to its end, over as many interruptions as it takes while each attempt brings something new."""
        longest, fruitless = _size(part), 0
        while True:
            try:
                return self._request(path, part)
            except httpx.HTTPStatusError as failed:
                status = failed.response.status_code
                if status < 500 and status != 429:
                    raise DownloadError(
                        f"{self.url}/{path}: the server answers {status} {failed.response.reason_phrase}; is it a "
                        "mirror of PhysioNet, and does it let you in?"
                    ) from failed
                error, wish = f"{status} {failed.response.reason_phrase}", failed.response.headers.get("Retry-After")
            except httpx.RequestError as failed:
                error, wish = str(failed) or type(failed).__name__, None
            fruitless = 0 if _size(part) > longest else fruitless + 1
            longest = max(longest, _size(part))
            if fruitless == _FRUITLESS_ATTEMPTS:
                raise DownloadError(
                    f"{self.url}/{path}: {fruitless} attempts in a row brought nothing, the last with: {error}; look "
                    "after the connection and run the same command again, which keeps what has arrived"
                )
            delay = max(_FIRST_DELAY * 2**fruitless, float(wish) if wish and wish.isdecimal() else 0.0)
            if self.stopped.wait(min(delay, _LONGEST_DELAY)):
                raise _Stopped

    def _request(self, path: str, part: Path) -> None:
        """Ask once for what `part` lacks and store what comes."""
        held = _size(part)
        headers = {"Range": f"bytes={held}-"} if held else {}
        with self.client.stream("GET", f"{self.url}/{quote(path)}", headers=headers) as response:
            if held and response.status_code == 416:
                return  # nothing follows the bytes held; the hash will say whether they are right
            response.raise_for_status()
            goes_on = response.status_code == 206
            if goes_on and not (held and response.headers.get("Content-Range", "").startswith(f"bytes {held}-")):
                raise httpx.RemoteProtocolError(f"asked for the bytes from {held}, it sent others")
            # A server that does not know ranges answers 200 and sends the whole file.
            with open(part, "ab" if goes_on else "wb") as file:
                for chunk in response.iter_raw():
                    if self.stopped.is_set():
                        raise _Stopped
                    file.write(chunk)


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()

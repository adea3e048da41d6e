"""Download open ECG data sets from PhysioNet, file by file.

A collection lists its files with their SHA-256, and this list determines what is fetched. A file is written under its
name with ".part", continues from there after an interruption, and is renamed once its hash is correct, so a download
that is killed at any moment and started again gives the same result. Only `merit download` and callers of `download`
start a transfer.
"""

import errno
import hashlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import quote, urljoin, urlsplit

from filelock import FileLock, Timeout

# The HTTP client of huggingface_hub: httpx in its version 1, httpx2 in version 2.
from huggingface_hub.utils import httpx
from tqdm import tqdm

from ..results.progress import progress_bar
from .open_datasets import OPEN_DATASETS, OpenDataset

PHYSIONET = "https://physionet.org/files"
# A request that brings no new bytes is repeated after 1, 2, 4, ... seconds, up to these limits.
_FRUITLESS_ATTEMPTS = 6
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 60.0
_TIMEOUT = 30.0
_MAX_REDIRECTS = 5
# The list of MIMIC-IV-ECG, the longest, has about 200 MB.
_MAX_CHECKSUMS = 1 << 29


class DownloadError(OSError):
    """A file could not be downloaded; the message says why, and what to do."""


def download(
    name: str,
    directory: str | os.PathLike,
    only: Sequence[str] = (),
    connections: int = 4,
    base_url: str = PHYSIONET,
    progress: bool = True,
) -> Path:
    """Download an open data set, or what is missing or damaged of it, in the layout of PhysioNet.

    Files that exist already are compared with their hash, so running this again verifies a data set. The list of hashes
    stays in the directory, as SLUG-VERSION.sha256.

    Args:
        name: a key of `OPEN_DATASETS`. `OPEN_DATASETS[name].notice()` gives licence and citation.
        directory: folder of the data set; created if absent.
        only: prefixes of the paths to fetch, such as "records100" or "files/p100"; everything by default. Files at the
            root of the collection (tables, licence) are always fetched.
        connections: number of files fetched at the same time.
        base_url: a mirror with the layout of https://physionet.org/files; it may be http.
        progress: show a progress bar over the files.

    Returns:
        The directory.

    Raises:
        DownloadError: a file cannot be fetched, stored or verified. What has arrived is kept.
        ValueError: the name is unknown, `connections` is below 1, or `base_url` is not an address.

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

    client = httpx.Client(headers={"User-Agent": "merit-ecg", "Accept-Encoding": "identity"}, timeout=_TIMEOUT)
    try:
        with FileLock(directory / ".download.lock", timeout=0), client:
            url = f"{base_url.rstrip('/')}/{dataset.slug}/{dataset.version}"
            transfer = _Transfer(client, url, directory, dataset.max_bytes)
            if not checksums.exists():
                transfer.fetch_checksums(checksums)
            prefixes = tuple(only) or ("",)
            total = _count(checksums, dataset, prefixes)
            entries = (entry for entry in _entries(checksums) if _is_selected(entry[1], dataset, prefixes))
            with progress_bar(total, f"Downloading {dataset.title}", "files", disable=not progress) as bar:
                transfer.fetch_all(entries, bar, connections)
    except Timeout:
        raise DownloadError(f"another download into {directory} is running; wait for it, or end it first") from None
    return directory


def _entries(checksums: Path) -> Iterator[tuple[str, str]]:
    """Yield SHA-256 and path of every file of a collection; a path that leaves the folder is an error."""
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


def _is_selected(path: str, dataset: OpenDataset, prefixes: tuple[str, ...]) -> bool:
    return "/" not in path or (path.startswith(dataset.folder) and path.startswith(prefixes))


def _count(checksums: Path, dataset: OpenDataset, prefixes: tuple[str, ...]) -> int:
    """Count the files to fetch; every prefix must match a file below the root of the collection."""
    total, found, folders = 0, set(), set()
    for _, path in _entries(checksums):
        total += _is_selected(path, dataset, prefixes)
        if "/" in path and path.startswith(dataset.folder):
            found.update(prefix for prefix in prefixes if path.startswith(prefix))
            folders.add(dataset.folder + path.removeprefix(dataset.folder).partition("/")[0])
    missing = [prefix for prefix in prefixes if prefix not in found]
    if missing:
        raise DownloadError(
            f"{checksums} lists no file of {dataset.title} that begins with {missing[0]!r}; "
            f"there are {', '.join(sorted(folders)[:10]) or 'none at all'}"
        )
    return total


class _Stopped(Exception):
    """Another thread failed, or the user interrupted the download."""


class _Transfer:
    """Fetches files of one collection into one directory."""

    def __init__(self, client: "httpx.Client", url: str, directory: Path, max_bytes: int):
        self.client, self.url, self.directory, self.max_bytes = client, url, directory, max_bytes
        self.stopped = threading.Event()

    def fetch_checksums(self, checksums: Path) -> None:
        """Fetch the list of hashes, which has no hash itself: it always starts anew, and every line is checked."""
        part = _part(checksums)
        part.unlink(missing_ok=True)
        self._fetch("SHA256SUMS.txt", part, _MAX_CHECKSUMS)
        for _ in _entries(part):
            pass
        part.replace(checksums)

    def fetch_all(self, entries: Iterator[tuple[str, str]], bar: tqdm, connections: int) -> None:
        """Fetch the `bar.total` files of `entries` in threads; the first error stops all."""
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

        # Daemon threads, so that an interrupt does not wait for a server that no longer answers.
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
        part = _part(target)
        try:
            if target.is_file() and _sha256(target) == digest:
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            # The first attempt may have continued damaged bytes; the second starts from the prefix.
            for _ in range(2):
                self._fetch(path, part, self.max_bytes)
                if _sha256(part) == digest:
                    part.replace(target)
                    return
                part.unlink()
        except DownloadError:
            raise
        except OSError as error:
            advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "correct that"
            raise DownloadError(
                f"cannot store {target}: {error.strerror}; {advice} and run the same command again, which keeps what "
                "has arrived"
            ) from error
        raise DownloadError(
            f"{self.url}/{path} came twice with a SHA-256 that is not {digest}; try again later or from another mirror"
        )

    def _fetch(self, path: str, part: Path, max_bytes: int) -> None:
        """Complete `part`, with any number of interruptions as long as attempts bring new bytes."""
        longest, fruitless = _size(part), 0
        while True:
            try:
                return self._request(path, part, max_bytes)
            except httpx.HTTPStatusError as failed:
                status = failed.response.status_code
                if status < 500 and status != 429:
                    raise DownloadError(
                        f"{self.url}/{path}: the server answers {status} {failed.response.reason_phrase}; is it a "
                        "mirror of PhysioNet, and does it let you in?"
                    ) from failed
                error, retry_after = (
                    f"{status} {failed.response.reason_phrase}",
                    failed.response.headers.get("Retry-After"),
                )
            except (httpx.InvalidURL, httpx.RequestError) as failed:
                # For an invalid address in a redirect, version 1 raises a RequestError in place of the InvalidURL.
                if isinstance(failed, httpx.InvalidURL) or isinstance(failed.__context__, httpx.InvalidURL):
                    raise DownloadError(
                        f"{self.url}/{path} is not a valid address or redirects to none: {failed}; take another mirror"
                    ) from failed
                error, retry_after = str(failed) or type(failed).__name__, None
            fruitless = 0 if _size(part) > longest else fruitless + 1
            longest = max(longest, _size(part))
            if fruitless == _FRUITLESS_ATTEMPTS:
                raise DownloadError(
                    f"{self.url}/{path}: {fruitless} attempts in a row brought nothing, the last with: {error}; check "
                    "the connection and run the same command again, which keeps what has arrived"
                )
            delay = max(
                _FIRST_DELAY * 2**fruitless, float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
            )
            if self.stopped.wait(min(delay, _LONGEST_DELAY)):
                raise _Stopped

    def _request(self, path: str, part: Path, max_bytes: int) -> None:
        """Request once what `part` lacks and append what arrives, up to the announced size."""
        held = _size(part)
        headers = {"Range": f"bytes={held}-"} if held else {}
        with self._open(f"{self.url}/{quote(path)}", headers) as response:
            if held and response.status_code == 416:
                return  # the file ends where `part` does; the hash tells whether its bytes are correct
            response.raise_for_status()
            goes_on = response.status_code == 206
            if goes_on and not (held and response.headers.get("Content-Range", "").startswith(f"bytes {held}-")):
                raise httpx.RemoteProtocolError(f"it sent other bytes than the requested ones from {held} on")
            # A server without support for ranges answers 200 and sends the whole file.
            size = held if goes_on else 0
            announced = _announced_size(response, size)
            if announced is not None and announced > max_bytes:
                raise DownloadError(
                    f"{self.url}/{path} announces {announced} bytes, more than the {max_bytes} that it may have; do "
                    "not trust this mirror"
                )
            limit = max_bytes if announced is None else announced
            with open(part, "ab" if goes_on else "wb") as file:
                for chunk in response.iter_raw():
                    if self.stopped.is_set():
                        raise _Stopped
                    size += len(chunk)
                    if size > limit:
                        file.close()
                        part.unlink()
                        raise DownloadError(
                            f"{self.url}/{path} sends more than the {limit} bytes that it announces or may have; do "
                            "not trust this mirror"
                        )
                    file.write(chunk)

    @contextmanager
    def _open(self, url: str, headers: dict[str, str]) -> Iterator["httpx.Response"]:
        """Request an address and follow redirects, which must stay on its host and may not leave https."""
        for _ in range(_MAX_REDIRECTS):
            with self.client.stream("GET", url, headers=headers) as response:
                if not (response.is_redirect and "Location" in response.headers):
                    yield response
                    return
                target = response.headers["Location"]
            if not _is_allowed_redirect(url, target):
                raise DownloadError(
                    f"{url} redirects to {target}, which is another host or not secure; do not trust this mirror"
                )
            url = urljoin(url, target)
        raise DownloadError(f"{self.url} redirects more than {_MAX_REDIRECTS} times; take another mirror")


def _announced_size(response: "httpx.Response", held: int) -> int | None:
    """Return the size of the whole file that a response announces, None if it announces none."""
    total = re.fullmatch(r"bytes \d+-\d+/(\d{1,18})", response.headers.get("Content-Range", ""))
    if total and response.status_code == 206:
        return int(total[1])
    length = response.headers.get("Content-Length", "")
    return held + int(length) if re.fullmatch(r"\d{1,18}", length) else None


def _is_allowed_redirect(url: str, target: str) -> bool:
    """Whether a redirect stays on the host or its subdomains, and on https if it started there."""
    try:
        old, new = urlsplit(url), urlsplit(urljoin(url, target))
        host, new_host = old.hostname or "", new.hostname or ""
    except ValueError:
        return False
    same_host = bool(host) and (new_host == host or new_host.endswith(f".{host}"))
    return same_host and (new.scheme == "https" or (new.scheme == "http" and old.scheme == "http"))


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

"""Downloads from a local server that fails in the ways real servers do."""

import contextlib
import hashlib
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from merit.commands import main
from merit.training.data import download as downloading
from merit.training.data.download import DownloadError, download
from merit.training.data.open_datasets import OPEN_DATASETS

PTBXL = "/ptb-xl/1.0.3/"
LIST = "SHA256SUMS.txt"


class Mirror:
    """A server of one collection.

    `faults` holds, for a path, the fault of each request in turn: "drop" and "stall" after half of the bytes,
    "corrupt", "truncate", "others" (bytes that were not requested), "endless" (no announced size), "longer" (than the
    announced range), a status, or an address to redirect to. `log` holds every request as (path, first byte, bytes
    sent).
    """

    def __init__(self, files, root=PTBXL):
        self.files = files
        self.root = root
        self.faults = {}
        self.ranges = True
        self.retry_after = None
        self.log = []
        self.times = []
        self.stalled, self.release = threading.Event(), threading.Event()
        self.list_files()
        handler = type("Handler", (_Handler,), {"mirror": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def list_files(self):
        lines = [f"{_sha256(content)} {path}\n" for path, content in self.files.items() if path != LIST]
        self.files[LIST] = "".join(lines).encode()

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    def requests(self, path):
        return [first for requested, first, _ in self.log if requested == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body leave in two pieces

    def do_GET(self):
        mirror = self.mirror
        path = unquote(self.path).removeprefix(mirror.root)
        fault = next(mirror.faults.get(path, iter(())), None)
        content = mirror.files.get(path)
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if mirror.ranges else None
        first = int(match[1]) if match else 0
        mirror.times.append(time.monotonic())
        if isinstance(fault, str) and ":" in fault:
            mirror.log.append((path, first, 0))
            self.send_response(302)
            self.send_header("Location", fault)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault in ("endless", "longer"):
            self._send_too_much(path, content, fault)
            return
        if content is None or isinstance(fault, int) or first >= len(content) > 0:
            status = fault or (404 if content is None else 416)
            mirror.log.append((path, first, 0))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            if mirror.retry_after is not None:
                self.send_header("Retry-After", mirror.retry_after)
            self.end_headers()
            return
        body = content[first:]
        if fault == "corrupt":
            body = bytes([body[0] ^ 1]) + body[1:]
        if fault == "truncate":
            body = body[: len(body) // 2]
        self.send_response(206 if match or fault == "others" else 200)
        if match or fault == "others":
            start = first + (fault == "others")
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault in ("drop", "stall"):
            body = body[: len(body) // 2]
        mirror.log.append((path, first, len(body)))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a client may turn away
            self.wfile.write(body)
        if fault == "stall":
            mirror.stalled.set()
            mirror.release.wait()
        if fault in ("drop", "stall"):
            self.close_connection = True

    def _send_too_much(self, path, content, fault):
        """Send chunks without an announced size, or more than the size of an announced range."""
        self.send_response(200 if fault == "endless" else 206)
        if fault == "longer":
            held = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.send_header("Content-Range", f"bytes {held}-{len(content) - 1}/{len(content)}")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 1 << 24:
                self.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
                sent += 1 << 16
        self.mirror.log.append((path, 0, sent))
        self.close_connection = True

    def log_message(self, *_):
        pass


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


def _bytes(size, seed):
    return np.random.default_rng(seed).bytes(size)


def _tree(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def _served(mirror, *paths):
    """Return the expected content of a directory: these paths, or all, and the two files of the download itself."""
    paths = paths or [path for path in mirror.files if path != LIST]
    own = {"ptb-xl-1.0.3.sha256": mirror.files[LIST], ".download.lock": b""}
    return {path: mirror.files[path] for path in paths} | own


@pytest.fixture(autouse=True)
def short_delays(monkeypatch):
    monkeypatch.setattr(downloading, "_FIRST_DELAY", 0.001)


@pytest.fixture
def serve():
    mirrors = []

    def start(files, root=PTBXL):
        mirrors.append(Mirror(files, root))
        return mirrors[-1]

    yield start
    for mirror in mirrors:
        mirror.close()


@pytest.fixture
def mirror(serve):
    return serve(
        {
            "LICENSE.txt": b"CC BY 4.0\n",
            "ptbxl_database.csv": _bytes(400_000, 1),
            "records100/00000/00001_lr.hea": b"",
            "records100/00000/00001_lr.dat": _bytes(24_000, 2),
            "records100/00000/00002 #lr+%41.dat": _bytes(24_000, 3),
            "records500/00000/00001_hr.dat": _bytes(600_000, 4),
        }
    )


@pytest.fixture
def fetch(mirror, tmp_path):
    def run(name="ptbxl", only=(), connections=4):
        return download(name, tmp_path / "tree", only, connections, mirror.url, progress=False)

    return run


def test_a_download_holds_all_files_and_no_others(mirror, fetch):
    assert _tree(fetch()) == _served(mirror)


@pytest.mark.parametrize("connections", [1, 2, 9])
def test_the_number_of_connections_does_not_matter(mirror, fetch, connections):
    assert _tree(fetch(connections=connections)) == _served(mirror)


def test_a_part_of_ptbxl_includes_the_tables_and_loads(serve, simulated, tmp_path):
    from merit.training.data.catalogue import load_ptbxl

    mirror = serve(_tree(simulated) | {"records500/00000/00001_hr.dat": b"not wanted"})
    directory = download("ptbxl", tmp_path / "tree", ["records100"], base_url=mirror.url, progress=False)
    assert not (directory / "records500").exists()
    splits = load_ptbxl(directory, cache_dir=tmp_path / "arrow")
    assert sum(map(len, splits.values())) == 120


def test_a_second_run_verifies_and_fetches_nothing(mirror, fetch):
    fetch()
    mirror.log.clear()
    assert _tree(fetch()) == _served(mirror)
    assert mirror.log == []


def test_a_damaged_and_a_missing_file_are_fetched_again_and_no_other(mirror, fetch):
    directory = fetch()
    (directory / "LICENSE.txt").unlink()
    damaged = directory / "records100/00000/00001_lr.dat"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    mirror.log.clear()
    assert _tree(fetch()) == _served(mirror)
    assert {path for path, *_ in mirror.log} == {"LICENSE.txt", "records100/00000/00001_lr.dat"}


def test_a_dropped_connection_continues_where_it_stopped(mirror, fetch):
    path = "records500/00000/00001_hr.dat"
    mirror.faults[path] = iter(["drop", "drop", "drop"])
    assert _tree(fetch()) == _served(mirror)
    starts = mirror.requests(path)
    assert len(starts) == 4
    assert starts == sorted(starts)
    assert starts[1] > 0
    assert starts[1] <= 300_000


def test_connections_may_drop_often_if_each_brings_new_bytes(mirror, fetch):
    path = "records500/00000/00001_hr.dat"
    mirror.faults[path] = iter(["drop"] * (downloading._FRUITLESS_ATTEMPTS + 3))
    assert _tree(fetch()) == _served(mirror)
    assert len(mirror.requests(path)) == downloading._FRUITLESS_ATTEMPTS + 4


def test_the_list_of_hashes_is_retried_too(mirror, fetch):
    mirror.faults[LIST] = iter(["drop", 503])
    assert _tree(fetch()) == _served(mirror)


def test_a_server_without_ranges_sends_whole_files(mirror, fetch):
    mirror.ranges = False
    mirror.faults["records500/00000/00001_hr.dat"] = iter(["drop", "drop"])
    assert _tree(fetch()) == _served(mirror)
    assert mirror.requests("records500/00000/00001_hr.dat") == [0, 0, 0]


def test_bytes_that_were_not_requested_are_not_stored(mirror, fetch):
    path = "records500/00000/00001_hr.dat"
    mirror.faults[path] = iter(["others", "drop", "others"])
    assert _tree(fetch()) == _served(mirror)
    assert len(mirror.requests(path)) == 4


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_retried(mirror, fetch, status):
    mirror.faults["LICENSE.txt"] = iter([status, status])
    assert _tree(fetch()) == _served(mirror)
    assert len(mirror.requests("LICENSE.txt")) == 3


def test_retry_after_is_respected(mirror, fetch):
    mirror.faults[LIST] = iter([503])
    mirror.retry_after = "1"
    fetch()
    assert mirror.times[1] - mirror.times[0] >= 1


def test_a_server_that_stays_down_is_an_error(mirror, fetch, tmp_path):
    mirror.faults["ptbxl_database.csv"] = itertools.repeat(503)
    with pytest.raises(DownloadError, match=r"ptbxl_database\.csv: 6 attempts .* 503 .* run the same command again"):
        fetch(connections=1)
    assert len(mirror.requests("ptbxl_database.csv")) == 6
    assert (tmp_path / "tree/LICENSE.txt").read_bytes() == mirror.files["LICENSE.txt"]


def test_an_unreachable_server_is_named(mirror, fetch):
    mirror.close()
    with pytest.raises(DownloadError, match=rf"{mirror.url}{PTBXL}SHA256SUMS\.txt: 6 attempts"):
        fetch()


@pytest.mark.parametrize("fault", ["corrupt", "truncate"])
def test_a_file_that_is_damaged_once_is_fetched_again(mirror, fetch, fault):
    mirror.faults["ptbxl_database.csv"] = iter([fault])
    assert _tree(fetch()) == _served(mirror)


def test_a_file_that_is_damaged_twice_is_an_error_and_is_not_kept(mirror, fetch, tmp_path):
    path = "records100/00000/00001_lr.dat"
    mirror.faults[path] = itertools.repeat("corrupt")
    with pytest.raises(DownloadError, match=r"00001_lr\.dat came twice with a SHA-256 that is not [0-9a-f]{64}"):
        fetch(connections=1)
    assert len(mirror.requests(path)) == 2
    first_three = ("LICENSE.txt", "ptbxl_database.csv", "records100/00000/00001_lr.hea")
    assert _tree(tmp_path / "tree") == _served(mirror, *first_three)


def test_damaged_bytes_of_an_earlier_run_are_discarded(mirror, fetch, tmp_path):
    for path, content in {"LICENSE.txt": b"?" * 30, "ptbxl_database.csv": b"?" * 1000}.items():
        (tmp_path / "tree").mkdir(exist_ok=True)
        (tmp_path / "tree" / f"{path}.part").write_bytes(content)
    assert _tree(fetch()) == _served(mirror)
    assert mirror.requests("LICENSE.txt") == [30, 0]
    assert mirror.requests("ptbxl_database.csv") == [1000, 0]


def test_a_complete_part_file_is_not_sent_again(mirror, fetch, tmp_path):
    part = tmp_path / "tree/ptbxl_database.csv.part"
    part.parent.mkdir()
    part.write_bytes(mirror.files["ptbxl_database.csv"])
    assert _tree(fetch()) == _served(mirror)
    assert [sent for path, _, sent in mirror.log if path == "ptbxl_database.csv"] == [0]


def test_a_missing_file_is_named_and_the_others_are_kept(mirror, fetch, tmp_path):
    del mirror.files["records100/00000/00001_lr.dat"]
    with pytest.raises(DownloadError, match=r"00001_lr\.dat: the server answers 404 Not Found"):
        fetch(connections=1)
    assert mirror.requests("records100/00000/00001_lr.dat") == [0]
    assert (tmp_path / "tree/ptbxl_database.csv").read_bytes() == mirror.files["ptbxl_database.csv"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_an_error_and_the_download_continues_later(mirror, fetch, tmp_path):
    part = tmp_path / "tree/ptbxl_database.csv.part"
    part.parent.mkdir()
    part.symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"ptbxl_database\.csv: No space left on device; free some space and run"):
        fetch()
    part.unlink()
    assert _tree(fetch()) == _served(mirror)


def test_a_folder_where_a_file_should_be_is_named(fetch, tmp_path):
    (tmp_path / "tree/LICENSE.txt").mkdir(parents=True)
    with pytest.raises(DownloadError, match=r"cannot store .*LICENSE\.txt: Is a directory"):
        fetch()


@pytest.mark.parametrize("path", [LIST, "records100/00000/00001_lr.dat"])
def test_an_endless_file_is_stopped_at_its_limit(mirror, fetch, tmp_path, monkeypatch, path):
    monkeypatch.setattr(downloading, "_MAX_CHECKSUMS", 100_000)
    monkeypatch.setattr(type(OPEN_DATASETS["ptbxl"]), "max_bytes", 1_000_000)
    mirror.faults[path] = iter(["endless"])
    with pytest.raises(
        DownloadError, match=r"sends more than the \d+ bytes that it announces or may have; do not trust"
    ):
        fetch(connections=1)
    assert not list((tmp_path / "tree").rglob("*.part"))
    assert _tree(fetch()) == _served(mirror)


def test_a_file_is_stopped_at_its_announced_size(mirror, fetch, tmp_path):
    part = tmp_path / "tree/ptbxl_database.csv.part"
    part.parent.mkdir()
    part.write_bytes(mirror.files["ptbxl_database.csv"][:1000])
    mirror.faults["ptbxl_database.csv"] = iter(["longer"])
    with pytest.raises(DownloadError, match=r"ptbxl_database\.csv sends more than the 400000 bytes"):
        fetch(connections=1)
    assert not part.exists()


def test_an_announced_size_beyond_the_data_set_is_refused_before_it_is_stored(mirror, fetch, tmp_path, monkeypatch):
    monkeypatch.setattr(type(OPEN_DATASETS["ptbxl"]), "max_bytes", 300_000)
    with pytest.raises(DownloadError, match=r"ptbxl_database\.csv announces 400000 bytes, more than the 300000"):
        fetch(connections=1)
    assert not (tmp_path / "tree/ptbxl_database.csv.part").exists()


def test_a_redirect_on_the_same_host_is_followed(mirror, fetch):
    path = "records500/00000/00001_hr.dat"
    mirror.faults[path] = iter([f"{mirror.url}{PTBXL}{path}", "drop"])
    assert _tree(fetch()) == _served(mirror)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "http://localhost:9/a", "http://[bad/a"])
def test_a_redirect_to_another_host_or_scheme_is_refused_at_once(mirror, fetch, target):
    mirror.faults[LIST] = itertools.repeat(target)
    with pytest.raises(DownloadError, match=r"redirects to .*, which is another host or not secure"):
        fetch()
    assert len(mirror.log) == 1


def test_a_redirect_to_an_invalid_address_is_refused_at_once(mirror, fetch):
    mirror.faults[LIST] = itertools.repeat("http://127.0.0.1:port/a")
    with pytest.raises(DownloadError, match=r"SHA256SUMS\.txt is not a valid address or redirects to none: .*mirror"):
        fetch()
    assert len(mirror.log) == 1


def test_a_name_that_is_too_long_is_an_error_that_names_the_file(mirror, fetch):
    mirror.files[LIST] += f"{'0' * 64}  {'a' * 300}\n".encode()
    with pytest.raises(DownloadError, match=r"cannot store .*aaa: File name too long"):
        fetch()


def test_a_redirect_loop_ends(mirror, fetch):
    mirror.faults[LIST] = itertools.repeat(f"{mirror.url}{PTBXL}{LIST}")
    with pytest.raises(DownloadError, match="redirects more than 5 times"):
        fetch()


@pytest.mark.parametrize(
    ("url", "target", "allowed"),
    [
        ("https://physionet.org/files/a", "https://physionet.org/other/a", True),
        ("https://physionet.org/files/a", "https://files.physionet.org/a", True),
        ("https://physionet.org/files/a", "http://physionet.org/files/a", False),
        ("https://physionet.org/files/a", "https://physionet.org.evil.com/a", False),
        ("https://physionet.org/files/a", "https://evilphysionet.org/a", False),
        ("https://files.physionet.org/a", "https://physionet.org/a", False),
        ("http://mirror.local/a", "http://mirror.local/b", True),
        ("http://mirror.local/a", "https://mirror.local/b", True),
        ("http://mirror.local/a", "http://169.254.169.254/b", False),
        ("https://physionet.org/a", "file://physionet.org/etc/passwd", False),
        ("https://physionet.org/a", "data:text/plain,x", False),
    ],
)
def test_redirects_stay_on_the_host_and_on_https(url, target, allowed):
    assert downloading._is_allowed_redirect(url, target) is allowed


@pytest.mark.parametrize(
    "path",
    ["../evil", "/evil", "a/../../evil", "a//evil", "./evil", "..", "a\\..\\evil", "C:evil", "a\x1bevil", "a\revil"],
)
def test_a_path_that_leaves_the_folder_stops_the_download_before_it_starts(mirror, fetch, tmp_path, path):
    mirror.files[LIST] += f"{'0' * 64}  {path}\n".encode()
    with pytest.raises(DownloadError, match=r"line 7: the path .* does not stay inside"):
        fetch()
    assert {requested for requested, *_ in mirror.log} == {LIST}
    assert {file.name for file in tmp_path.rglob("*")} == {"tree", ".download.lock", "ptb-xl-1.0.3.sha256.part"}


@pytest.mark.parametrize(
    "content", [b"<html>Please log in</html>\n", b"0" * 64 + b" a", b"0" * 63 + b" a\n", b"\xff\xfe\n", b"\n"]
)
def test_an_invalid_list_of_hashes_is_refused(mirror, fetch, content):
    good, mirror.files[LIST] = mirror.files[LIST], content
    with pytest.raises(DownloadError, match=r"line 1: .* is not a SHA-256 and a path"):
        fetch()
    mirror.files[LIST] = good
    assert _tree(fetch()) == _served(mirror)


@pytest.mark.parametrize("marks", ["  ", " "])
def test_both_formats_of_a_list_are_read(mirror, fetch, marks):
    mirror.files[LIST] = mirror.files[LIST].replace(b" ", marks.encode(), 1)
    assert _tree(fetch()) == _served(mirror)


def test_an_empty_list_is_an_error(mirror, fetch):
    mirror.files[LIST] = b""
    with pytest.raises(DownloadError, match=r"lists no file of PTB-XL .* there are none at all"):
        fetch()


def test_a_prefix_without_files_is_an_error_that_names_the_folders(fetch):
    with pytest.raises(DownloadError, match="begins with 'records250'; there are records100, records500"):
        fetch(only=["records100", "records250"])


def test_cpsc2018_and_georgia_are_separate_parts_of_one_collection(serve, tmp_path):
    files = {
        f"training/{folder}/g1/A0001.hea": folder.encode() for folder in ("cpsc_2018", "cpsc_2018_extra", "georgia")
    }
    mirror = serve({"LICENSE.txt": b"CC BY 4.0\n"} | files, "/challenge-2020/1.0.2/")
    directory = tmp_path / "challenge"
    for name, arrived in (("cpsc2018", {"cpsc_2018"}), ("georgia", {"cpsc_2018", "georgia"})):
        download(name, directory, base_url=mirror.url + "/", progress=False)
        assert {path.name for path in (directory / "training").iterdir()} == arrived
    assert mirror.requests("LICENSE.txt") == [0]
    with pytest.raises(DownloadError, match=r"holds challenge-2020-1\.0\.2, which is not Chapman-Shaoxing-Ningbo"):
        download("csn", directory, base_url=mirror.url, progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mitbih", "."), "there is no open data set 'mitbih'; there are ptbxl, cpsc2018, georgia, csn, mimic-iv-ecg"),
        (("ptbxl", ".", (), 0), "connections must be at least 1, not 0"),
        (("ptbxl", ".", (), 1, "physionet.org/files"), "not 'physionet.org/files'"),
        (("ptbxl", ".", (), 1, "file:///etc"), "not 'file:///etc'"),
    ],
)
def test_invalid_arguments_are_refused(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        download(*arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", OPEN_DATASETS)
def test_every_data_set_states_its_licence_and_citation(name):
    dataset = OPEN_DATASETS[name]
    assert re.search(r"\bLicence: .*(creativecommons|opendatacommons)\.org/licenses/", dataset.notice())
    assert re.search(r"https://doi\.org/10\.13026/\w{4}-\w{4}", dataset.citation)
    assert dataset.folder == "" or dataset.folder.endswith("/")


@pytest.fixture
def command(mirror, fresh_environment, tmp_path):
    """`merit download` in a process of its own, stalled by the server in the middle of the second file."""
    mirror.faults["ptbxl_database.csv"] = iter(["stall"])
    arguments = ["download", "ptbxl", "--output", tmp_path / "tree", "--mirror", mirror.url, "--connections", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "merit", *map(str, arguments)],
        cwd=tmp_path,
        env=fresh_environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Tests that run in the background inherit that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert mirror.stalled.wait(60)
    whole = [tmp_path / "tree" / path for path in mirror.files if path not in (LIST, "ptbxl_database.csv")]
    deadline = time.monotonic() + 60
    while not all(path.exists() for path in whole) and time.monotonic() < deadline:
        time.sleep(0.01)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_a_killed_download_continues_with_the_same_result(mirror, command, fetch, tmp_path):
    with pytest.raises(DownloadError, match=r"another download into .*tree is running"):
        fetch()
    command.send_signal(signal.SIGKILL)
    assert command.wait(60) == -signal.SIGKILL
    held = (tmp_path / "tree/ptbxl_database.csv.part").stat().st_size
    assert 0 < held <= 200_000
    assert not (tmp_path / "tree/ptbxl_database.csv").exists()
    mirror.log.clear()
    assert _tree(fetch()) == _served(mirror)
    assert mirror.log == [("ptbxl_database.csv", held, 400_000 - held)]


@pytest.mark.slow
def test_an_interrupted_download_ends_at_once_and_keeps_its_files(mirror, command, fetch):
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=20)
    assert command.returncode == 130
    assert b"Traceback" not in err
    assert b"Complete" not in out
    mirror.log.clear()
    assert _tree(fetch()) == _served(mirror)
    assert {path for path, *_ in mirror.log} == {"ptbxl_database.csv"}


def test_the_command_shows_licence_and_citation_first(mirror, tmp_path, monkeypatch, capsys):
    tree = str(tmp_path / "tree")
    arguments = ["download", "ptbxl", "--output", tree, "--mirror", mirror.url, "--only", "records100"]
    monkeypatch.setattr(sys, "argv", ["merit", *arguments])
    assert main() == 0
    out = capsys.readouterr().out.splitlines()
    assert "\n".join(out[:-1]) == OPEN_DATASETS["ptbxl"].notice()
    assert out[-1] == f"Complete and verified in {tree}"
    assert not (tmp_path / "tree/records500").exists()

    monkeypatch.setattr(sys, "argv", ["merit", *arguments[:-1], "records9"])
    assert main() == 1
    streams = capsys.readouterr()
    assert streams.out.splitlines() == out[:-1]
    assert streams.err.splitlines()[-1].startswith("merit: ")
    assert "records9" in streams.err


def test_only_the_download_command_can_start_a_download():
    package = Path(downloading.__file__).parents[2]
    folders = ("merit", "modeling_merit", "processing", "training", "hub_cards")
    importers = {
        path.relative_to(package).as_posix()
        for folder in folders
        for path in (package / folder).rglob("*.py")
        if re.search(r"\bimport_module\(.*download|from \S*\.download import|import \S*\bdownload\b", path.read_text())
    }
    assert importers == {"merit/commands/data.py"}

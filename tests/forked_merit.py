"""Run the `merit` command in processes that start in milliseconds, can be killed, and report their peak memory."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# Modules are imported once; each command runs in a fork that leads its own process group.
SERVER = """
import json, os, resource, sys
import merit.commands, merit.predict
from merit.training.data import catalogue, shards
from merit.training.data.sources import mimic
for line in sys.stdin:
    order = json.loads(line)
    if "wait" in order:
        _, status, usage = os.wait4(order["wait"], 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status), "peak": usage.ru_maxrss / 1024}), flush=True)
        continue
    if pid := os.fork():
        print(json.dumps({"pid": pid}), flush=True)
        continue
    try:
        os.setpgid(0, 0)
        for number, stream in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{order['log']}.{stream}", os.O_WRONLY), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        exec(order["before"])
        sys.argv = ["merit", *order["arguments"]]
        status = merit.commands.main()
        sys.stdout.flush()
    except BaseException:
        import traceback
        traceback.print_exc()
        status = 70
    os._exit(status)
"""


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit status (negative: the signal), what it printed, its peak memory in MB."""

    status: int
    out: str
    err: str
    peak: float


class ForkedMerit:
    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.count = folder, 0
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.server = subprocess.Popen([sys.executable, "-c", SERVER], env=environment, text=True, cwd=folder, **pipes)

    def _ask(self, **order) -> dict:
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline())

    def start(self, *arguments, before: str = "") -> tuple[int, Path]:
        """Start `merit ARGUMENTS` after the Python code `before`; returns its process id and the path of its logs."""
        self.count += 1
        log = self.folder / f"{self.count}"
        for stream in ("out", "err"):
            Path(f"{log}.{stream}").touch()
        return self._ask(arguments=[*map(str, arguments)], before=before, log=str(log))["pid"], log

    def finish(self, pid: int, log: Path) -> Done:
        end = self._ask(wait=pid)
        return Done(end["status"], *(Path(f"{log}.{stream}").read_text() for stream in ("out", "err")), end["peak"])

    def __call__(self, *arguments, before: str = "") -> Done:
        return self.finish(*self.start(*arguments, before=before))

    def close(self) -> None:
        self.server.stdin.close()
        self.server.wait()


def alive(group: int) -> list[int]:
    """The processes of a group that still run (Linux)."""
    running = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, pgid = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(pgid) == group and state not in "ZX":
                running.append(int(entry.name))
    return running


def until(condition, seconds: float = 30.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)

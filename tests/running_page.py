"""The web page in a process of its own."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

SECONDS = 60


@contextmanager
def running(folder, port, *command, **environment):
    """The address of a page that a command serves; `folder` is the process's folder of temporary files."""
    output = folder.parent / "output.txt"
    with open(output, "w") as file:
        process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TMPDIR": str(folder), **environment},
            cwd=folder.parent,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    address, end = f"http://127.0.0.1:{port}/", time.monotonic() + SECONDS
    try:
        while not answers(address):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < end, output.read_text()
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def answers(address):
    try:
        urllib.request.urlopen(address).close()
    except OSError:
        return False
    return True


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]

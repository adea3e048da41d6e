"""Options that several programs share."""

import argparse
import os
from pathlib import Path


def data_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the option `--data`, which the environment variable PTBXL_ROOT may give instead."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.environ.get("PTBXL_ROOT")
    parser.add_argument("--data", type=Path, default=root, required=root is None, help="PTB-XL's folder ($PTBXL_ROOT)")
    return parser

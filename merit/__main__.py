"""`python -m merit`: the same as the `merit` command, for launchers such as `torchrun -m merit`."""

import sys

from .commands import main

if __name__ == "__main__":
    sys.exit(main())

"""Let `python -m simrl.cli` be the `simrl` command."""

import sys

from simrl.cli import main

sys.exit(main())

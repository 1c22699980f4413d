"""`python -m fastcluster_ext` is the command line of `fastcluster_ext.cli`."""

import sys

from fastcluster_ext.cli import main

sys.exit(main())

"""Tests, and the long calibration: both multiply many small matrices, which more than one thread each only slows."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported, as `webhook.cli` does for the service

"""What every test runs with."""

import os

# Before torch is loaded. As many processes test as there are cores: more threads would only wait for each other, and by
# default they spin while they do. On a busy machine metrics then took ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

"""The demo's steps: what it started ends with it."""

import os
import signal
import subprocess
import sys
import time

import pytest

#: A demo whose step says its pid, sleeps, and says when it was interrupted.
_DEMO = """
import subprocess, sys
from pathlib import Path
from session_rec import cli, demo
step = '''
import os, time
try:
    print(os.getpid(), flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
'''
popen = subprocess.Popen
demo.subprocess.Popen = lambda words: popen([sys.executable, "-c", step])
demo._OWN_END_S = 0.2
cli.build_app = lambda: lambda: demo.Demo(Path("x"), Path("x"), 1, 1, 1, 1.0, 0)._step("wait")
cli.main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_demo_alone_ends_its_step_first(number: signal.Signals, code: int) -> None:
    with subprocess.Popen([sys.executable, "-c", _DEMO], stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout is not None
        step = next(int(line) for line in p.stdout if line.strip().isdigit())
        time.sleep(0.2)  # the step is between its two lines for some microseconds
        p.send_signal(number)
        assert p.stdout.read().split() == ["interrupted"]
        assert p.wait(20) == code
    with pytest.raises(ProcessLookupError):
        os.kill(step, 0)

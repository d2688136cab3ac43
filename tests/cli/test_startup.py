"""Signals that come before a command works, and after it has: no traceback, and its status."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys

class Signalling:
    \"\"\"Finds nothing; sends a signal in the midst of the import of one module.\"\"\"

    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            try:
                os.kill(os.getpid(), {number})
                for _ in range(1000):
                    pass
            except KeyboardInterrupt:  # as some packages do
                raise ImportError("swallowed")

sys.meta_path.insert(0, Signalling())
sys.argv = ["restore", *{arguments!r}]
from restore.cli.startup import main
sys.exit(main())
"""


def run(number, module, arguments, folder):
    program = PROGRAM.format(module=module, number=int(number), arguments=arguments)
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=55, check=False
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["restore.cli.options", "restore.cli.denoise", "torch", "numpy"])
def test_a_signal_in_the_midst_of_an_import_ends_a_command_with_130_and_one_line(
    tmp_path, number, module
):
    done = run(number, module, ["denoise", "-m", "none.star"], tmp_path)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.startswith("Interrupted.") and len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    program = PROGRAM.format(module="restore.cli.options", number=2, arguments=["--version"])
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + program
    done = subprocess.run(
        [sys.executable, "-c", ignoring], cwd=tmp_path, capture_output=True, check=False, timeout=55
    )
    assert done.returncode == 0 and done.stdout.startswith(b"restore ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_work_leaves_the_works_status(tmp_path, number):
    program = f"""
import os, sys
sys.argv = ["restore", "--version"]
from restore.cli.startup import main
status = main()
os.kill(os.getpid(), {int(number)})
sys.exit(7)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=False, timeout=55
    )
    assert done.returncode == 0 and done.stderr == b""

"""OpenVINO without its telemetry: nothing goes to the network, nothing into the home."""

import os
import socket
import subprocess
import sys

import pytest

pytest.importorskip("openvino")

TELEMETRY = """
import os, pathlib, socket
def note(event):
    with (pathlib.Path(os.environ["HOME"]) / "noted").open("a") as file:
        file.write(f"{event}\\n")
note("imported")
class Telemetry:
    def __init__(self, *given, **named): note("made")
    def __getattr__(self, name): return lambda *given, **named: note(name)
"""
"""In the place of openvino_telemetry: whoever imports or calls it is noted in the home."""

CONNECTIONS_REFUSED = """
import os, pathlib, socket
def refuse(self, address):
    if self.family != socket.AF_UNIX:
        (pathlib.Path(os.environ["HOME"]) / "connected").write_text(repr(address))
        raise OSError(f"no connection to {address}")
socket.socket.connect = socket.socket.connect_ex = refuse
"""
"""As sitecustomize: Python runs it before anything else, in child processes as well."""

DENOISE = """
import sys
from pathlib import Path
import numpy
from restore.io.images.image import write_image
image = numpy.random.default_rng(0).normal(size=(128, 128)).astype("float32")
path = Path(sys.argv[1]) / "image.mrc"
write_image(path, image, 2.0)
from restore.cli.main import main
ctf = "--defocus 15000 --voltage 300 --spherical_aberration 2.7 --amplitude_contrast 0.1".split()
out = str(path.parent / "out")
status = main(["denoise", str(path), "--device", "cpu", "-o", out, *ctf])
assert "openvino" in sys.modules, "OpenVINO did not run"
sys.exit(status)
"""


@pytest.mark.parametrize("telemetry", ["its own", "noted"])
def test_denoising_with_openvino_makes_no_connection_and_leaves_nothing_at_home(
    tmp_path, telemetry
):
    home, first = tmp_path / "home", tmp_path / "first"
    home.mkdir()
    first.mkdir()
    (first / "sitecustomize.py").write_text(CONNECTIONS_REFUSED)
    if telemetry == "noted":
        package = first / "openvino_telemetry"
        (package / "backend").mkdir(parents=True)
        (package / "__init__.py").write_text(TELEMETRY)
        (package / "backend/__init__.py").write_text("backend_ga4 = None\n")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0.1)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        environment |= {"HOME": str(home), "XDG_CACHE_HOME": "", "OMP_NUM_THREADS": "1"}
        environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"),
                                     address)  # fmt: skip
        before = environment.get("PYTHONPATH", "")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(first), before]))
        done = subprocess.run(
            [sys.executable, "-c", DENOISE, str(tmp_path)],
            env=environment, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with pytest.raises(TimeoutError):
            proxy.accept()
    assert [str(path.relative_to(home)) for path in home.rglob("*")] == []

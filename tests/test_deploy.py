"""The systemd unit and the container's recipe go with what they start."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from footfall.cli.collect import ENDING_SECONDS
from footfall.settings import Settings

ROOT = Path(__file__).parent.parent
UNIT = (ROOT / "deploy" / "systemd" / "footfall.service").read_text()
RECIPE = (ROOT / "Dockerfile").read_text()


def setting(name: str) -> str:
    found = re.search(rf"^{name}=(.*)$", UNIT, re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_socket_has_the_ports_of_the_settings() -> None:
    unit = (ROOT / "deploy" / "systemd" / "footfall.socket").read_text()
    model = Settings.model_fields
    ports = [model["collect_port"].default, model["query_port"].default]
    assert re.findall(r"^ListenStream=127.0.0.1:(\d+)$", unit, re.MULTILINE) == list(map(str, ports))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "footfall"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "footfall.service"
    unit.write_text(UNIT.replace("/opt/footfall/bin/footfall", str(program)))
    socket = shutil.copy(ROOT / "deploy" / "systemd" / "footfall.socket", tmp_path)
    command = ["systemd-analyze", "verify", "--man=no", str(unit), str(socket)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_waits_until_what_waits_is_processed() -> None:
    model = Settings.model_fields
    drain = float(model["drain_seconds"].default)
    assert int(setting("TimeoutStopSec")) > drain + 2 * ENDING_SECONDS
    assert setting("KillMode") == "mixed", "children have groups of their own: the supervisor ends them"
    assert "--stop-timeout 60" in RECIPE


def test_the_unit_holds_the_service_in() -> None:
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "RestrictSUIDSGID", "LockPersonality"):
        assert setting(name) == "yes"
    assert setting("ProtectSystem") == "strict"
    assert setting("StateDirectory") == "footfall"
    assert f"FOOTFALL_HOME=/var/lib/{setting('StateDirectory')}" in UNIT
    assert setting("User") != "root"


def test_the_container_gets_every_package_that_is_installed() -> None:
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    include = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    for pattern in include["include"]:
        assert f"!{pattern.rstrip('*')}" in sent
    for file in ("pyproject.toml", "setup.py", "requirements", "README.md", "LICENSE"):
        assert f"!{file}" in sent


def test_the_container_installs_by_hash_and_runs_as_nobody_special() -> None:
    assert "--require-hashes --only-binary :all: -r requirements/services.txt" in RECIPE
    last = RECIPE[RECIPE.rindex("\nFROM ") :]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    for port in ("collect_port", "query_port"):
        assert str(Settings.model_fields[port].default) in last

"""docker-compose.yml, as far as it goes without an engine: against the compose specification's schema (as
compose-pydantic has it), its variables against the settings, its secrets against the script that makes them.

That its services' commands and health checks run is shown by tests/test_apart_system.py, as local processes.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_pydantic.models import ComposeSpecification
from pydantic import ValidationError
from typer.testing import CliRunner

from footfall.cli.app import app
from footfall.settings import IN_FILES, Settings, read_settings, variable_of

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text()
OURS = ("collect", "process", "query")


def read_variables() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


VARIABLES = read_variables()
COMPOSED: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{(\w+)\}", lambda found: VARIABLES[found[1]], TEXT))
SERVICES: dict[str, dict[str, Any]] = COMPOSED["services"]


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The directory that the script filled."""
    script = ROOT / "deploy" / "compose" / "make-secrets.sh"
    subprocess.run(["sh", str(script), str(tmp_path / "secrets")], check=True)
    return tmp_path / "secrets"


def test_it_is_what_the_compose_specification_says() -> None:
    told = {name: value for name, value in COMPOSED.items() if not name.startswith("x-")}
    ComposeSpecification.model_validate(told)
    with pytest.raises(ValidationError, match="imagine"):
        ComposeSpecification.model_validate({"services": {"a": {"imagine": "x"}}})


def test_the_variables_are_those_of_the_example() -> None:
    assert set(re.findall(r"\$\{(\w+)\}", TEXT)) == set(VARIABLES)
    assert "$" not in re.sub(r"\$\{\w+\}", "", TEXT)
    known = {variable_of(field) for field in Settings.model_fields}
    assert {name for name in VARIABLES if name.startswith("FOOTFALL_")} <= known


@pytest.mark.parametrize("service", OURS)
def test_a_services_environment_is_settings(
    service: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith("FOOTFALL_"):
            monkeypatch.delenv(name)
    for name, value in SERVICES[service]["environment"].items():
        monkeypatch.setenv(
            name, value.replace("/run/secrets", str(secrets)) if "FILE" in name else str(value)
        )
    settings = read_settings()
    assert settings.log_url.startswith("kafka://kafka:9092/footfall?")
    assert settings.store_url.startswith("clickhouse://footfall:")
    assert settings.workspace_url.startswith("postgresql://footfall:")
    assert settings.installation_key is not None
    assert f"{settings.host}:{settings.collect_port}" == "0.0.0.0:8106"


def test_secrets_are_in_files_that_the_script_makes_once(secrets: Path, tmp_path: Path) -> None:
    made = {file.name: file.read_text() for file in secrets.iterdir()}
    assert set(made) == set(COMPOSED["secrets"])
    assert all(COMPOSED["secrets"][name] == {"file": f"./secrets/{name}"} for name in made)
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert made["clickhouse_password"].strip() in made["store_url"]
    assert made["postgres_password"].strip() in made["workspace_url"]
    subprocess.run(["sh", str(ROOT / "deploy/compose/make-secrets.sh"), str(secrets)], check=True)
    assert {file.name: file.read_text() for file in secrets.iterdir()} == made
    for name, service in SERVICES.items():
        used = {
            Path(str(value)).name
            for variable, value in service["environment"].items()
            if variable.endswith("_FILE")
        }
        assert used == set(service.get("secrets", ())), name
    plain = {variable_of(field) for field in IN_FILES} - {"FOOTFALL_LOG_URL"}
    assert not plain & {name for service in OURS for name in SERVICES[service]["environment"]}


@pytest.mark.parametrize("service", OURS)
def test_commands_and_health_checks_are_commands_of_footfall(service: str) -> None:
    assert SERVICES[service]["command"] == [service]
    assert SERVICES[service]["healthcheck"]["test"] == ["CMD", "footfall", "ready", service]
    for command in ([service, "--help"], ["ready", "--help"]):
        assert CliRunner().invoke(app, command).exit_code == 0


@pytest.mark.parametrize("service", SERVICES)
def test_each_has_limits_a_health_check_and_bounded_lines(service: str) -> None:
    told = SERVICES[service]
    assert set(told["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert told["healthcheck"]["test"]
    assert told["restart"] == "unless-stopped"
    assert set(told["logging"]["options"]) == {"max-size", "max-file"}
    assert "no-new-privileges:true" in told["security_opt"]
    volumes = {volume.partition(":")[0] for volume in told["volumes"]}
    assert volumes <= set(COMPOSED["volumes"])
    for needed, how in told.get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert needed in SERVICES


@pytest.mark.parametrize("service", OURS)
def test_ours_run_as_nobody_special(service: str) -> None:
    told = SERVICES[service]
    assert told["user"] == "10001:10001"
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    seconds = int(told["stop_grace_period"].removesuffix("s"))
    assert seconds >= Settings.model_fields["drain_seconds"].default + 10


@pytest.mark.parametrize("variable", [name for name in VARIABLES if name.endswith("IMAGE")])
def test_images_are_of_a_version(variable: str) -> None:
    name, _, tag = VARIABLES[variable].rpartition(":")
    assert name
    assert tag == "local" or re.match(r"\d+\.\d+", tag)


def test_ports_are_open_to_this_machine_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published == ["127.0.0.1:8106:8106", "127.0.0.1:8107:8107"]


def test_the_image_is_built_of_the_example_too() -> None:
    recipe = (ROOT / "Dockerfile").read_text()
    assert f"ARG PYTHON_IMAGE={VARIABLES['PYTHON_IMAGE']}\n" in recipe
    assert recipe.count("FROM ${PYTHON_IMAGE}") == 2
    locked = (ROOT / "requirements" / "services.txt").read_text()
    for package in ("kafka-python==", "crc32c==", "psycopg==", "psycopg-binary=="):
        assert f"\n{package}" in f"\n{locked}"
    run = set(re.findall(r"^(\S+==\S+)", (ROOT / "requirements" / "run.txt").read_text(), re.MULTILINE))
    assert run <= set(re.findall(r"^(\S+==\S+)", locked, re.MULTILINE))

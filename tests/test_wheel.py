"""What is installed: the wheel's contents, and lock files that name everything and no registry."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("collector", "footfall", "processor", "query_api", "web")
LOCKS = ("run", "dev")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy of the sources, so that nothing is left in the checkout."""
    root = tmp_path_factory.mktemp("wheel")
    leave_out = shutil.ignore_patterns(
        ".*", "__pycache__", "*.so", "*.egg-info", "build", "dist", "footfall-data"
    )
    shutil.copytree(ROOT, root / "sources", ignore=leave_out)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run([*command, "--wheel-dir", str(root), str(root / "sources")], check=True, timeout=250)
    (path,) = root.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_services_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    folders = {name.split("/")[0] for name in wheel.namelist()}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == set(PACKAGES)


def test_the_wheel_holds_every_module(wheel: zipfile.ZipFile) -> None:
    modules = {
        path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    }
    assert modules <= set(wheel.namelist())


def test_the_wheel_holds_the_scanner_the_console_and_the_migrations(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert "query_api/scan/_scan.so" in names
    assert "footfall/privacy/_scan.so" in names
    web = {path.relative_to(ROOT).as_posix() for path in (ROOT / "web").rglob("*") if path.suffix != ".pyc"}
    pages = {name for name in web if (ROOT / name).is_file()}
    assert {"web/index.html", "web/app/main.js", "web/vendor/licenses/echarts-LICENSE"} <= pages <= names
    migrations = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "footfall/storage/migrations").glob("*.sql")
    }
    assert migrations
    assert migrations <= names
    workspace = {f"footfall/workspace/migrations/{name}.py" for name in ("env", "versions/v0001_baseline")}
    assert workspace <= names
    assert {f"{package}/py.typed" for package in PACKAGES if package != "web"} <= names


def test_the_wheel_fits_every_python_of_its_platform(wheel: zipfile.ZipFile) -> None:
    assert wheel.filename is not None
    assert re.search(r"-py3-none-(?!any)\w+\.whl$", wheel.filename)


def test_the_wheel_says_what_runs_footfall(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "footfall = footfall.cli:main" in wheel.read(entry_points).decode()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_has_pins_and_hashes_only(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert "://" not in text
    for requirement in re.sub(r"\\\n", " ", text).splitlines():
        assert re.fullmatch(r"[\w.-]+==[\w.!+]+( ;[^#]*?)?( +--hash=sha256:[0-9a-f]{64})+", requirement), (
            requirement
        )


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_has_what_the_distributions_need(lock: str) -> None:
    locked = locked_names(lock)
    for folder in (ROOT, ROOT / "sdk/python"):
        project = tomllib.loads((folder / "pyproject.toml").read_text())
        wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
        assert {name_of(requirement) for requirement in wanted} <= locked


def test_the_lock_of_development_has_its_tools() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    wanted = {name_of(requirement) for group in groups.values() for requirement in group}
    assert wanted <= locked_names("dev")
    assert not {"pytest", "ruff", "mypy"} & locked_names("run")


def locked_names(lock: str) -> set[str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return {name_of(line) for line in text.splitlines() if "==" in line}


def name_of(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()

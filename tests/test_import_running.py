"""`footfall import` and `footfall export` as commands, beside a Footfall that runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from footfall.cli.demo_system import RunningSystem


def command(system: RunningSystem, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FOOTFALL_HOME": str(system.home)}
    environment.pop("FOOTFALL_SECRET_KEY", None)
    return subprocess.run(
        [sys.executable, "-m", "footfall.cli", *arguments],
        env=environment, capture_output=True, text=True, timeout=240, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_what_is_imported_is_in_answers_and_can_be_exported(footfall: RunningSystem, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    rows = [f"c{n % 50},2026-01-05 10:00:00,history_buy,{n}" for n in range(3_000)]
    path.write_text("customer_no,time,event,amount\n" + "\n".join([*rows, "c1,never,history_buy,1"]) + "\n")
    asked = command(footfall, "import", str(path))
    assert asked.returncode == 1  # nobody said yes
    assert "history_buy" in asked.stdout
    before = footfall.ledger()["received"]
    ran = command(footfall, "import", str(path), "--yes")
    assert ran.returncode == 0, ran.stderr
    assert "3,000 rows imported, 1 rejected" in ran.stdout
    assert "invalid_time" in ran.stdout
    assert footfall.ledger()["received"] == before + 3_001
    body = {
        "range": {"from": "2026-01-05", "to": "2026-01-05"},
        "series": [{"event": "history_buy", "measure": {"sum": "amount"}}],
    }
    assert footfall.ask("trends", body)["series"][0]["total"] == sum(range(3_000))
    verified = command(footfall, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    out = tmp_path / "out.parquet"
    wrote = command(footfall, "export", str(out), "--event", "history_buy")
    assert wrote.returncode == 0, wrote.stderr
    assert pq.read_table(out).num_rows == 3_000
    assert out.stat().st_mode & 0o077 == 0
    again = command(footfall, "import", str(out), "--yes")
    assert "exported from this very project" in again.stdout
    assert command(footfall, "export", str(out)).returncode == 1  # it exists
    wrong = command(footfall, "export", str(tmp_path / "x.jsonl"), "--subject", "event")
    assert (wrong.returncode, "events" in wrong.stderr) == (1, True)
    assert not list(tmp_path.glob("x.jsonl*"))

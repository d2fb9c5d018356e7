"""The most memory that importing and sending take, in MB: for 2 million recipients, and for a tenth of them.

`holdfast import` and `holdfast worker` as they are, on SQLite, to a sink; the peak is the kernel's own (VmHWM).
`wal_mb` is how large SQLite's write-ahead log grew while others looked at the database all the time: where a reader
kept it from being taken over into the file, it would be as large as everything that was written.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.db import Database
from storage.models import CampaignState
from tests.bench.send import CONNECTIONS
from tests.bench.sending import BODY
from tests.bench.sink import sink
from tests.seeds import add_server, state_of, wish

RECIPIENTS = 2_000_000
FEWER = 200_000
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Peaks:
    """In MB of 1,000,000 octets."""

    importing: float
    sending: float
    wal: float


async def peaks_of(port: int, recipients: int) -> Peaks:
    """Import a list of so many, send to all of it, and say what it took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'bench.db'}"
        db = Database(url)
        await db.migrate()
        await add_server(db, "sink", port, max_connections=CONNECTIONS)
        environment = os.environ | {
            "HOLDFAST_DATABASE_URL": url,
            "HOLDFAST_DATA_DIR": name,
            "HOLDFAST_SECRET_KEY": "x",
        }
        try:
            importing = await _import(folder, recipients, environment)
            sending, wal = await _send(db, folder, environment)
        finally:
            await db.close()
    return Peaks(importing, sending, wal)


async def _import(folder: Path, recipients: int, environment: dict[str, str]) -> float:
    people, message = folder / "people.csv", folder / "message.txt"
    with people.open("w") as file:
        file.write("email,name\n")
        file.writelines(f"p{n}@example.com,Person {n}\n" for n in range(1, recipients + 1))
    message.write_text("Hello {{ name }},\n\n" + BODY)
    words = ["import", "spring-sale", str(people), "--text", str(message), "--subject", "Hello {{ name }}"]
    process = await _holdfast([*words, "--from", "Shop <shop@example.com>"], environment)
    peak = 0.0
    while process.returncode is None:
        peak = _peak_mb(process.pid) or peak
        await asyncio.sleep(_LOOK_SECONDS)
    if process.returncode != 0:
        raise RuntimeError(f"holdfast import ended with {process.returncode}")
    return peak


async def _send(db: Database, folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """The sender's peak, and the log's."""
    process = await _holdfast(["worker"], environment)
    peak = wal = 0.0
    try:
        await wish(db, 1, CampaignState.SENDING, CampaignState.SENDING)
        while await state_of(db, 1) != CampaignState.FINISHED:
            peak = _peak_mb(process.pid) or peak
            wal = max(wal, (folder / "bench.db-wal").stat().st_size / 1e6)
            await asyncio.sleep(_LOOK_SECONDS)
        return _peak_mb(process.pid) or peak, wal
    finally:
        process.terminate()
        await process.wait()


async def _holdfast(words: list[str], environment: dict[str, str]) -> asyncio.subprocess.Process:
    quiet = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", *words, env=environment, stdout=quiet, stderr=quiet
    )


def _peak_mb(pid: int) -> float | None:
    """The largest resident set that the process has had; None when it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


async def run() -> dict[str, Any]:
    """MB; `growth` is the peak of 2 million over that of 200,000."""
    async with sink() as (_, port):
        few = await peaks_of(port, FEWER)
        many = await peaks_of(port, RECIPIENTS)
    return {
        "recipients": RECIPIENTS,
        "peak_mb": round(many.sending, 1),
        "peak_mb_200k": round(few.sending, 1),
        "growth": round(many.sending / few.sending, 3),
        "import_peak_mb": round(many.importing, 1),
        "import_peak_mb_200k": round(few.importing, 1),
        "wal_mb": round(many.wal, 1),
        "wal_mb_200k": round(few.wal, 1),
    }

"""Messages a second, end to end with the ledger, beside what people use instead, to the same sink in the same run.

`ratio_smtplib`: a loop over smtplib on one connection. `ratio_django`: Django's send_mass_mail. Both as their
documentation shows: a message object for each recipient. The peers are measured before and after ours, because the
machine's speed drifts.
"""

import asyncio
import os
import smtplib
import sys
import tempfile
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from storage.db import Database
from storage.models import CampaignState
from tests.bench.sink import sink
from tests.seeds import add_campaign, add_server, state_of

RECIPIENTS = 20_000
PEER_MESSAGES = 1_500
CONNECTIONS = 20
BODY = ("The sale has begun, and everything must go before the end of the week.\n" * 70)[:5000]
_START = "from bot.config import load_settings; from bot.mail.worker import run_worker; run_worker(load_settings())"


def with_smtplib(port: int, messages: int) -> float:
    """Messages a second."""
    begun = time.perf_counter()
    with smtplib.SMTP("127.0.0.1", port) as server:
        for n in range(messages):
            message = EmailMessage()
            message["Subject"] = f"Hello Person {n}"
            message["From"] = "shop@example.com"
            message["To"] = f"p{n}@example.com"
            message.set_content(BODY)
            server.send_message(message)
    return messages / (time.perf_counter() - begun)


def with_django(port: int, messages: int) -> float:
    """Messages a second."""
    import django
    from django.conf import settings
    from django.core.mail import send_mass_mail

    if not settings.configured:
        settings.configure(EMAIL_HOST="127.0.0.1", EMAIL_PORT=port, USE_I18N=False)
        django.setup()
    begun = time.perf_counter()
    send_mass_mail(
        tuple((f"Hello Person {n}", BODY, "shop@example.com", [f"p{n}@example.com"]) for n in range(messages))
    )
    return messages / (time.perf_counter() - begun)


async def with_holdfast(port: int, recipients: int) -> float:
    """Messages a second, from the start of the campaign to its end in the ledger."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'bench.db'}"
        db = Database(url)
        await db.migrate()
        server = await add_server(db, "sink", port, max_connections=CONNECTIONS)
        campaign = await add_campaign(db, server, recipients, state=CampaignState.SCHEDULED, text=BODY)
        environment = {
            **os.environ,
            "HOLDFAST_DATABASE_URL": url,
            "HOLDFAST_DATA_DIR": name,
            "HOLDFAST_SECRET_KEY": "x",
        }
        worker = await asyncio.create_subprocess_exec(sys.executable, "-c", _START, env=environment)
        try:
            await asyncio.sleep(2)  # its start is not what is measured
            from tests.seeds import wish

            begun = time.perf_counter()
            await wish(db, campaign, CampaignState.SENDING, CampaignState.SENDING)
            while await state_of(db, campaign) != CampaignState.FINISHED:
                await asyncio.sleep(0.1)
            return recipients / (time.perf_counter() - begun)
        finally:
            worker.terminate()
            await worker.wait()
            await db.close()


async def run() -> dict[str, Any]:
    """Messages a second of each, and the ratios of ours to theirs."""
    async with sink() as (name, port):
        before = [await asyncio.to_thread(peer, port, PEER_MESSAGES) for peer in (with_smtplib, with_django)]
        ours = await with_holdfast(port, RECIPIENTS)
        after = [await asyncio.to_thread(peer, port, PEER_MESSAGES) for peer in (with_smtplib, with_django)]
    smtplib_rate, django_rate = ((a + b) / 2 for a, b in zip(before, after, strict=True))
    return {
        "sink": name,
        "rate": round(ours),
        "smtplib": round(smtplib_rate),
        "django": round(django_rate),
        "ratio_smtplib": round(ours / smtplib_rate, 2),
        "ratio_django": round(ours / django_rate, 2),
    }

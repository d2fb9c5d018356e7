"""A whole Postfix of its own on loopback, with its queue and its log in a folder, for tests that need the real one."""

import asyncio
import contextlib
import os
import pwd
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

POSTFIX = shutil.which("postfix", path=os.environ.get("PATH", "") + ":/usr/sbin")
_DAEMONS = Path("/usr/lib/postfix/sbin")
usable = POSTFIX is not None and os.geteuid() == 0 and _DAEMONS.is_dir()
"""Its master process wants to be started by root."""

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {daemons}
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mx.example.net
mydestination =
mynetworks = 127.0.0.0/8
local_recipient_maps =
alias_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
default_transport = smtp:[127.0.0.1]:{relay}
minimal_backoff_time = 1s
"""
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True)
class Postfix:
    port: int
    log: Path

    async def logged(self, words: str, times: int = 1, within: float = 30) -> None:
        """Wait until its log has these words so often."""
        async with asyncio.timeout(within):
            while not self.log.exists() or self.log.read_text().count(words) < times:
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def postfix(folder: Path, relay: int) -> AsyncIterator[Postfix]:
    """It passes everything on to the relay at this port of 127.0.0.1, and sends bounces there too.

    `folder` must be one that every user may walk into.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    for name in ("conf", "queue", "data"):
        (folder / name).mkdir()
    os.chown(folder / "data", pwd.getpwnam("postfix").pw_uid, -1)
    (folder / "conf" / "main.cf").write_text(_MAIN.format(folder=folder, daemons=_DAEMONS, relay=relay))
    (folder / "conf" / "master.cf").write_text(_MASTER.format(port=port))
    await _run("start", folder)
    try:
        made = Postfix(port, folder / "mail.log")
        await made.logged("daemon started")
        yield made
    finally:
        await _run("stop", folder)


async def _run(word: str, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        str(POSTFIX), "-c", str(folder / "conf"), word, stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0, f"postfix {word} failed"

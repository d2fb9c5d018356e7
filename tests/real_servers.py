"""Debian's Postfix, Exim and OpenSMTPD, each as an instance of its own on a free port of loopback.

They stand where a company's mail server stands: they take mail for example.com and hand it on to a relay of ours, which
writes down what arrived. `.ci/run` fetches them by name; HOLDFAST_MTAS says where those are unpacked that cannot be
installed beside each other, because each Debian package of a mail server removes the others.

They are made for root and for one instance on a machine. So they are started by root (by `sudo` where the tests are not
root), and Exim and OpenSMTPD, whose folders and users are compiled in, live in a root folder of their own (chroot).
"""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import pytest

from bot.mail.connection import Encryption

NAME: Final = "mx.example.com"
UNPACKED: Final = Path(
    os.environ.get("HOLDFAST_MTAS") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/holdfast-mtas"
).expanduser()
"""Where `.ci/run` puts Exim and OpenSMTPD."""
_SBIN: Final = "/usr/sbin:/usr/local/sbin"

# Root's part: the folder becomes root's, the server runs until our end of the pipe closes, and nothing is left behind.
_AS_LONG_AS_WE_LIVE: Final = """
chown -R 0:0 "$0"
chown -R "$1" "$0/$2"
shift 2
"$@" >"$0/said" 2>&1 &
server=$!
exec 2>/dev/null
exec 3<&0
{ read -r _ <&3; kill $server; } &
wait $server
touch "$0/ended"
wait
rm -rf "$0"
"""

_PASSWD: Final = """\
root:x:0:0:root:/:/bin/false
opensmtpd:x:64201:64201::/var/lib/opensmtpd/empty:/bin/false
opensmtpq:x:64202:64202::/var/lib/opensmtpd/empty:/bin/false
Debian-exim:x:64203:64203::/var/spool/exim4:/bin/false
"""


@dataclass(frozen=True, slots=True)
class Office:
    """What a server is told: whom it knows, whom it puts off with 4xx, its limit in octets, and who takes the mail.

    `chunking`: whether it announces CHUNKING, where it knows it.
    """

    onward: int
    known: frozenset[str]
    deferred: frozenset[str]
    certificate: Path
    size: int
    chunking: bool = True


class Door(NamedTuple):
    """Where a server listens, whether it can encrypt, and what it writes down, where that is a file of its own."""

    port: int
    tls: Encryption = "starttls"
    log: Path | None = None

    async def logged(self, words: str, times: int = 1) -> bytes:
        """What it has written down, once these words stand in it so often. It may be for root's eyes alone."""
        assert self.log is not None
        while True:
            read = await asyncio.create_subprocess_exec(*_as_root(), "cat", self.log, stdout=asyncio.subprocess.PIPE)
            octets, _ = await read.communicate()
            if octets.count(words.encode()) >= times:
                return octets
            await asyncio.sleep(0.05)


Server = Callable[[Office], AbstractAsyncContextManager[Door]]
"""Starts one; mail for an address that it does not know is refused."""


@contextlib.asynccontextmanager
async def postfix(office: Office) -> AsyncIterator[Door]:
    program = _installed("postfix")
    port = _free_port()
    with _folder() as folder:
        for name in ("data", "queue"):
            (folder / name).mkdir()
        (folder / "known").write_text("".join(f"{address} ok\n" for address in office.known))
        (folder / "deferred").write_text("".join(f"{address} 450 4.2.1 not now\n" for address in office.deferred))
        shutil.copy(office.certificate, folder / "server.pem")
        (folder / "main.cf").write_text(
            _MAIN_CF.format(folder=folder, office=office, name=NAME, hidden="" if office.chunking else "chunking")
        )
        (folder / "master.cf").write_text(_MASTER_CF.format(port=port))
        async with _running(folder, port, [program, "-c", str(folder), "start-fg"], ("postfix", "data")):
            yield Door(port)


@contextlib.asynccontextmanager
async def exim(office: Office) -> AsyncIterator[Door]:
    port = _free_port()
    with _folder() as folder:
        program = _jail(folder, _unpacked("exim4"), office)
        for name in ("spool", "log"):
            (folder / "var" / name / "exim4").mkdir(parents=True)
        (folder / "etc/exim4").mkdir()
        (folder / "etc/exim4/exim4.conf").write_text(
            _EXIM_CONF.format(port=port, office=office, name=NAME, hosts="*" if office.chunking else "")
        )
        async with _running(folder, port, [*program, "-bdf"], ("64203:64203", "var")):
            yield Door(port, log=folder / "var/log/exim4/mainlog")


@contextlib.asynccontextmanager
async def opensmtpd(office: Office) -> AsyncIterator[Door]:
    """Debian 12's cannot encrypt: with OpenSSL 3 it misses its own private key (OpenSMTPD's issue 1171)."""
    port = _free_port()
    binary = _unpacked("smtpd")
    encrypts = b"OpenSMTPD 6." not in binary.read_bytes()
    with _folder() as folder:
        program = _jail(folder, binary, office)
        for name in ("spool", "run", "lib/opensmtpd/empty"):
            (folder / "var" / name).mkdir(parents=True)
        (folder / "usr/libexec/opensmtpd").mkdir(parents=True)
        (folder / "etc/smtpd.conf").write_text(
            _SMTPD_CONF.format(tls=f"tls pki {NAME}" if encrypts else "", port=port, office=office, name=NAME)
        )
        async with _running(folder, port, [*program, "-d", "-v", "-f", "/etc/smtpd.conf"], ("0", "var")):
            yield Door(port, "starttls" if encrypts else "none")


def _jail(folder: Path, program: Path, office: Office) -> list[str]:
    """A root folder with this program, its libraries and what it wants to find in /etc. How to start it there."""
    libraries = re.findall(r"/\S+", subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout)
    for library in libraries:
        inside = folder / library.removeprefix("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, inside)
    for name in ("etc", "tmp", "usr/sbin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(program, folder / "usr/sbin")
    (folder / "etc/passwd").write_text(_PASSWD)
    (folder / "etc/group").write_text(re.sub(r"(?m)^(.*?):x:(\d+):.*$", r"\1:x:\2:", _PASSWD))
    (folder / "etc/hosts").write_text(f"127.0.0.1 localhost {NAME}\n")
    (folder / "etc/known").write_text("".join(f"{address}\n" for address in office.known | office.deferred))
    (folder / "etc/deferred").write_text("".join(f"{address}\n" for address in office.deferred))
    # Exim opens it when it passes on its own bounces. A device would take root; a file serves as well.
    (folder / "dev").mkdir()
    (folder / "dev/null").touch()
    (folder / "dev/null").chmod(0o666)
    certificate = folder / "var/server.pem"
    certificate.parent.mkdir()
    shutil.copy(office.certificate, certificate)
    certificate.chmod(0o600)
    chroot = shutil.which("chroot", path=_SBIN) or "chroot"
    return [chroot, str(folder), f"/usr/sbin/{program.name}"]


@contextlib.asynccontextmanager
async def _running(folder: Path, port: int, command: list[str], own: tuple[str, str]) -> AsyncIterator[None]:
    """`own`: the user of the server, and the part of the folder that belongs to it."""
    process = await asyncio.create_subprocess_exec(
        *(*_as_root(), "sh", "-c", _AS_LONG_AS_WE_LIVE, str(folder), *own, *command), stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    try:
        await _greeting(port, folder)
        yield
    except BaseException:
        for log in (folder / "said", *folder.glob("var/log/exim4/*")):
            print(log.read_text(errors="replace")[-8000:])  # pytest shows it beside the failure
        raise
    finally:
        process.stdin.close()
        await process.wait()


async def _greeting(port: int, folder: Path) -> None:
    """Until it greets; what never does is ended by pytest's own time limit."""
    while not (folder / "ended").exists():
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            greeting = await reader.readline()
            writer.close()
            if greeting.startswith(b"220"):
                return
        await asyncio.sleep(0.02)
    pytest.fail("the server ended before it greeted anybody")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Not below pytest's own folder: the sockets in it must have short names."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # unless root has done so


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _installed(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SBIN}")
    return found or _missing(f"{name} is not installed")


def _unpacked(name: str) -> Path:
    program = UNPACKED / "usr/sbin" / name
    return program if program.is_file() else Path(_missing(f"{program} is not there; .ci/run fetches it"))


def _as_root() -> list[str]:
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None or subprocess.run([sudo, "-n", "true"], check=False, capture_output=True).returncode:
        _missing("mail servers are started by root, and sudo wants a password")
    return [str(sudo), "-n"]


def _missing(why: str) -> NoReturn:
    """At home a reason to leave a test out; where `.ci/run` has asked for the servers, a failure."""
    if os.environ.get("HOLDFAST_REQUIRE_MTAS"):
        pytest.fail(why)
    pytest.skip(why)


_MAIN_CF: Final = """\
compatibility_level = 3.6
myhostname = {name}
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = /dev/stdout
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks =
relay_domains = example.com
relay_recipient_maps = texthash:{folder}/known texthash:{folder}/deferred
relayhost = [127.0.0.1]:{office.onward}
smtpd_recipient_restrictions = check_recipient_access texthash:{folder}/deferred, reject_unauth_destination
smtpd_discard_ehlo_keywords = {hidden}
smtpd_tls_security_level = may
smtpd_tls_chain_files = {folder}/server.pem
message_size_limit = {office.size}
# As fast as the tests are.
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
"""

_MASTER_CF: Final = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

_EXIM_CONF: Final = """\
primary_hostname = {name}
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
log_file_path = /var/log/exim4/%slog
host_lookup =
rfc1413_hosts =
tls_advertise_hosts = *
tls_certificate = /var/server.pem
tls_privatekey = /var/server.pem
smtputf8_advertise_hosts = *
chunking_advertise_hosts = {hosts}
message_size_limit = {office.size}
acl_smtp_rcpt = recipient
# As fast as the tests are.
smtp_accept_max = 100
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
smtp_max_unknown_commands = 1000

begin acl
recipient:
  defer condition = ${{lookup{{$local_part@$domain}}lsearch{{/etc/deferred}}{{yes}}{{no}}}}
        message = 4.2.1 not now
  require verify = recipient
  accept

begin routers
onward:
  driver = manualroute
  condition = ${{lookup{{$local_part@$domain}}lsearch{{/etc/known}}{{yes}}{{no}}}}
  route_list = example.com 127.0.0.1
  self = send
  transport = onward

begin transports
onward:
  driver = smtp
  port = {office.onward}
  allow_localhost
  hosts_avoid_tls = *

# What was put off waits an hour; one address is given up at once.
begin retry
given.up@example.com *
* * F,1h,1m
"""

_SMTPD_CONF: Final = """\
pki {name} cert "/var/server.pem"
pki {name} key "/var/server.pem"
table known file:/etc/known
table deferred file:/etc/deferred
filter deferring phase rcpt-to match rcpt-to <deferred> reject "451 4.2.1 not now"
smtp max-message-size "{office.size}"
listen on 127.0.0.1 port {port} hostname {name} {tls} filter deferring
action onward relay host "smtp://127.0.0.1:{office.onward}"
match from any for rcpt-to <known> action onward
"""

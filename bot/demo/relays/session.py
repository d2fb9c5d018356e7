"""One SMTP conversation (RFC 5321), seen from the server."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import ClassVar

from bot.demo.relays.desk import Desk
from bot.demo.relays.line import Line, lines_of

_PATH = re.compile(rb"^(?:FROM|TO):[ ]?<([^<>\s]*)>((?:[ ]+[^ ]+)*)[ ]*$", re.IGNORECASE)
_LINE_LIMIT = 4096
_CHUNK = re.compile(rb"^(\d{1,10})(?:[ ]+(LAST))?$", re.IGNORECASE)
_RECIPIENT_LIMIT = 1000

_OK = b"250 2.0.0 OK\r\n"
_SENDER_OK = b"250 2.1.0 Sender OK\r\n"
_RECIPIENT_OK = b"250 2.1.5 Recipient OK\r\n"
_GO_AHEAD = b"354 End data with <CR><LF>.<CR><LF>\r\n"
_TAKEN = b"250 2.0.0 Taken\r\n"


class Session(Line):
    """Knows the commands, and what each may follow."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._user: str | None = None
        self._dialogue: Callable[[bytes], None] | None = None
        self._greeted = False
        self._in_body = self._body_begun = self._oversized = False
        self._scanned = 0
        self._chunk: tuple[int, bool] | None = None
        self._forget_message()

    def _take(self) -> bool:
        if self._chunk:
            return self._take_chunk(*self._chunk)
        return self._take_body() if self._in_body else self._take_line()

    def _start_over(self) -> None:
        self._greeted = False
        self._user = None
        self._forget_message()

    def _take_line(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _LINE_LIMIT:
                self.dismiss(500, "5.5.2 Line too long")
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        if self._dialogue:
            dialogue, self._dialogue = self._dialogue, None
            dialogue(line)
            return True
        verb, _, argument = line.partition(b" ")
        stage, handler = self._COMMANDS.get(verb.upper(), ("unknown", Session._unknown))
        concerned = self._concerned(stage, argument) if self._desk.faults else ()
        self._at(stage, lambda: handler(self, argument.strip()), concerned)
        return True

    def _take_chunk(self, size: int, last: bool) -> bool:
        """RFC 3030: what is announced comes, whether it is wanted or not; then it is answered."""
        if not self._body_begun and self._buffer:
            return self._begin_body()
        if len(self._buffer) < size:
            return False
        self._chunk = None
        self._text += self._buffer[:size]
        del self._buffer[:size]
        if not self._recipients:
            self._say(b"503 5.5.1 No valid recipients\r\n")
        elif last:
            self._end_message(bytes(self._text))
        else:
            self._say(_OK)
        return True

    def _begin_body(self) -> bool:
        self._body_begun = True
        self._at("body", lambda: None, self._recipients)
        return not self._held

    def _take_body(self) -> bool:
        if not self._body_begun and self._buffer:
            return self._begin_body()
        if not self._oversized and self._buffer.startswith(b".\r\n"):
            return self._end_body(b"", 3)
        end = self._buffer.find(b"\r\n.\r\n", max(0, self._scanned - 4))
        if end >= 0:
            return self._end_body(bytes(self._buffer[: end + 2]), end + 5)
        if len(self._buffer) > self._profile.size:
            self._oversized = True
            del self._buffer[:-4]
        self._scanned = len(self._buffer)
        return False

    def _end_body(self, stuffed: bytes, consumed: int) -> bool:
        del self._buffer[:consumed]
        body = stuffed[1:] if stuffed.startswith(b".") else stuffed
        if b"\r\n." in body:
            body = body.replace(b"\r\n.", b"\r\n")
        self._end_message(body)
        return True

    def _end_message(self, body: bytes) -> None:
        recipients = tuple(self._recipients)
        fault = self._desk.faults.strike("dot", recipients) if self._desk.faults else None
        answer = self._accept(body) if fault is None or fault.accepted else b""
        self._forget_message()
        if fault is None:
            self._say(answer)
        else:
            self._undergo(fault, lambda: self._say(answer))

    def _accept(self, body: bytes) -> bytes:
        if self._oversized or len(body) > self._profile.size:
            return b"552 5.3.4 Message too big\r\n"
        try:
            self._desk.accept(self._sender or "", tuple(self._recipients), body)
        except OSError:
            return b"452 4.3.1 Insufficient system storage\r\n"
        return _TAKEN

    def _forget_message(self) -> None:
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._utf8 = False
        self._text = bytearray()
        self._in_body = self._body_begun = self._oversized = False
        self._scanned = 0

    def _concerned(self, stage: str, argument: bytes) -> Iterable[str]:
        if stage == "rcpt" and (path := _PATH.match(argument.strip())):
            return (path[1].decode("utf-8", "replace"),)
        return self._recipients

    # Commands

    def _greet(self) -> None:
        self._at("greeting", lambda: self._say(f"220 {self._profile.name} ESMTP Holdfast relay\r\n".encode()))

    def _ehlo(self, argument: bytes) -> None:
        if not argument:
            self._say(b"501 5.5.4 EHLO needs a name\r\n")
            return
        self._forget_message()
        self._greeted = True
        profile = self._profile
        offers = [profile.name, "8BITMIME", "ENHANCEDSTATUSCODES", f"SIZE {profile.size}"]
        offers += ["PIPELINING"] if profile.pipelining else []
        offers += ["CHUNKING"] if profile.chunking else []
        offers += ["SMTPUTF8"] if profile.smtputf8 else []
        offers += ["AUTH PLAIN LOGIN"] if profile.credentials and self._may_authenticate() else []
        # STARTTLS comes last: one monitor reads no further than the mark "250-" and misses it there.
        offers += ["STARTTLS"] if profile.tls and not self._secure else []
        self._say(lines_of(250, "\n".join(offers)))

    def _helo(self, argument: bytes) -> None:
        self._forget_message()
        self._greeted = bool(argument)
        self._say(lines_of(250, self._profile.name) if argument else b"501 5.5.4 HELO needs a name\r\n")

    def _starttls(self, argument: bytes) -> None:
        if argument or not self._profile.tls or self._secure:
            self._say(b"502 5.5.1 STARTTLS is not possible here\r\n")
            return
        self._say(b"220 2.0.0 Ready for TLS\r\n")
        self._flush()
        self._encrypt(self._profile.tls, lambda: None)

    def _may_authenticate(self) -> bool:
        return self._secure or self._profile.tls is None

    def _auth(self, argument: bytes) -> None:
        mechanism, _, initial = argument.partition(b" ")
        if not (self._profile.credentials and self._may_authenticate()):
            self._say(b"503 5.5.1 AUTH is not possible here\r\n")
        elif mechanism.upper() == b"PLAIN":
            self._ask(b"334 \r\n", initial, self._auth_plain)
        elif mechanism.upper() == b"LOGIN":
            self._ask(b"334 VXNlcm5hbWU6\r\n", initial, self._auth_login)
        else:
            self._say(b"504 5.5.4 Unknown mechanism\r\n")

    def _ask(self, question: bytes, known: bytes, then: Callable[[bytes], None]) -> None:
        if known:
            then(known)
        else:
            self._say(question)
            self._dialogue = then

    def _auth_plain(self, answer: bytes) -> None:
        parts = _decoded(answer).split(b"\0")
        self._judge(parts[1], parts[2]) if len(parts) == 3 else self._judge(b"", b"")

    def _auth_login(self, user: bytes) -> None:
        self._ask(b"334 UGFzc3dvcmQ6\r\n", b"", lambda word: self._judge(_decoded(user), _decoded(word)))

    def _judge(self, user: bytes, password: bytes) -> None:
        name = user.decode("utf-8", "replace")
        if name and self._profile.credentials.get(name) == password.decode("utf-8", "replace"):
            self._user = name
            self._say(b"235 2.7.0 Authenticated\r\n")
        else:
            self._say(b"535 5.7.8 Wrong user or password\r\n")

    def _mail(self, argument: bytes) -> None:
        path = _PATH.match(argument)
        if not self._greeted or self._sender is not None:
            self._say(b"503 5.5.1 MAIL does not belong here\r\n")
        elif self._profile.credentials and self._user is None:
            self._say(b"530 5.7.0 Authentication required\r\n")
        elif not path:
            self._say(b"501 5.5.4 MAIL FROM:<address>\r\n")
        elif complaint := self._refused_parameter(path[2].split(), path[1]):
            self._say(complaint)
        else:
            self._sender = path[1].decode("utf-8", "replace")
            self._say(_SENDER_OK)

    def _refused_parameter(self, parameters: list[bytes], address: bytes) -> bytes:
        for parameter in parameters:
            name, _, value = parameter.upper().partition(b"=")
            if name == b"SIZE" and value.isdigit():
                if int(value) > self._profile.size:
                    return b"552 5.3.4 Message too big\r\n"
            elif name == b"SMTPUTF8" and self._profile.smtputf8:
                self._utf8 = True
            elif (name, value) not in {(b"BODY", b"7BIT"), (b"BODY", b"8BITMIME")} and name != b"AUTH":
                return b"555 5.5.4 Unknown parameter\r\n"
        return b"" if self._utf8 or address.isascii() else b"553 5.6.7 Address needs SMTPUTF8\r\n"

    def _rcpt(self, argument: bytes) -> None:
        path = _PATH.match(argument)
        if self._sender is None:
            self._say(b"503 5.5.1 MAIL comes first\r\n")
        elif not (path and path[1]):
            self._say(b"501 5.1.3 RCPT TO:<address>\r\n")
        elif not (self._utf8 or path[1].isascii()):
            self._say(b"553 5.6.7 Address needs SMTPUTF8\r\n")
        elif len(self._recipients) >= _RECIPIENT_LIMIT:
            self._say(b"452 4.5.3 Too many recipients\r\n")
        else:
            self._recipients.append(path[1].decode("utf-8", "replace"))
            self._say(_RECIPIENT_OK)

    def _data(self, argument: bytes) -> None:
        if argument:
            self._say(b"501 5.5.4 DATA takes nothing\r\n")
        elif self._sender is None:
            self._say(b"503 5.5.1 MAIL comes first\r\n")
        elif not self._recipients:
            self._say(b"554 5.5.1 No valid recipients\r\n")
        else:
            self._in_body = True
            self._say(_GO_AHEAD)

    def _bdat(self, argument: bytes) -> None:
        chunk = _CHUNK.match(argument) if self._profile.chunking else None
        if chunk is None:
            self._say(b"501 5.5.4 BDAT <size> [LAST]\r\n")
        else:
            self._chunk = int(chunk[1]), chunk[2] is not None

    def _rset(self, _argument: bytes) -> None:
        self._forget_message()
        self._say(_OK)

    def _noop(self, _argument: bytes) -> None:
        self._say(_OK)

    def _vrfy(self, _argument: bytes) -> None:
        self._say(b"252 2.5.0 Send something and see\r\n")

    def _quit(self, _argument: bytes) -> None:
        self._say(b"221 2.0.0 Goodbye\r\n")
        self._close()

    def _unknown(self, _argument: bytes) -> None:
        self._say(b"500 5.5.2 Unknown command\r\n")

    _COMMANDS: ClassVar[dict[bytes, tuple[str, Callable[["Session", bytes], None]]]] = {
        b"EHLO": ("ehlo", _ehlo),
        b"HELO": ("ehlo", _helo),
        b"STARTTLS": ("starttls", _starttls),
        b"AUTH": ("auth", _auth),
        b"MAIL": ("mail", _mail),
        b"RCPT": ("rcpt", _rcpt),
        b"DATA": ("data", _data),
        b"BDAT": ("bdat", _bdat),
        b"RSET": ("rset", _rset),
        b"NOOP": ("noop", _noop),
        b"VRFY": ("vrfy", _vrfy),
        b"QUIT": ("quit", _quit),
    }


def _decoded(answer: bytes) -> bytes:
    try:
        return base64.b64decode(answer, validate=True)
    except binascii.Error:
        return b""

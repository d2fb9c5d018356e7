"""The only reader of the environment. Settings come from HOLDFAST_... variables, `.env` and `holdfast.toml`."""

import os
import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from bot.errors import SettingsError

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_MOST_STAGES = 9
_NEXT_URL = re.compile(r"\s+|,\s*(?=[A-Za-z][\w+.-]*://)")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ServerSettings(_Section):
    """One mail server of holdfast.toml, under `[servers.NAME]`."""

    host: str
    port: int = Field(default=25, ge=1, le=65535)
    tls: Literal["none", "starttls", "tls"] = "none"
    username: str | None = None
    password: SecretStr | None = None
    backup: str | None = None
    """The name of the server that takes over."""
    max_connections: int = Field(default=10, ge=1, le=1000)
    rate_per_second: int | None = Field(default=None, ge=1)
    pool: str | None = None
    """Servers that name the same pool share the mail of all of them."""
    weight: int = Field(default=1, ge=0, le=1000)
    """How much of its pool's mail it takes, compared with the others. 0: nothing while another one can."""
    ca_file: Path | None = None
    """Trusted certificates in PEM, for a server with a private authority."""


class DkimSettings(_Section):
    """A key that signs mail from a domain by DKIM, under `[dkim.SELECTOR]`. See bot/mail/dkim_keys.py."""

    domain: str
    """Mail from it and from domains under it is signed."""
    selector: str | None = None
    """Where it stands in DNS; the section's name unless set."""
    key_file: Path | None = None
    key: SecretStr | None = None
    """The private key in PEM, in the place of a file."""

    @field_validator("domain")
    @classmethod
    def _a_domain(cls, value: str) -> str:
        if not _DOMAIN.fullmatch(value):
            raise ValueError("it must be a domain, as example.com; one beyond ASCII in its xn-- form")
        return value.lower()

    @field_validator("selector")
    @classmethod
    def _a_selector(cls, value: str | None) -> str | None:
        if value is not None and not _SELECTOR.fullmatch(value):
            raise ValueError("it must be a name of letters, digits, dots and hyphens")
        return value

    @model_validator(mode="after")
    def _one_key(self) -> "DkimSettings":
        if (self.key_file is None) == (self.key is None):
            raise ValueError("it needs key_file, a private key in PEM, or else that key itself as key")
        return self


class RoleSettings(_Section):
    """Who may what, as Slack user ids and user groups (`@handle` or `S...`); `*` is everybody. See bot/access.py."""

    viewer: list[str] = []
    """They may look, declare and acknowledge, and no more; `*` in another role does not reach them."""
    responder: list[str] = ["*"]
    sender: list[str] = []
    approver: list[str] = []
    admin: list[str] = []


def _seconds(value: object) -> object:
    """In the environment a number arrives as text."""
    return float(value) if isinstance(value, str) and value.replace(".", "", 1).isdecimal() else value


Span = Annotated[timedelta, BeforeValidator(_seconds)]
"""Seconds, or an ISO 8601 duration as PT2H."""


class ApprovalSettings(_Section):
    second_person_above: int = Field(default=0, ge=0)
    """Mail to more recipients than this needs a second person. 0: always."""
    expires_after: Span = timedelta(hours=2)
    campaigns_above: int = Field(default=10_000, ge=0)
    """To start or to cancel a campaign of more recipients than this needs a second person. 0: always."""


class BreakGlassSettings(_Section):
    """In an emergency a responder takes the role sender for a while, with a reason and before everybody's eyes."""

    who: list[str] = ["*"]
    """Which responders may, as in the roles; `*`: every one. Empty: nobody."""
    lasts: Span = Field(default=timedelta(hours=1), gt=timedelta(0), le=timedelta(days=1))


class RemindSettings(_Section):
    """Minutes without news after which the lead of an open outage is reminded, by its severity. 0: never."""

    minor: float = Field(default=240, ge=0)
    major: float = Field(default=60, ge=0)
    critical: float = Field(default=30, ge=0)


class AskingSettings(_Section):
    question_expires_after: Span = timedelta(minutes=10)
    """How long the Confirm of a question works."""
    undo_expires_after: Span = timedelta(minutes=30)


class OutageSettings(_Section):
    policy: Literal["hold", "failover", "tell"] = "hold"
    """What happens to the campaigns of a server that goes down."""
    on_recovery: Literal["ask", "resume"] = "ask"
    critical_from: int = Field(default=100_000, ge=1)
    """Recipients of the campaigns that it stops, from which on an outage opens as critical."""
    remind_after: RemindSettings = RemindSettings()
    return_to_primary: Literal["ask", "auto"] = "ask"
    """Whether a server that failed over by policy is restored by a person, or by itself once it is well."""
    return_after: Span = Field(default=timedelta(minutes=10), ge=timedelta(0))
    """With auto: for how long it must have been up without interruption."""
    return_over: Span = Field(default=timedelta(minutes=10), ge=timedelta(0), le=timedelta(days=7))
    """For how long its part of its own mail grows, whoever restored it. 0: all at once."""


class ProbeSettings(_Section):
    """Damping of the monitor; durations in seconds."""

    interval: float = Field(default=15, gt=0)
    retry_interval: float = Field(default=2, gt=0)
    failures_to_open: int = Field(default=3, ge=1)
    successes_to_close: int = Field(default=2, ge=1)
    hold: float = Field(default=5, ge=0)
    stage_timeout: float = Field(default=5, gt=0)
    sending_failures_to_open: int = Field(default=20, ge=1)


class SendingSettings(_Section):
    """How messages leave; durations in seconds."""

    stop_after_failures: int = Field(default=50, ge=1)
    """Failures in a row after which a worker stops trying a server until the monitor has judged it."""
    command_timeout: float = Field(default=60, gt=0)
    dot_timeout: float = Field(default=600, gt=0)
    settle_timeout: float = Field(default=30, gt=0)
    """How long a pause waits for replies to what is in flight; after it those deliveries are unknown."""
    wait_for_journal: float = Field(default=600, ge=0)
    """How long what a lost machine had in hand waits for its journal; after it those deliveries are unknown."""
    helo_name: str = "localhost"
    eight_bit: bool = True
    """Text goes unencoded to a server that announces 8BITMIME. Off where one behind it does not take such mail."""


class ProviderSettings(_Section):
    """A receiving provider's limits, through each server."""

    domains: list[str] = Field(min_length=1)
    rate_per_second: float | None = Field(default=None, gt=0)
    connections: int | None = Field(default=None, ge=1)
    """Messages that may be under way to it at once."""

    @field_validator("domains")
    @classmethod
    def _in_lower_case(cls, value: list[str]) -> list[str]:
        return [domain.strip().lower() for domain in value]


class RampSettings(_Section):
    """A large send begins small; and any send stops by itself when too much of it comes back."""

    stages: list[int] = [1, 5, 25, 100]
    """Per cent of the recipients, rising to 100."""
    wait: float = Field(default=30, ge=0)
    """Minutes from the last result of a stage to the next stage."""
    above: int | None = Field(default=None, ge=0)
    """A campaign or a resend to more recipients than this is ramped unasked. None: only where somebody asks."""
    minimum: int = Field(default=200, ge=1)
    """Messages that must have been tried before anything stops a send: 1 of 3 says nothing."""
    hard_bounces: float = Field(default=5, gt=0, le=100)
    """Per cent refused as unknown addresses, above which a send stops."""
    refused: float = Field(default=10, gt=0, le=100)
    """As `hard_bounces`, of those refused for another reason: policy, content, a full mailbox."""
    complaints: float = Field(default=0.3, gt=0, le=100)
    """As `hard_bounces`, of those whose recipients complained."""
    temporary: float = Field(default=20, gt=0, le=100)
    """As `hard_bounces`, of those put off (4xx, or a connection that was lost before the message was handed over)."""

    @field_validator("stages")
    @classmethod
    def _rise(cls, value: list[int]) -> list[int]:
        rises = all(before < after for before, after in pairwise(value))
        if not 1 <= len(value) <= _MOST_STAGES or value[0] < 1 or value[-1] != 100 or not rises:
            raise ValueError(f"it must rise to 100 in at most {_MOST_STAGES} stages, as [1, 5, 25, 100]")
        return value


class NoticeSettings(_Section):
    sender: str | None = None
    """The From address of notices."""
    webhook_url: str | None = None
    webhook_secret: SecretStr | None = None


class Settings(BaseSettings):
    """Everything that can be set. Secrets are SecretStr, so they never show in a log."""

    model_config = SettingsConfigDict(
        env_prefix="HOLDFAST_",
        env_nested_delimiter="__",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        toml_file=os.environ.get("HOLDFAST_CONFIG", "holdfast.toml"),
    )

    data_dir: Path = Path("holdfast-data")
    database_url: str = ""
    slack_bot_token: SecretStr | None = None
    slack_app_token: SecretStr | None = None
    slack_signing_secret: SecretStr | None = None
    slack_client_id: str | None = None
    """With the secret and `public_url`: the bot token comes from an installation by OAuth."""
    slack_client_secret: SecretStr | None = None
    slack_team: str | None = None
    """The id (T...) of the home workspace, with the channel of the outages; the first that installs unless set."""
    slack_teams: Annotated[list[str], NoDecode] = []
    """The ids of further workspaces that may install Holdfast by OAuth."""
    slack_api_url: str = "https://slack.com/api/"
    channel: str | None = None
    """The channel of the outages: its id (C...) or its name."""
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=0, le=65535)
    public_url: str | None = None
    """Where customers and Slack reach the HTTP port, for unsubscribe links and OAuth; https."""
    unsubscribe_mailto: str | None = None
    secret_key: SecretStr | None = None
    """Signs links, and encrypts the token of an installation. Made in the data directory when not set."""
    events_secret: SecretStr | None = None
    """Signs the delivery events that other systems post to /events/delivery; without it that address is not there."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    admins: Annotated[list[str], NoDecode] = []
    """Short for roles.admin: HOLDFAST_ADMINS=U012AB,U034CD."""

    paging_urls: Annotated[list[SecretStr], NoDecode] = []
    """Other roads to people while Slack is away, as Apprise takes them; they hold secrets."""
    paging_email: Annotated[list[str], NoDecode] = []
    """Who is mailed then, through a server that works."""
    paging_after: float = Field(default=5, gt=0)
    """Minutes for which Slack takes nothing before people are paged."""
    paging_again_after: float = Field(default=60, ge=0)
    """Minutes until the next page while Slack stays away; 0: there is only one."""

    servers: dict[str, ServerSettings] = {}
    providers: dict[str, ProviderSettings] = {}
    dkim: dict[str, DkimSettings] = {}
    roles: RoleSettings = RoleSettings()
    approvals: ApprovalSettings = ApprovalSettings()
    break_glass: BreakGlassSettings = BreakGlassSettings()
    asking: AskingSettings = AskingSettings()
    outages: OutageSettings = OutageSettings()
    probes: ProbeSettings = ProbeSettings()
    sending: SendingSettings = SendingSettings()
    ramp: RampSettings = RampSettings()
    notices: NoticeSettings = NoticeSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, os.environ.get("HOLDFAST_CONFIG", "holdfast.toml"))
        return init_settings, env_settings, dotenv_settings, toml, file_secret_settings

    @field_validator("admins", "slack_teams", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("paging_email", mode="before")
    @classmethod
    def _split_addresses(cls, value: object) -> object:
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("paging_urls", mode="before")
    @classmethod
    def _split_urls(cls, value: object) -> object:
        """By spaces, or by commas before the next scheme: a URL of Apprise may hold commas of its own."""
        return [each for each in _NEXT_URL.split(value.strip()) if each] if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value and not value.startswith(("sqlite", "postgresql")):
            raise ValueError("it must begin with sqlite:/// or postgresql://")
        return value

    @field_validator("slack_api_url")
    @classmethod
    def _ends_in_slash(cls, value: str) -> str:
        return value if value.endswith("/") else value + "/"

    @model_validator(mode="after")
    def _names_fit(self) -> "Settings":
        for name, server in self.servers.items():
            if server.backup is not None and server.backup not in self.servers:
                raise ValueError(f"servers.{name}.backup names {server.backup!r}, which is no server of this file")
        for name, key in self.dkim.items():
            if key.selector is None and not _SELECTOR.fullmatch(name):
                raise ValueError(f"dkim.{name} needs a selector: its name cannot be one in DNS")
        return self

    @property
    def pages(self) -> bool:
        """Whether people can be paged at all."""
        return bool(self.paging_urls or self.paging_email)

    @property
    def database(self) -> str:
        """The URL in force: the set one, or SQLite in the data directory."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'holdfast.db'}"

    @property
    def install_url(self) -> str | None:
        """Where Holdfast is installed by OAuth; None where the bot token is a setting."""
        if self.slack_bot_token is not None or not self.slack_client_id or not self.public_url:
            return None
        return f"{self.public_url.rstrip('/')}/slack/install"

    def signing_key(self) -> str:
        """The key for links. Raises SettingsError when the data directory cannot be written."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value()
        path = self.data_dir / "secret.key"
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return path.read_text()
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(32))
            return path.read_text()
        except OSError as error:
            raise SettingsError(
                f"HOLDFAST_DATA_DIR: {self.data_dir} cannot be written ({error.strerror}). Choose another folder."
            ) from error


def load_settings() -> Settings:
    """Read the settings. Raises SettingsError, one sentence that names the first wrong setting."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(_sentence(dict(error.errors()[0]))) from None
    except (OSError, ValueError) as error:
        name = os.environ.get("HOLDFAST_CONFIG", "holdfast.toml")
        raise SettingsError(f"{name} cannot be read: {error}. Correct the file and start again.") from None


def _sentence(detail: Mapping[str, Any]) -> str:
    """One sentence for pydantic's first complaint, with the setting's name as one writes it."""
    path = [str(part) for part in detail["loc"]]
    if not path:
        return f"holdfast.toml: {detail['msg'].removeprefix('Value error, ')}."
    variable = "HOLDFAST_" + "__".join(path).upper()
    where = variable if len(path) == 1 else f"{variable} ({'.'.join(path)} in holdfast.toml)"
    if detail["type"] == "missing":
        return f"{where} is missing. Set it and start again."
    message = detail["msg"].removeprefix("Value error, ")
    return f"{where} is wrong: {message[:1].lower()}{message[1:]}. Correct it and start again."

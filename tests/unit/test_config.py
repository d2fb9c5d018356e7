"""Settings: from the environment, .env and holdfast.toml; what is wrong is one sentence that names it."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from bot.config import load_settings
from bot.errors import SettingsError


@pytest.fixture(autouse=True)
def empty_house(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder without files, and an environment without our variables."""
    import os

    for name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_starts_without_any_setting(empty_house: Path) -> None:
    settings = load_settings()
    assert settings.database == f"sqlite:///{empty_house / 'holdfast-data' / 'holdfast.db'}"
    assert settings.roles.sender == []


def test_servers_roles_and_rules_come_from_the_toml(empty_house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_house / "holdfast.toml").write_text(
        '[servers.primary]\nhost = "mx1"\nbackup = "second"\n[servers.second]\nhost = "mx2"\nport = 587\n'
        '[roles]\nsender = ["U1"]\n[approvals]\nexpires_after = "PT30M"\n'
    )
    monkeypatch.setenv("HOLDFAST_SERVERS__PRIMARY__PASSWORD", "hush")
    settings = load_settings()
    assert settings.servers["primary"].backup == "second"
    assert settings.servers["second"].port == 587
    password = settings.servers["primary"].password
    assert password is not None
    assert password.get_secret_value() == "hush"
    assert "hush" not in repr(settings)
    assert settings.roles.sender == ["U1"]
    assert settings.approvals.expires_after == timedelta(minutes=30)


def test_the_environment_wins_over_dotenv_and_toml(empty_house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_house / "holdfast.toml").write_text('channel = "from-toml"\n')
    assert load_settings().channel == "from-toml"
    (empty_house / ".env").write_text("HOLDFAST_CHANNEL=from-dotenv\n")
    assert load_settings().channel == "from-dotenv"
    monkeypatch.setenv("HOLDFAST_CHANNEL", "from-environment")
    assert load_settings().channel == "from-environment"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("HOLDFAST_HTTP_PORT", "eighty", "HOLDFAST_HTTP_PORT is wrong"),
        ("HOLDFAST_HTTP_PORT", "70000", "HOLDFAST_HTTP_PORT is wrong"),
        ("HOLDFAST_DATABASE_URL", "mysql://x", "HOLDFAST_DATABASE_URL is wrong: it must begin with sqlite"),
        ("HOLDFAST_OUTAGES__POLICY", "panic", "HOLDFAST_OUTAGES__POLICY (outages.policy in holdfast.toml) is wrong"),
        ("HOLDFAST_SERVERS__PRIMARY__PORT", "25", "HOLDFAST_SERVERS__PRIMARY__HOST (servers.primary.host"),
        ("HOLDFAST_APPROVALS__EXPIRES_AFTER", "soon", "HOLDFAST_APPROVALS__EXPIRES_AFTER"),
        ("HOLDFAST_DKIM__SEL1__DOMAIN", "shop", "HOLDFAST_DKIM__SEL1__DOMAIN (dkim.sel1.domain in holdfast.toml)"),
        ("HOLDFAST_DKIM__SEL1__DOMAIN", "shop.example", "it needs key_file, a private key in PEM, or else that key"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_toml_that_cannot_be_read_names_the_file(empty_house: Path) -> None:
    (empty_house / "holdfast.toml").write_text("[servers\n")
    with pytest.raises(SettingsError, match=r"holdfast\.toml cannot be read"):
        load_settings()


def test_a_misspelt_key_is_refused_where_it_would_be_dangerous(empty_house: Path) -> None:
    (empty_house / "holdfast.toml").write_text('[roles]\nsenders = ["U1"]\n')
    with pytest.raises(SettingsError, match="senders"):
        load_settings()


def test_a_backup_must_be_a_server(empty_house: Path) -> None:
    (empty_house / "holdfast.toml").write_text('[servers.primary]\nhost = "mx1"\nbackup = "nobody"\n')
    with pytest.raises(SettingsError, match=r"servers\.primary\.backup names 'nobody'"):
        load_settings()


def test_seconds_and_lists_may_be_typed_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_APPROVALS__EXPIRES_AFTER", "90")
    monkeypatch.setenv("HOLDFAST_ADMINS", "U1, U2")
    settings = load_settings()
    assert settings.approvals.expires_after == timedelta(seconds=90)
    assert settings.admins == ["U1", "U2"]


def test_the_key_for_links_is_made_once_and_for_our_eyes_only(empty_house: Path) -> None:
    settings = load_settings()
    key = settings.signing_key()
    assert settings.signing_key() == key
    assert len(key) == 64
    assert stat.S_IMODE((empty_house / "holdfast-data" / "secret.key").stat().st_mode) == 0o600


def test_a_data_folder_that_cannot_be_made_is_a_sentence(empty_house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_house / "in-the-way").write_text("")
    monkeypatch.setenv("HOLDFAST_DATA_DIR", str(empty_house / "in-the-way" / "data"))
    with pytest.raises(SettingsError, match="HOLDFAST_DATA_DIR"):
        load_settings().signing_key()

"""What the sender does not need is not in its memory: half of what it takes is the code that it loads."""

import json
import subprocess
import sys

FOR_OTHERS = ("commands", "bot.terminal", "bot.slack", "alembic", "lxml", "slack_sdk", "slack_bolt", "aiohttp")


def test_it_loads_nothing_of_the_terminal_of_slack_or_of_migrations() -> None:
    """Loaded as `holdfast worker` does."""
    program = "import json, sys; import bot.cli, bot.mail.worker; print(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    loaded = json.loads(ran.stdout)
    assert "bot.mail.sender" in loaded
    assert [name for name in loaded if name.startswith(FOR_OTHERS)] == []

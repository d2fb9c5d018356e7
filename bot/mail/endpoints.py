"""From a server that the database knows to where and how to connect."""

import ssl
from typing import Literal, cast

from bot.config import Settings
from bot.mail.connection import Endpoint
from storage.sending import Carrier


def endpoint_of(carrier: Carrier, settings: Settings) -> Endpoint:
    """User name, password and certificates come from the settings under its name. Blocks: certificates are read.

    Raises OSError for a file of certificates that cannot be read.
    """
    known = settings.servers.get(carrier.name)
    context = None
    if known is not None and known.ca_file is not None:
        context = ssl.create_default_context(cafile=known.ca_file)
    return Endpoint(
        host=carrier.host,
        port=carrier.port,
        tls=cast("Literal['none', 'starttls', 'tls']", carrier.tls),
        username=known.username if known else None,
        password=known.password if known else None,
        context=context,
        helo=settings.sending.helo_name,
    )

"""What the outside says later of a delivery: read from a server's log, from bounces and complaints, from events."""

"""An uvicorn protocol that lets the application break its own connection, as failing upstreams do."""

import asyncio
import contextlib
import socket
import struct

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TRANSPORT = "ossature.sim.transport"
"""The ASGI scope extension that holds the connection's asyncio transport."""

# SO_LINGER on, zero seconds: closing discards what is unsent and answers with RST instead of FIN.
_RESET = struct.pack("ii", 1, 0)


class BreakableProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with the transport in `scope["extensions"]`."""

    def on_message_begin(self) -> None:
        """Begin a request whose scope carries the transport."""
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


def break_off(transport: asyncio.Transport) -> None:
    """Reset the connection: the peer sees ECONNRESET."""
    # A connection that the peer closed meanwhile has no socket options to set.
    with contextlib.suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()

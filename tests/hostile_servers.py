"""The part of the canaries that is a process: servers that tell a secret to whoever reaches them, and a victim.

python hostile_servers.py servers FOLDER    the secret from the environment; one JSON line of addresses, then the
                                            name of a server for each time that one is reached
python hostile_servers.py victim MARK       holds the secret in its environment and memory; prints the address
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import socket
import sys


def servers(folder: str, secret: bytes) -> None:
    abstract = os.path.basename(folder)
    listening = {
        "reach_loopback": stream(socket.AF_INET, ("127.0.0.1", 0)),
        "reach_unix_socket": stream(socket.AF_UNIX, f"{folder}/server.sock"),
        "reach_services": stream(socket.AF_UNIX, f"{folder}/docker.sock"),
        "reach_abstract_socket": stream(socket.AF_UNIX, f"\0{abstract}"),
        "reach_vsock": stream(socket.AF_VSOCK, (1, 0xFFFFFFFF)),  # VMADDR_CID_LOCAL, any port
    }
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    loopback, vsock = listening["reach_loopback"], listening["reach_vsock"]
    addresses = {
        "tcp_port": loopback.getsockname()[1] if loopback else 0,
        "udp_port": datagrams.getsockname()[1],
        "vsock_port": vsock.getsockname()[1] if vsock else 0,
        "abstract": abstract,
    }
    print(json.dumps(addresses), flush=True)
    ready = selectors.DefaultSelector()
    ready.register(sys.stdin, selectors.EVENT_READ, "")  # its end: the test is over, or was killed
    ready.register(datagrams, selectors.EVENT_READ, "send_datagram")
    for name, server in listening.items():
        if server:
            ready.register(server, selectors.EVENT_READ, name)
    while True:
        for key, _ in ready.select():
            if key.fileobj is sys.stdin:
                return
            print(key.data, flush=True)
            if key.fileobj is datagrams:
                datagrams.sendto(secret, datagrams.recvfrom(1 << 10)[1])
            else:
                connection = key.fileobj.accept()[0]  # type: ignore[union-attr]
                with contextlib.suppress(OSError):
                    connection.sendall(secret)
                connection.close()


def stream(family: int, address: object) -> socket.socket | None:
    """A listening socket, or None where the kernel has no such thing."""
    try:
        server = socket.socket(family, socket.SOCK_STREAM)
        server.bind(address)  # type: ignore[arg-type]
        server.listen()
    except OSError:
        return None
    if family == socket.AF_UNIX and isinstance(address, str) and address.startswith("/"):
        os.chmod(address, 0o777)
    return server


def victim(secret: bytes) -> None:
    kept = ctypes.create_string_buffer(secret)
    print(ctypes.addressof(kept), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    given = os.environ["HIVE_CANARY"].encode()
    if sys.argv[1] == "servers":
        servers(sys.argv[2], given)
    else:
        victim(given)

"""A port of this machine that leads to one of a machine of the VPC: for a browser, which can't enter a namespace.

    python3 window.py PID PORT TARGET_PORT

listens on 127.0.0.1:PORT here and connects to 127.0.0.1:TARGET_PORT in the network namespace of process PID.
"""

import asyncio
import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000  # <linux/sched.h>; os.setns is in Python 3.12 and later


async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def carry(reader, writer, port):
    try:
        behind = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(copy(reader, behind[1]), copy(behind[0], writer))


async def serve(listener, port):
    server = await asyncio.start_server(lambda reader, writer: carry(reader, writer, port), sock=listener)
    await server.serve_forever()


def main():
    pid, port, target = map(int, sys.argv[1:])
    listener = socket.create_server(("127.0.0.1", port))
    libc = ctypes.CDLL(None, use_errno=True)
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        sys.exit(f"window: setns: {os.strerror(ctypes.get_errno())}")
    asyncio.run(serve(listener, target))


if __name__ == "__main__":
    main()

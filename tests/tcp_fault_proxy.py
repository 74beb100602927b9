"""A TCP proxy on a loopback port that fails as networks do, on demand, while connections run through it.

proxy = TcpFaultProxy(("127.0.0.1", server_port))
proxy.stall()      # packets go nowhere: connections stay open and silent, new ones too; what was sent comes later
proxy.refuse()     # nobody listens; open connections are reset
proxy.slow(delay_s=0.2, bytes_per_s=100_000)
proxy.reset()      # open connections are reset now; new ones work
proxy.cut_after(50_000)  # reset when so many bytes have gone to the server: in the middle of a message
proxy.corrupt()    # a bit of each large piece to the server is flipped: of bodies, not of small requests
proxy.corrupt(to_server=False)  # of what comes from it
proxy.heal()       # everything passes again
proxy.close()
"""

import asyncio
import contextlib
import socket
import struct
import threading

from server_process import free_port

_CHUNK = 16_384
_LARGE = 2_048


class TcpFaultProxy:
    def __init__(self, target, host="127.0.0.1"):
        self.target, self.host, self.port = target, host, free_port(host)
        self.connections = 0  # accepted since the start
        # Connections reset; pieces that waited for heal(), that slow() delayed, that it narrowed; pieces with a bit flipped.
        self.resets = self.held = self.delayed = self.narrowed = self.corrupted = 0
        self._writers = set()
        self._delay_s, self._bytes_per_s, self._cut_after, self._corrupt = 0, None, None, None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._call(self._begin)

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def heal(self):
        self._call(self._heal)

    def stall(self):
        self._call(self._stall)

    def refuse(self):
        self._call(self._refuse)

    def reset(self):
        self._call(self._reset)

    def slow(self, delay_s=0, bytes_per_s=None):
        """Each piece waits `delay_s`; no more than `bytes_per_s` go through a connection in one direction."""
        self._delay_s, self._bytes_per_s = delay_s, bytes_per_s

    def cut_after(self, bytes_to_server):
        self._cut_after = bytes_to_server

    def corrupt(self, to_server=True):
        self._corrupt = to_server

    @property
    def will_cut(self):
        """Whether cut_after() has yet to happen."""
        return self._cut_after is not None

    def close(self):
        self._call(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(30)

    async def _begin(self):
        self._open = asyncio.Event()
        self._open.set()
        self._server = None
        await self._listen()

    async def _listen(self):
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)

    async def _heal(self):
        self._delay_s, self._bytes_per_s, self._cut_after, self._corrupt = 0, None, None, None
        self._open.set()
        await self._listen()

    async def _stall(self):
        self._open.clear()

    async def _refuse(self):
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset()

    async def _end(self):
        await self._refuse()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _reset(self):
        self.resets += len(self._writers)
        for writer in list(self._writers):
            # Not lingering makes closing a reset. One that its peer has just closed has no socket any more.
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, client_reader, client_writer):
        self.connections += 1
        self._writers.add(client_writer)
        try:
            await self._open.wait()
            server_reader, server_writer = await asyncio.open_connection(*self.target)
        except OSError:
            client_writer.transport.abort()
            return
        self._writers.add(server_writer)
        try:
            await asyncio.gather(
                self._pump(client_reader, server_writer, to_server=True),
                self._pump(server_reader, client_writer, to_server=False),
            )
        except OSError:
            pass
        for writer in (client_writer, server_writer):
            self._writers.discard(writer)
            writer.close()

    async def _pump(self, reader, writer, to_server):
        while data := await reader.read(_CHUNK):
            if self._delay_s:
                self.delayed += 1
                await asyncio.sleep(self._delay_s)
            if self._bytes_per_s:
                self.narrowed += 1
                await asyncio.sleep(len(data) / self._bytes_per_s)
            self.held += not self._open.is_set()
            await self._open.wait()
            if self._corrupt == to_server and len(data) >= _LARGE:
                self.corrupted += 1
                data = bytearray(data)
                data[len(data) * 3 // 4] ^= 1 << self.corrupted % 8
            if to_server and self._cut_after is not None:
                self._cut_after -= len(data)
                if self._cut_after <= 0:
                    writer.write(data[: len(data) + self._cut_after])
                    self._cut_after = None
                    await writer.drain()
                    await self._reset()
                    return
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

# SPDX-License-Identifier: MIT OR Apache-2.0
"""Passer, serve and connect, on asyncio's own loop and on uvloop."""

from __future__ import annotations

import asyncio
import copy
import errno
import gc
import os
import random
import select
import signal
import socket
import time
import warnings
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Callable

import pytest
from conftest import Pair, full_table, identity, in_child, is_open, status_of

import fdpasser
from fdpasser import Received
from fdpasser.asyncio import Passer, RefusedError, Server, connect, serve

uvloop: Any
try:
    import uvloop

    uvloop.new_event_loop().close()  # it keeps some descriptors from its first use on
except ImportError:
    uvloop = None

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on a new loop in debug mode. What the loop has to complain of is a failure."""
    if request.param == "uvloop" and uvloop is None:
        pytest.skip("uvloop is not installed")

    def run(main: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.new_event_loop() if request.param == "asyncio" else uvloop.new_event_loop()
        complaints: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        loop.set_debug(True)
        try:
            loop.run_until_complete(main)
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
        gc.collect()
        assert complaints == []

    return run


async def turns(count: int = 5) -> None:
    """Let the loop go round, so that everything has happened that can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def closing(passer: Passer) -> AsyncIterator[Received]:
    async for received in passer:
        received.close()
        yield received


def fill_backlog(node: str) -> list[fdpasser.Descriptor]:
    """Connect until the server has no room for more."""
    clients = []
    with pytest.raises(TimeoutError):
        while True:
            clients.append(fdpasser.connect(node, timeout=0))
    return clients


# --- sending and receiving ------------------------------------------------------------------------------


def test_order_and_data(run: Run, pair: Pair) -> None:
    count = 500

    async def main() -> None:
        async with Passer(pair[0]) as sender, Passer(pair[1]) as receiver:
            assert pair[0].closed and pair[1].closed

            async def send() -> None:
                for number in range(count):
                    await sender.send(number % 3, str(number).encode() if number % 2 else b"")
                await sender.drain()
                sender.close()

            sending = asyncio.ensure_future(send())
            came = 0
            async for received in receiver:
                with received:
                    assert received.data == (str(came).encode() if came % 2 else b"")
                    assert identity(received) == identity(came % 3)
                came += 1
            assert came == count
            await sending
            with pytest.raises(EOFError):
                await receiver.recv()

    run(main())


def test_both_ways_at_once(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async def talk(fd: fdpasser.Descriptor) -> None:
            async with Passer(fd, per_message=16) as passer:

                async def send() -> None:
                    for _ in range(300):
                        await passer.send(0)

                sending = asyncio.ensure_future(send())
                for _ in range(300):
                    (await passer.recv()).close()
                await sending

        await asyncio.gather(*map(talk, pair))

    run(main())


def test_what_can_own_and_what_can_be_sent(run: Run) -> None:
    async def main() -> None:
        near, far = socket.socketpair()
        async with Passer(near) as sender, Passer(far.detach()) as receiver:
            assert near.fileno() == -1
            with open("/dev/null") as file:
                await sender.send(file)
                await sender.send(file.fileno())
            for _ in range(2):
                with await receiver.recv() as received:
                    assert os.path.samestat(os.fstat(received.fileno()), os.stat("/dev/null"))
            await until(lambda: sender.drained)
            assert receiver.peer == (os.getuid(), os.getgid(), os.getpid())

    run(main())


def test_the_sender_may_close_at_once(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async with Passer(pair[0]) as sender, Passer(pair[1]) as receiver:
            reader, writer = os.pipe()
            await sender.send(writer)
            os.close(writer)
            with await receiver.recv() as received:
                os.write(received.fileno(), b"text")
            with os.fdopen(reader) as file:
                assert file.read() == "text"

    run(main())


def test_several_in_a_message(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async with Passer(pair[1]) as receiver:
            fdpasser.send_message(pair[0], [0, 1, 2], b"first")
            for number in range(3):
                with await receiver.recv() as received:
                    assert received.data == (b"" if number else b"first")
                    assert identity(received) == identity(number)

    run(main())


def test_back_pressure(run: Run, pair: Pair) -> None:
    async def main() -> None:
        sent = 0

        async def send(passer: Passer) -> None:
            nonlocal sent
            for _ in range(2000):
                await passer.send(0)
                sent += 1

        async with Passer(pair[0], max_queued=5) as sender, Passer(pair[1]) as receiver:
            sending = asyncio.ensure_future(send(sender))
            await until(lambda: sender.queued == 5 and sender._writing)  # the socket is full too
            at_first = sent
            await turns(50)
            assert sent == at_first < 2000 and sender.queued == 5
            draining = asyncio.ensure_future(sender.drain())
            for _ in range(2000):
                (await receiver.recv()).close()
                assert sender.queued <= 5
            await asyncio.gather(sending, draining)

    run(main())


def test_many_senders_and_receivers_of_one_passer(run: Run, pair: Pair) -> None:
    async def main() -> None:
        got: list[bytes] = []

        async def send(passer: Passer, which: int) -> None:
            for number in range(50):
                await passer.send(0, f"{which} {number}".encode())

        async def receive(passer: Passer) -> None:
            async for received in passer:
                got.append(received.data)
                received.close()

        async with Passer(pair[1]) as receiver:
            receivers = [asyncio.ensure_future(receive(receiver)) for _ in range(7)]
            async with Passer(pair[0], max_queued=3) as sender:
                await asyncio.gather(*(send(sender, which) for which in range(9)))
            await asyncio.gather(*receivers)
        assert len(got) == 450
        for which in range(9):
            ours = [data for data in got if data.startswith(b"%d " % which)]
            assert ours == [f"{which} {number}".encode() for number in range(50)]

    run(main())


def test_others_have_their_turn(run: Run, pair: Pair) -> None:
    async def main() -> None:
        count = fdpasser.try_send_fds(pair[0], [0] * 1000)
        assert count > 150
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        async with Passer(pair[1]) as receiver:
            ticking = asyncio.ensure_future(tick())
            for _ in range(count):
                (await receiver.recv()).close()
            ticking.cancel()
        assert ticks > count / 64

    run(main())


def test_leaving_sends_what_is_queued(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async with Passer(pair[1]) as receiver:
            async with Passer(pair[0]) as sender:
                for _ in range(10):
                    await sender.send(0)
            for _ in range(10):
                (await receiver.recv()).close()

    run(main())


def test_leaving_by_an_exception_does_not_wait(run: Run, pair: Pair) -> None:
    async def main() -> None:
        with pytest.raises(KeyError):
            async with Passer(pair[0]) as sender:
                while not sender._writing:  # until the socket is full
                    await sender.send(0)
                    await asyncio.sleep(0)
                raise KeyError
        assert sender.closed

    run(main())


# --- cancelling ---------------------------------------------------------------------------------------


def test_cancelled_recv_takes_nothing(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async with Passer(pair[1]) as receiver:
            receiving = asyncio.ensure_future(receiver.recv())
            await turns()
            receiving.cancel()
            await turns()
            fdpasser.send_message(pair[0], [0], b"kept")
            await turns(20)
            # It is still in the kernel, and another process could have it.
            with fdpasser.Descriptor(os.dup(receiver.fileno())) as other:
                message = fdpasser.recv_message(other)
            assert message.data == b"kept"
            message.descriptors[0].close()
            fdpasser.send_fd(pair[0], 0)
            (await receiver.recv()).close()

    run(main())


def test_cancelled_recvs_ask_for_one_at_most(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async with Passer(pair[1]) as receiver:
            for _ in range(5):
                receiving = asyncio.ensure_future(receiver.recv())
                await turns()
                receiving.cancel()
            for _ in range(3):
                fdpasser.send_fd(pair[0], 0)
            (await receiver.recv()).close()
            await turns(20)
            with fdpasser.Descriptor(os.dup(receiver.fileno())) as other:
                for _ in range(2):
                    fdpasser.recv_fd(other).close()

    run(main())


def test_abandoned_recv_is_not_woken(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async with Passer(pair[1]) as receiver:
            abandoned = receiver.recv()
            abandoned.send(None)
            abandoned.close()
            fdpasser.send_fd(pair[0], 0)
            (await receiver.recv()).close()

    run(main())


def test_cancelled_when_it_was_about_to_return(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async with Passer(pair[1]) as receiver:
            first, second = (asyncio.ensure_future(receiver.recv()) for _ in range(2))
            await turns()
            fdpasser.send_message(pair[0], [0], b"one")
            receiver._process(select.POLLIN)  # as the loop does: the first task is woken now, and runs later
            first.cancel()
            with await second as received:
                assert received.data == b"one"
            assert first.cancelled()

    run(main())


@pytest.mark.parametrize("seed", range(3))
def test_ledger_of_cancellations(run: Run, pair: Pair, seed: int) -> None:
    """Cancel sends and receives at random moments. What was sent is what was received, each once and in order."""

    async def main() -> None:
        chance = random.Random(seed)
        sent: list[int] = []
        received: list[int] = []
        cancelled = 0

        async def send(passer: Passer, number: int) -> None:
            await passer.send(0, str(number).encode())
            sent.append(number)

        async def receive(passer: Passer) -> None:
            with await passer.recv() as fd:
                received.append(int(fd.data))

        async def attempt(work: Coroutine[Any, Any, None]) -> None:
            nonlocal cancelled
            task = asyncio.ensure_future(work)
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                cancelled += 1

        async with Passer(pair[0], max_queued=2) as sender, Passer(pair[1]) as receiver:
            for number in range(200):
                for _ in range(chance.randrange(3)):
                    await attempt(receive(receiver))
                await attempt(send(sender, number))
                if number % 100 == 0:  # a full socket, so that senders wait
                    for _ in range(300):
                        await attempt(send(sender, 1000 + number))
                    await attempt(sender.drain())
            draining = asyncio.ensure_future(sender.drain())
            while len(received) < len(sent):
                await receive(receiver)
            await draining
            assert received == sent
            assert cancelled > 100 and len(sent) > 200
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(receiver.recv(), 0.01)

    run(main())


def test_cancelled_at_the_end_of_a_block(run: Run, pair: Pair) -> None:
    async def main() -> None:
        sender = Passer(pair[0])

        async def send() -> None:
            async with sender:
                while not sender._writing:  # until the socket is full
                    await sender.send(0, b"data")
                    await asyncio.sleep(0)

        sending = asyncio.ensure_future(send())
        await until(lambda: len(sender._drainers) == 1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        # What was sent is whole, the rest is closed, and the connection is at its end.
        async with Passer(pair[1]) as receiver:
            datas = {received.data async for received in closing(receiver)}
            assert datas == {b"data"}

    run(main())


def test_cancelled_connect(run: Run, node: str) -> None:
    async def main() -> None:
        with fdpasser.server(node, backlog=1) as listener:
            clients = fill_backlog(node)
            connecting = asyncio.ensure_future(connect(node))
            await turns()
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            for client in clients:
                fdpasser.accept(listener, timeout=0).close()
                client.close()
            with pytest.raises(TimeoutError):
                fdpasser.accept(listener, timeout=0)

    run(main())


def test_wait_for_loses_nothing(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async with Passer(pair[0]) as sender, Passer(pair[1]) as receiver:

            async def send() -> None:
                for number in range(200):
                    await sender.send(0, str(number).encode())
                    await asyncio.sleep(0.0005)

            sending = asyncio.ensure_future(send())
            came = late = 0
            while came < 200:
                try:
                    with await asyncio.wait_for(receiver.recv(), 0.0005) as received:
                        assert received.data == str(came).encode()
                    came += 1
                except asyncio.TimeoutError:
                    late += 1
            await sending
            assert late > 0

    run(main())


# --- the end, and errors --------------------------------------------------------------------------------


def test_the_end_after_everything(run: Run, pair: Pair) -> None:
    async def main() -> None:
        fdpasser.send_fds(pair[0], [0] * 10)
        pair[0].close()
        async with Passer(pair[1]) as receiver:
            assert len([received async for received in closing(receiver)]) == 10
            with pytest.raises(BrokenPipeError):
                await receiver.send(0)
                await receiver.drain()
            with pytest.raises(BrokenPipeError):
                await receiver.send(0)
            await receiver_is_over(receiver)
            receiver.close()

    async def receiver_is_over(receiver: Passer) -> None:
        with pytest.raises(BrokenPipeError):
            await receiver.recv()

    run(main())


def test_an_error_of_a_packet_is_about_that_packet(run: Run) -> None:
    async def main() -> None:
        near, far = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with near:
            async with Passer(far) as receiver:
                fdpasser.send_message(near, [0], b"first")
                near.send(b"no descriptor")
                fdpasser.send_message(near, [1], b"third")
                with await receiver.recv() as received:
                    assert received.data == b"first"
                with pytest.raises(OSError) as lost:
                    await receiver.recv()
                assert lost.value.errno == errno.EBADMSG
                with await receiver.recv() as received:
                    assert received.data == b"third"
                near.send(b"and another one")
                await turns()

    run(main())


def test_bytes_alone_end_a_stream(run: Run) -> None:
    async def main() -> None:
        near, far = socket.socketpair()
        async with Passer(far) as receiver:
            fdpasser.send_fd(near, 0)
            near.send(b"no descriptor")
            near.close()
            (await receiver.recv()).close()
            for _ in range(2):
                with pytest.raises(OSError) as lost:
                    await receiver.recv()
                assert lost.value.errno == errno.EBADMSG

    run(main())


def test_reset_comes_after_what_had_come(run: Run, pair: Pair) -> None:
    async def main() -> None:
        fdpasser.send_fd(pair[0], 0)
        fdpasser.send_fd(pair[1], 0)
        pair[0].close()  # and has not received
        async with Passer(pair[1]) as receiver:
            (await receiver.recv()).close()
            for _ in range(2):
                with pytest.raises(ConnectionResetError):
                    await receiver.recv()

    run(main())


def test_waiting_senders_see_the_error(run: Run, pair: Pair) -> None:
    async def main() -> None:
        sender = Passer(pair[0], max_queued=1)

        async def send() -> None:
            while True:
                await sender.send(0)

        sending = [asyncio.ensure_future(send()) for _ in range(3)]
        await until(lambda: sender._writing)  # the socket is full
        draining = asyncio.ensure_future(sender.drain())
        await turns()
        pair[1].close()
        for task in *sending, draining:
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                await task
        sender.close()

    run(main())


def test_a_refused_descriptor_comes_back(run: Run) -> None:
    async def main() -> None:
        near, far = socket.socketpair()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # too small for much data
        async with Passer(near) as sender, Passer(far) as receiver:
            await sender.send(0, b"x" * 4096)
            await sender.send(1, b"short")
            with pytest.raises(RefusedError) as refused:
                await sender.drain()
            assert refused.value.errno == errno.EMSGSIZE
            assert identity(refused.value.descriptor) == identity(0)
            refused.value.descriptor.close()
            await sender.drain()
            with await receiver.recv() as received:
                assert received.data == b"short" and identity(received) == identity(1)

    run(main())


def test_a_refusal_that_nobody_asks_for_is_told() -> None:
    complaints: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        near, far = socket.socketpair()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        sender = Passer(near)
        await sender.send(0, b"x" * 4096)
        await until(lambda: sender.queued == 0)
        sender.close()
        far.close()

    asyncio.run(main())
    assert [type(context["exception"]) for context in complaints] == [RefusedError]


def test_arguments(run: Run, pair: Pair) -> None:
    async def main() -> None:
        for wrong in ({"max_queued": 0}, {"per_message": 0}, {"per_message": 254}):
            with pytest.raises(ValueError):
                Passer(pair[0], **wrong)
        with pytest.raises(OSError):
            Passer(999)
        assert not pair[0].closed
        async with Passer(pair[0]) as passer:
            with pytest.raises(OSError) as closed:
                await passer.send(999)
            assert closed.value.errno == errno.EBADF
            with pytest.raises(ValueError):
                await passer.send(-1)
            with pytest.raises(OSError) as long:
                await passer.send(0, b"x" * 4097)
            assert long.value.errno == errno.EMSGSIZE
            with pytest.raises(TypeError):
                copy.copy(passer)

    run(main())


def test_close_wakes_all_who_wait(run: Run, pair: Pair) -> None:
    async def main() -> None:
        passer = Passer(pair[0], max_queued=1)

        async def send() -> None:
            while True:
                await passer.send(0)

        tasks = [asyncio.ensure_future(work) for work in (passer.recv(), send())]
        await until(lambda: passer._writing)  # the socket is full
        tasks.append(asyncio.ensure_future(passer.drain()))
        await turns()
        passer.close()
        passer.close()
        for task in tasks:
            with pytest.raises(ValueError, match="closed"):
                await task
        for call in passer.send(0), passer.recv(), passer.drain():
            with pytest.raises(ValueError):
                await call
        with pytest.raises(ValueError):
            passer.fileno()
        with pytest.raises(ValueError):
            print(passer.queued)
        assert repr(passer) == "<Passer closed>"

    run(main())


def test_close_closes_what_nobody_has_taken_yet(run: Run, pair: Pair) -> None:
    async def main() -> None:
        receiver = Passer(pair[1])
        tasks = [asyncio.ensure_future(receiver.recv()) for _ in range(2)]
        await turns()
        fdpasser.send_fds(pair[0], [0, 0])
        receiver._process(select.POLLIN)  # as the loop does: the tasks are woken now, and run later
        receiver.close()
        for task in tasks:
            with pytest.raises(ValueError):
                await task

    run(main())


def test_close_after_an_error_closes_everything(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = Passer(pair[0]), Passer(pair[1])
        receiving = [asyncio.ensure_future(far.recv()) for _ in range(5)]
        await turns()
        for task in receiving:
            task.cancel()
        for _ in range(5):
            await near.send(0)
        await near.drain()
        near.close()
        await far.send(0)
        with pytest.raises(BrokenPipeError):
            await far.drain()
        far.close()
        with pytest.raises(ValueError):
            await far.recv()

    run(main())


def test_close_frees_although_the_loop_refuses(run: Run, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Passer) -> None:
        raise RuntimeError("Event loop is closed")

    async def main() -> None:
        near, far = Passer(pair[0]), Passer(pair[1])
        await near.send(0)
        await near.drain()
        monkeypatch.setattr(Passer, "_disarm", refuse)
        for passer in near, far:
            with pytest.raises(RuntimeError):
                passer.close()
            assert passer.closed

    run(main())


def test_forgotten_passer_warns(run: Run, pair: Pair) -> None:
    async def main() -> None:
        passer = Passer(pair[0])
        number = passer.fileno()
        with pytest.warns(ResourceWarning, match="unclosed Passer"):
            del passer
            gc.collect()
        assert not is_open(number)

    run(main())


# --- a full table, and no spinning ------------------------------------------------------------------------


class Counting(Passer):
    """Counts how often the queue works."""

    count = 0

    def _process(self, events: int) -> None:
        self.count += 1
        super()._process(events)


def test_full_table_pauses(run: Run, pair: Pair) -> None:
    async def main() -> None:
        fdpasser.send_message(pair[0], [0], b"kept")
        async with Counting(pair[1]) as receiver:
            receiving = asyncio.ensure_future(receiver.recv())
            with full_table():
                await asyncio.sleep(0.3)
                assert not receiving.done()
                assert 1 < receiver.count < 30
            with await receiving as received:
                assert received.data == b"kept"

    run(main())


def test_full_table_while_waiting(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async with Counting(pair[1]) as receiver:
            receiving = asyncio.ensure_future(receiver.recv())
            await turns()
            with full_table():
                fdpasser.send_message(pair[0], [0], b"kept")
                await asyncio.sleep(0.3)
                assert 1 < receiver.count < 30
                receiving.cancel()
                await turns()
            # Nobody waits any more, so the pause ends and nothing is taken.
            count = receiver.count
            await asyncio.sleep(0.2)
            assert receiver.count == count
            with await receiver.recv() as received:
                assert received.data == b"kept"

    run(main())


def test_full_table_does_not_stop_sending(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async with Passer(pair[0]) as sender:
            with full_table():
                sending = asyncio.ensure_future(sender.send(0, b"late"))
                await turns()
                assert not sending.done()
            await sending
            await sender.drain()
            message = fdpasser.recv_message(pair[1])
            assert message.data == b"late"
            message.descriptors[0].close()

    run(main())


def test_nothing_to_do_is_nothing_done(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async with Counting(pair[0]) as waiting:
            receiving = asyncio.ensure_future(waiting.recv())
            await turns()
            before = waiting.count, time.process_time()
            await asyncio.sleep(0.2)
            assert waiting.count == before[0]
            receiving.cancel()
            pair[1].close()  # hung up: the loop reports that all the time
            await asyncio.sleep(0.2)
            assert waiting.count == before[0]
            assert time.process_time() - before[1] < 0.2
            with pytest.raises(EOFError):
                await waiting.recv()
            count = waiting.count
            await asyncio.sleep(0.1)
            assert waiting.count == count

    run(main())


# --- forks ------------------------------------------------------------------------------------------------


def test_fork(run: Run, pair: Pair) -> None:
    def child_sends() -> None:
        async def main() -> None:
            pair[0].close()
            async with Passer(pair[1]) as passer:
                for number in range(50):
                    await passer.send(0, str(number).encode())

        asyncio.run(main())

    async def main() -> None:
        async with Passer(pair[0]) as passer:
            datas = [received.data async for received in closing(passer)]
            assert datas == [str(number).encode() for number in range(50)]

    child = in_child(child_sends)
    pair[1].close()
    run(main())
    assert status_of(child) == 0


def test_a_child_that_closes_its_copy_disturbs_nobody(run: Run, pair: Pair, node: str) -> None:
    async def main() -> None:
        async def handler(passer: Passer) -> None:
            async for received in passer:
                with received:
                    await passer.send(received)

        async with Passer(pair[0]) as passer, await serve(handler, node) as server:
            receiving = asyncio.ensure_future(passer.recv())
            await turns()

            def close() -> None:
                passer.close()
                server.close()

            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # uvloop has threads, and Python warns of forks then
                child = in_child(close)
            assert status_of(child) == 0
            fdpasser.send_fd(pair[1], 0)
            (await receiving).close()
            async with await connect(node) as client:
                await client.send(0)
                (await client.recv()).close()

    run(main())


# --- servers and clients ------------------------------------------------------------------------------------


async def echo(passer: Passer) -> None:
    assert passer.peer == (os.getuid(), os.getgid(), os.getpid())
    async for received in passer:
        with received:
            await passer.send(received, received.data.upper())


def test_server_and_clients(run: Run, node: str) -> None:
    async def talk(number: int) -> None:
        async with await connect(node) as client:
            await client.send(0, b"client %d" % number)
            with await client.recv() as received:
                assert received.data == b"CLIENT %d" % number

    async def main() -> None:
        async with await serve(echo, node, backlog=1, mode=0o600, exclusive=True) as server:
            assert os.stat(node).st_mode & 0o777 == 0o600
            with pytest.raises(OSError) as busy:
                await serve(echo, node, exclusive=True)
            assert busy.value.errno == errno.EADDRINUSE
            await asyncio.gather(*map(talk, range(30)))
            forever = asyncio.ensure_future(server.serve_forever())
            await turns()
            assert not forever.done()
            server.close()
            await forever
        assert not os.path.exists(node)
        with pytest.raises(FileNotFoundError):
            await connect(node)

    run(main())


def test_server_on_a_listener(run: Run, node: str) -> None:
    async def main() -> None:
        with fdpasser.server(node) as listener:
            received = fdpasser.Descriptor(os.dup(listener.fileno()))
            for which in received, listener:
                async with await serve(echo, which):
                    async with await connect(node) as client:
                        await client.send(0)
                        (await client.recv()).close()
                assert which.closed
        assert not os.path.exists(node)

    run(main())


def test_cancelled_server_cancels_its_handlers(run: Run, node: str) -> None:
    async def main() -> None:
        ended: list[str] = []

        async def handler(passer: Passer) -> None:
            try:
                await passer.recv()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        async def go() -> None:
            async with await serve(handler, node) as server:
                await server.serve_forever()

        serving = asyncio.ensure_future(go())
        await until(lambda: os.path.exists(node))
        async with await connect(node) as client:
            receiving = asyncio.ensure_future(client.recv())
            await turns(20)
            serving.cancel()
            with pytest.raises(EOFError):
                await receiving
            with pytest.raises(asyncio.CancelledError):
                await serving
        assert ended == ["cancelled"] and not os.path.exists(node)

    run(main())


def test_a_handler_that_is_cancelled_before_it_starts_leaves_nothing_open(run: Run, node: str) -> None:
    async def main() -> None:
        async def handler(passer: Passer) -> None:
            raise AssertionError("it was called")

        class Stop(Exception):
            pass

        passers: list[Passer] = []
        with pytest.raises(Stop):
            async with await serve(handler, node) as server:
                with fdpasser.connect(node):
                    handle = server._handle
                    server._handle = lambda passer: (passers.append(passer), handle(passer))[1]  # type: ignore[method-assign, func-returns-value]
                    server._accept()
                raise Stop
        assert [passer.closed for passer in passers] == [True]

    run(main())


def test_a_server_that_cannot_start_leaves_nothing(run: Run, node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(passer: Passer) -> None:
        pass

    async def main() -> None:
        for max_queued, per_message in (0, 1), (1, 0), (1, 254):
            with pytest.raises(ValueError):
                await serve(handler, node, max_queued=max_queued, per_message=per_message)
            assert not os.path.exists(node)
        monkeypatch.setattr(Server, "_resume", lambda self: os.close(-1))
        with pytest.raises(OSError):
            await serve(handler, node)
        assert not os.path.exists(node)

    run(main())


def test_closed_server_lets_handlers_finish(run: Run, node: str) -> None:
    async def main() -> None:
        server: Server = await serve(echo, node)
        async with await connect(node) as client:
            await client.send(0)
            (await client.recv()).close()
            server.close()
            await client.send(0)
            (await client.recv()).close()
        await server.wait_closed()

    run(main())


def test_a_handler_that_fails_is_told_and_the_server_goes_on(node: str) -> None:
    complaints: list[dict[str, Any]] = []

    async def handler(passer: Passer) -> None:
        raise LookupError

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with await serve(handler, node):
            for _ in range(2):
                async with await connect(node) as client:
                    with pytest.raises(EOFError):
                        await client.recv()

    asyncio.run(main())
    assert [type(context["exception"]) for context in complaints] == [LookupError] * 2


def test_server_waits_out_a_full_table(run: Run, node: str) -> None:
    async def main() -> None:
        async with await serve(echo, node):
            with fdpasser.connect(node) as client:
                fdpasser.send_message(client, [0], b"late")
                with full_table():
                    await asyncio.sleep(0.2)
                message = await asyncio.get_running_loop().run_in_executor(None, fdpasser.recv_message, client)
                assert message.data == b"LATE"
                message.descriptors[0].close()

    run(main())


def test_connect_waits_while_the_backlog_is_full(run: Run, node: str) -> None:
    async def main() -> None:
        with fdpasser.server(node, backlog=1) as listener:
            clients = fill_backlog(node)
            connecting = asyncio.ensure_future(connect(node))
            await asyncio.sleep(0.1)
            assert not connecting.done()
            for _ in clients:
                fdpasser.accept(listener).close()
            (await connecting).close()
        for client in clients:
            client.close()

    run(main())


def test_signals_do_not_disturb(run: Run, pair: Pair) -> None:
    async def main() -> None:
        came = 0

        def handler() -> None:
            nonlocal came
            came += 1

        asyncio.get_running_loop().add_signal_handler(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        try:
            async with Passer(pair[0]) as sender, Passer(pair[1]) as receiver:
                number = 0
                while came < 20:
                    await sender.send(0, str(number).encode())
                    with await receiver.recv() as received:
                        assert received.data == str(number).encode()
                    number += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            asyncio.get_running_loop().remove_signal_handler(signal.SIGALRM)

    run(main())

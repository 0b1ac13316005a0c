// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// A passer: order, data, the end, back-pressure, events, aborts, and closing.

const { Passer, Received, socketpair } = require('..');
const { assert, behaviour, fs, once, passers, read, readsAs, turn } = require('./helper.js');

const closed = { code: 'ERR_FDPASSER_CLOSED' };

behaviour('descriptors come in order, each with its data, and then the end', async () => {
  const [a, b] = passers();
  const data = [undefined, '', 'text', 'säger', Buffer.from([0, 1, 255]), new Uint8Array([0, 0]), Buffer.alloc(4096, 'x'), null];
  for (const [number, some] of data.entries()) {
    const fd = readsAs(`${number}`);
    const sent = a.send(fd, some);
    fs.closeSync(fd); // it is duplicated already
    await sent;
  }
  a.close();
  let number = 0;
  for await (const received of b) {
    assert(received instanceof Received);
    assert.deepStrictEqual(received.data, Buffer.from(data[number] ?? ''));
    assert.strictEqual(read(received), `${number++}`);
  }
  assert.strictEqual(number, data.length);
  assert.strictEqual(await b.recv(), null);
  assert.strictEqual(b.closed, false);
  b.close();
});

behaviour('a loop with `for await` can stop, and another one goes on', async () => {
  const [a, b] = passers({ perMessage: 3 });
  const fd = readsAs('');
  await Promise.all([1, 2, 3, 4].map(() => a.send(fd)));
  fs.closeSync(fd);
  for (let times = 0; times < 4; times++) {
    for await (const received of b) {
      received.close();
      break;
    }
  }
  a.close();
  for await (const received of b) assert.fail(`${received}`);
  b.close();
});

behaviour('a full socket bounds what is sent, and the promises say when', async () => {
  const [a, b] = passers();
  const fd = readsAs('');
  let sent = 0, drains = 0;
  a.on('drain', () => drains++);
  const all = Array.from({ length: 2000 }, () => a.send(fd).then(() => sent++));
  const drained = a.drain().then(() => assert.strictEqual(sent, 2000));
  for (let turns = 0, before = -1; before !== sent; turns++) {
    before = sent;
    for (let count = 0; count < 50; count++) await turn();
  }
  assert(sent > 0 && sent < 2000, `${sent} were sent`);
  assert.strictEqual(a.queued, 2000 - sent);
  assert.strictEqual(a.drained, false);
  for (let count = 0; count < 2000; count++) (await b.recv()).close();
  await Promise.all(all);
  await drained;
  await a.drain();
  assert.strictEqual(a.queued, 0);
  assert.strictEqual(a.drained, true);
  assert.strictEqual(drains, 1);
  fs.closeSync(fd);
  a.close();
  b.close();
});

behaviour('it takes nothing from the socket while nobody waits', async () => {
  const [a, b] = passers();
  const fd = readsAs('');
  (await Promise.all([b.recv(), a.send(fd)]))[0].close();
  await a.send(fd);
  for (let count = 0; count < 20; count++) await turn();
  assert.strictEqual(a.drained, false);
  (await b.recv()).close();
  assert.strictEqual(a.drained, true);
  fs.closeSync(fd);
  a.close();
  b.close();
});

behaviour('several wait for messages, and each gets one, in their order', async () => {
  const [a, b] = passers();
  const waiting = [1, 2, 3].map(() => b.recv());
  for (const text of ['1', '2']) {
    const fd = readsAs(text);
    await a.send(fd);
    fs.closeSync(fd);
  }
  assert.deepStrictEqual((await Promise.all(waiting.slice(0, 2))).map(read), ['1', '2']);
  a.close();
  assert.strictEqual(await waiting[2], null);
  b.close();
});

// --- aborts -------------------------------------------------------------------------------------------

behaviour('aborts at any moment lose nothing and double nothing', async () => {
  const [a, b] = passers();
  const total = 400;
  const fd = readsAs('');
  let seed = 1, aborted = 0;
  const random = (below) => (seed = (seed * 48271) % 0x7fffffff) % below;
  const sender = (async () => {
    for (let number = 0; number < total; number++) {
      await a.send(fd, `${number}`);
      for (let turns = random(3); turns > 0; turns--) await turn();
    }
    await a.drain();
    a.close();
  })();
  const ledger = [];
  for (let over = false; !over;) {
    const controller = new AbortController();
    const wait = b.recv({ signal: controller.signal });
    const abort = (async () => {
      for (let turns = random(4); turns > 0; turns--) await turn();
      controller.abort();
    })();
    try {
      const received = await wait;
      if (received === null) over = true;
      else {
        ledger.push(Number(received.data));
        received.close();
      }
    } catch (error) {
      assert.strictEqual(error.name, 'AbortError');
      assert.strictEqual(error.code, 'ABORT_ERR');
      assert.strictEqual(error.cause, controller.signal.reason);
      aborted++;
    }
    await abort;
  }
  await sender;
  assert.deepStrictEqual(ledger, Array.from({ length: total }, (_, number) => number));
  assert(aborted > 10, `${aborted} aborts`);
  fs.closeSync(fd);
  b.close();
});

behaviour('a signal that was aborted before takes nothing, and one for many calls keeps no listeners', async () => {
  const [a, b] = passers();
  const fd = readsAs('');
  await a.send(fd);
  await assert.rejects(b.recv({ signal: AbortSignal.abort('why') }), (error) => error.cause === 'why');
  (await b.recv()).close();
  const { signal } = new AbortController();
  for (let count = 0; count < 50; count++) { // 11 listeners would be a warning
    await a.send(fd);
    (await b.recv({ signal })).close();
  }
  fs.closeSync(fd);
  a.close();
  b.close();
});

// --- events -------------------------------------------------------------------------------------------

behaviour('events: messages in order, the end, and the close', async () => {
  const [a, b] = passers();
  const events = [];
  b.on('message', (received) => {
    events.push(`${received.data}`);
    received.close();
  });
  for (const event of ['end', 'close', 'error']) b.on(event, () => events.push(event));
  const fd = readsAs('');
  await Promise.all([1, 2, 3].map((number) => a.send(fd, `${number}`)));
  a.close();
  await once(b, 'end');
  b.close();
  b.close();
  await once(b, 'close');
  assert.deepStrictEqual(events, ['1', '2', '3', 'end', 'close']);
  fs.closeSync(fd);
});

behaviour('events.once takes one message, and leaves the others to the next one who asks', async () => {
  const [a, b] = passers();
  const fd = readsAs('');
  await Promise.all(Array.from({ length: 40 }, (_, number) => a.send(fd, `${number}`)));
  for (let number = 0; number < 40; number++) {
    const [received] = number % 2 ? [await b.recv()] : await once(b, 'message');
    assert.strictEqual(`${received.data}`, `${number}`);
    received.close();
  }
  fs.closeSync(fd);
  a.close();
  b.close();
});

behaviour('every way to add and to remove a listener', async () => {
  const [a, b] = passers();
  const fd = readsAs('');
  const seen = [];
  const listener = (received) => {
    seen.push(`${received.data}`);
    received.close();
  };
  const ways = [['on', 'off'], ['addListener', 'removeListener'], ['prependListener', 'removeAllListeners'], ['once'], ['prependOnceListener']];
  for (const [add, remove] of ways) {
    assert.strictEqual(b[add]('message', listener), b);
    await a.send(fd, add);
    while (!a.drained) await turn();
    if (remove === 'removeAllListeners') b.removeAllListeners();
    else if (remove) b[remove]('message', listener);
    await a.send(fd, `recv after ${add}`);
    for (let count = 0; count < 5; count++) await turn();
    assert.strictEqual(a.drained, false);
    listener(await b.recv());
  }
  assert.deepStrictEqual(seen, ways.flatMap(([add]) => [add, `recv after ${add}`]));
  fs.closeSync(fd);
  a.close();
  b.close();
});

behaviour('a listener may throw, and the next message comes all the same', async () => {
  const [a, b] = passers();
  const seen = [];
  const uncaught = [];
  // The runner of the tests has a listener of its own.
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => uncaught.push(error.message));
  b.on('message', (received) => {
    seen.push(`${received.data}`);
    received.close();
    throw new Error(`of ${received.data}`);
  });
  const fd = readsAs('');
  for (const number of [1, 2, 3]) a.send(fd, `${number}`);
  await a.drain();
  a.close();
  await once(b, 'end');
  process.removeAllListeners('uncaughtException');
  for (const listener of others) process.on('uncaughtException', listener);
  assert.deepStrictEqual(seen, ['1', '2', '3']);
  assert.deepStrictEqual(uncaught, ['of 1', 'of 2', 'of 3']);
  fs.closeSync(fd);
  b.close();
});

// --- closing ------------------------------------------------------------------------------------------

behaviour('a listener may close the passer; what came with that message is closed', async () => {
  const [a, b] = passers();
  const fd = readsAs('');
  let seen = 0;
  b.on('message', (received) => {
    seen++;
    received.close();
    b.close();
  });
  await Promise.all(Array.from({ length: 10 }, () => a.send(fd)));
  await once(b, 'close');
  assert.strictEqual(seen, 1);
  fs.closeSync(fd);
  a.close();
});

behaviour('a drain listener may close the passer', async () => {
  const [a, b] = passers();
  const fd = readsAs('');
  a.on('drain', () => a.close());
  await a.send(fd);
  fs.closeSync(fd);
  (await b.recv()).close();
  assert.strictEqual(await b.recv(), null);
  b.close();
});

behaviour('whoever waits is told that the passer is closed', async () => {
  const [a, b] = passers();
  const fd = readsAs('');
  const waits = [a.recv(), a.recv({ signal: new AbortController().signal }), ...Array.from({ length: 500 }, () => a.send(fd)), a.drain()];
  const results = Promise.allSettled(waits);
  await turn();
  a.close();
  const rejected = (await results).filter(({ status }) => status === 'rejected');
  assert(rejected.length > 3, 'some were not sent');
  for (const { reason } of rejected) assert.strictEqual(reason.code, closed.code);
  assert.strictEqual((await results)[0].status, 'rejected');
  await assert.rejects(a.recv(), closed);
  await assert.rejects(a.drain(), closed);
  await assert.rejects(a.send(fd), closed);
  for (const what of ['peer', 'drained']) assert.throws(() => a[what], closed);
  a.ref().unref().close();
  fs.closeSync(fd);
  b.close();
});

behaviour('what came and was not taken is closed with the passer', async () => {
  const [a, b] = passers({ perMessage: 10 });
  const fd = readsAs('');
  await Promise.all(Array.from({ length: 10 }, () => a.send(fd)));
  (await b.recv()).close();
  fs.closeSync(fd);
  a.close();
  b.close();
});

behaviour('the peer is gone: senders get an error, receivers first what has come', async () => {
  const [a, b] = passers();
  const fd = readsAs('');
  await b.send(fd, 'before');
  b.close();
  await assert.rejects(a.send(fd), { code: 'EPIPE', errno: -32, syscall: 'send', message: 'EPIPE: broken pipe, send' });
  assert.strictEqual(a.closed, true);
  await assert.rejects(a.send(fd), { code: 'EPIPE' });
  await assert.rejects(a.drain(), { code: 'EPIPE' });
  fs.closeSync(fd);

  const [c, d] = passers();
  const errors = [];
  c.on('error', (error) => errors.push(error.code));
  c.on('message', () => assert.fail('a message'));
  await c.send(1);
  d.close(); // it has not read
  await new Promise((resolve) => c.on('close', resolve));
  assert.deepStrictEqual(errors, ['ECONNRESET']);
  await assert.rejects(c.recv(), { code: 'ECONNRESET' });
});

behaviour('after an error too, close() closes what came and was not taken', async () => {
  const failed = async () => {
    const [a, b] = passers();
    const stop = new AbortController();
    const waits = Array.from({ length: 5 }, () => b.recv({ signal: stop.signal })); // five are asked for
    stop.abort();
    await Promise.allSettled(waits);
    for (let number = 0; number < 5; number++) await a.send(1, `${number}`);
    a.close();
    await assert.rejects(b.send(1), { code: 'EPIPE' }); // what has come is taken first
    assert.strictEqual(b.closed, true);
    return b;
  };
  const b = await failed();
  const received = await b.recv();
  assert.strictEqual(`${received.data}`, '0');
  received.close();
  b.close();
  b.close();
  await assert.rejects(b.recv(), { code: 'EPIPE' });
  const disposed = await failed();
  await disposed[Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]();
  await assert.rejects(disposed.recv(), { code: 'EPIPE' });
});

behaviour('who is at the other end', () => {
  const [a, b] = passers();
  assert.deepStrictEqual(a.peer, { uid: process.getuid(), gid: process.getgid(), pid: process.pid });
  a.close();
  b.close();
});

behaviour('`await using` sends what is queued and closes', { skip: !Symbol.asyncDispose && 'this Node has no Symbol.asyncDispose' }, async () => {
  const [a, b] = passers();
  for (const end of socketpair()) {
    end[Symbol.dispose]();
    assert.strictEqual(end.closed, true);
  }
  const fd = readsAs('');
  const sent = Promise.all(Array.from({ length: 300 }, () => a.send(fd)));
  let count = 0;
  const receiver = (async () => {
    for await (const received of b) {
      received.close();
      count++;
    }
  })();
  await a[Symbol.asyncDispose]();
  assert.strictEqual(a.closed, true);
  await sent;
  await receiver;
  assert.strictEqual(count, 300);
  fs.closeSync(fd);
  b.close();
});

behaviour('a passer is made from a number too', async () => {
  const [a, b] = socketpair().map((end) => new Passer(end.detach()));
  const fd = readsAs('');
  await a.send(fd);
  (await b.recv()).close();
  fs.closeSync(fd);
  a.close();
  b.close();
});

// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// Servers and clients.

const { connect, serve } = require('..');
const { assert, behaviour, fs, once, path, program, read, readsAs, temporary, turn } = require('./helper.js');

const node = () => path.join(temporary(), 'node');

behaviour('an async handler has a passer until its end, and everything that it queued is sent', async () => {
  const fd = readsAs('');
  const server = serve(node(), { mode: 0o600 }, async (passer) => {
    assert.strictEqual(passer.peer.pid, process.pid);
    for (let number = 0; number < 50; number++) passer.send(fd, `${number}`);
  });
  assert.strictEqual(fs.statSync(node()).mode & 0o777, 0o600);
  const passer = await connect(node());
  assert.strictEqual(passer.peer.uid, process.getuid());
  let number = 0;
  for await (const received of passer) {
    assert.strictEqual(`${received.data}`, `${number++}`);
    received.close();
  }
  assert.strictEqual(number, 50);
  passer.close();
  server.close();
  server.close();
  assert.strictEqual(server.closed, true);
  await once(server, 'close');
  assert.strictEqual(fs.existsSync(node()), false);
  fs.closeSync(fd);
});

behaviour('any other handler keeps its passer', async () => {
  const fd = readsAs('kept');
  let mine;
  const server = serve(node(), (passer) => {
    mine = passer;
  });
  server.on('passer', (passer) => assert.strictEqual(passer, mine));
  const passer = await connect(Buffer.from(node()));
  await passer.send(fd);
  passer.close();
  fs.closeSync(fd);
  assert.strictEqual(read(await mine.recv()), 'kept');
  assert.strictEqual(mine.closed, false);
  mine.close();
  server.close();
});

behaviour('a handler that fails is an error of the server, with the passer, and the server goes on', async () => {
  const errors = [];
  const server = serve(node(), async (passer) => {
    (await passer.recv()).close();
    throw new Error('why');
  });
  const closed = [];
  server.on('error', (error, passer) => {
    errors.push(error.message);
    closed.push(passer.closed);
  });
  for (let times = 0; times < 2; times++) {
    const passer = await connect(node());
    await passer.send(1);
    for (let message; (message = await passer.recv()) !== null;) message.close();
    passer.close();
  }
  await turn();
  assert.deepStrictEqual(errors, ['why', 'why']);
  assert.deepStrictEqual(closed, [true, true]);
  server.close();
});

behaviour('a handler that ends after an error leaves nothing open', async () => {
  let mine;
  const server = serve(node(), async (passer) => {
    mine = passer;
    const stop = new AbortController();
    const waits = [1, 2, 3].map(() => passer.recv({ signal: stop.signal }));
    stop.abort();
    await Promise.allSettled(waits);
    await once(client, 'close');
    await assert.rejects(passer.send(1), { code: 'EPIPE' }); // what has come is taken first
  });
  const client = await connect(node());
  for (let count = 0; count < 3; count++) await client.send(1);
  client.close();
  while (!mine?.closed) await turn();
  await turn();
  await assert.rejects(mine.recv(), { code: 'EPIPE' });
  server.close();
});

behaviour('a connection that nobody listens for is closed, and so is one whose handler throws', async () => {
  const warnings = []; // of the garbage collector, which must not be the one that closes it
  const warn = ({ code }) => warnings.push(code);
  process.on('warning', warn);
  for (const handler of [undefined, () => { throw new Error('why'); }]) {
    const uncaught = [];
    const others = process.listeners('uncaughtException'); // the runner of the tests has one
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => uncaught.push(error.message));
    const server = serve(node(), handler);
    const passer = await connect(node());
    assert.strictEqual(await passer.recv(), null);
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
    assert.deepStrictEqual(uncaught, handler ? ['why'] : []);
    passer.close();
    server.close();
  }
  await turn();
  process.off('warning', warn);
  assert.deepStrictEqual(warnings, []);
});

behaviour('options that are wrong open nothing', async () => {
  const server = serve(node());
  await assert.rejects(connect(node(), { perMessage: 254 }), { code: 'ERR_OUT_OF_RANGE' });
  server.close();
  assert.throws(() => serve(node(), { perMessage: 0 }), { code: 'ERR_OUT_OF_RANGE' });
  assert.strictEqual(fs.existsSync(node()), false);
});

behaviour('a server that cannot start, and a client without a server', async () => {
  const file = path.join(temporary(), 'regular');
  fs.writeFileSync(file, '');
  assert.throws(() => serve(file), { code: 'EEXIST', errno: -17, syscall: 'fdpasser_server', path: file, message: `EEXIST: file already exists, fdpasser_server '${file}'` });
  assert.throws(() => serve(3), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => serve(''), { code: 'ENOENT' });
  await assert.rejects(connect(file), { code: 'ECONNREFUSED', syscall: 'connect', path: file });
  await assert.rejects(connect(path.join(temporary(), 'none')), { code: 'ENOENT' });
  await assert.rejects(connect(), { code: 'ERR_INVALID_ARG_TYPE' });

  const first = serve(node(), { exclusive: true });
  assert.throws(() => serve(node(), { exclusive: true }), { code: 'EADDRINUSE' });
  const second = serve(node()); // takes over
  first.close(); // and leaves the other's node alone
  assert.strictEqual(fs.existsSync(node()), true);
  second.close();
});

behaviour('an abstract address', { skip: process.platform !== 'linux' && 'only Linux has them' }, async () => {
  const address = `\0fdpasser-${process.pid}`;
  const server = serve(address, async (passer) => passer.send(1));
  const passer = await connect(address);
  (await passer.recv()).close();
  passer.close();
  server.close();
});

behaviour('a full backlog makes clients wait, and a signal ends that', async () => {
  const server = serve(node(), { backlog: 1 });
  const accepted = [];
  server.on('passer', (passer) => accepted.push(passer));
  // They connect before the event loop accepts any.
  const clients = [];
  const waiting = Array.from({ length: 6 }, () => connect(node()).then((passer) => clients.push(passer)));
  const controller = new AbortController();
  const late = connect(node(), { signal: controller.signal });
  controller.abort();
  await assert.rejects(late, { name: 'AbortError' });
  await assert.rejects(connect(node(), { signal: controller.signal }), { name: 'AbortError' });
  await Promise.all(waiting);
  while (accepted.length < 6) await turn();
  for (const passer of [...clients, ...accepted]) passer.close();
  server.close();
});

behaviour('a server may be closed in its handler', async () => {
  const server = serve(node(), (passer) => {
    server.close();
    passer.close();
  });
  const passer = await connect(node());
  assert.strictEqual(await passer.recv(), null);
  passer.close();
});

behaviour('a full table makes connections wait until there is room', () => {
  const { stdout, stderr } = program(`
    const path = ${JSON.stringify(node())};
    let accepted = 0;
    const server = serve(path, (passer) => { accepted++; passer.close(); });
    const passer = await connect(path);
    const hoard = [];
    try { for (;;) hoard.push(fs.openSync('/dev/null')); } catch (error) { console.log(error.code); }
    const usage = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const { user, system } = process.cpuUsage(usage);
    console.log(accepted, user + system < 100_000);
    for (const fd of hoard) fs.closeSync(fd);
    console.log(await passer.recv(), accepted);
    passer.close();
    server.close();
  `, { limit: 60 });
  assert.strictEqual(stderr, '');
  assert.strictEqual(stdout, 'EMFILE\n0 true\nnull 1\n');
});

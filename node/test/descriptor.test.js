// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// Owners of descriptors: what they are made from, and what they become.

const fsp = require('node:fs/promises');
const net = require('node:net');
const { Descriptor, Passer, socketpair } = require('..');
const { assert, behaviour, fs, once, passers, path, program, read, readsAs, spawnSync, temporary } = require('./helper.js');

async function passed(what, data) {
  const [a, b] = passers();
  await a.send(what, data);
  const received = await b.recv();
  a.close();
  b.close();
  return received;
}

behaviour('a number, a FileHandle, a stream of fs, and a Descriptor can be sent, and stay the sender\'s', async () => {
  const fd = readsAs('a number');
  assert.strictEqual(read(await passed(fd)), 'a number');
  fs.fstatSync(fd);

  const handle = await fsp.open(`/proc/self/fd/${fd}`);
  assert.strictEqual(read(await passed(handle)), 'a number');
  await handle.close();

  const stream = fs.createReadStream(`/proc/self/fd/${fd}`);
  await once(stream, 'open');
  (await passed(stream)).close();
  stream.destroy();
  await once(stream, 'close');

  const descriptor = new Descriptor(fd);
  const duplicate = Descriptor.of(descriptor);
  (await passed(duplicate)).close();
  assert.strictEqual(duplicate.closed, false);
  duplicate.close();
  duplicate.close();
  descriptor.close();
  assert.throws(() => fs.fstatSync(fd), { code: 'EBADF' });
});

behaviour('a socket is sent, and becomes a net.Socket', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect(server.address().port, '127.0.0.1');
  const [accepted] = await once(server, 'connection');

  const received = await passed(accepted, 'accepted');
  accepted.destroy();
  const socket = received.socket();
  assert.strictEqual(received.closed, true);
  assert.throws(() => received.detach(), { code: 'ERR_FDPASSER_CLOSED' });
  socket.end('over another way');
  const [bytes] = await once(client, 'data');
  assert.strictEqual(bytes.toString(), 'over another way');
  client.end();
  socket.resume();
  await Promise.all([once(socket, 'close'), once(client, 'close')]);
  server.close();
});

behaviour('each end of a pipe becomes a net.Socket of one direction', async () => {
  const fifo = path.join(temporary(), 'fifo');
  assert.strictEqual(spawnSync('mkfifo', [fifo]).status, 0);
  const ends = [];
  for (const flags of [fs.constants.O_RDONLY | fs.constants.O_NONBLOCK, 'w']) {
    const fd = fs.openSync(fifo, flags);
    ends.push((await passed(fd)).socket());
    fs.closeSync(fd);
  }
  const [from, into] = ends;
  into.end('through a pipe');
  assert.strictEqual(`${(await once(from, 'data'))[0]}`, 'through a pipe');
  await once(from, 'end');
});

behaviour('a server is sent, and becomes a net.Server', async () => {
  const first = net.createServer().listen(0, '127.0.0.1');
  await once(first, 'listening');
  const { port } = first.address();
  const received = await passed(first);
  first.close();
  await once(first, 'close');

  const second = received.server((socket) => socket.end('the second one'));
  await once(second, 'listening');
  assert.strictEqual(second.address().port, port);
  const client = net.connect(port, '127.0.0.1');
  const [bytes] = await once(client, 'data');
  assert.strictEqual(bytes.toString(), 'the second one');
  await once(client, 'close');
  second.close();
  await once(second, 'close');
});

behaviour('what is no socket stays a Descriptor', async () => {
  const descriptor = new Descriptor(readsAs('text'));
  assert.throws(() => descriptor.socket(), { code: 'ERR_INVALID_FD_TYPE' });
  assert.throws(() => descriptor.server(), { code: 'ENOTSOCK' });
  assert.strictEqual(read(descriptor), 'text');

  const ends = socketpair();
  assert.throws(() => ends[0].server(), { code: 'EINVAL' });
  for (const end of ends) end.close();
});

behaviour('a listening socket that Node has no server for stays a Descriptor', { skip: process.platform !== 'linux' && 'only Linux has such local sockets' }, () => {
  const { stdout } = program(`
    const descriptor = new Descriptor(Number(process.env.LISTENER));
    try { descriptor.server(); } catch (error) { console.log(error.code, descriptor.closed); }
    descriptor.close();
  `, { perl: 'socket our $s, AF_UNIX, SOCK_SEQPACKET, 0; bind $s, sockaddr_un("\\0fdpasser-$$") or die; listen $s, 1 or die; $ENV{LISTENER} = fileno $s' });
  assert.strictEqual(stdout, 'EINVAL false\n');
});

behaviour('what cannot be a descriptor is refused', async () => {
  const [a, b] = passers();
  for (const wrong of [undefined, null, '3', {}, { fd: null }, Symbol('fd')]) {
    await assert.rejects(a.send(wrong), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => new Passer(wrong), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => new Descriptor(wrong), { code: 'ERR_INVALID_ARG_TYPE' });
  }
  for (const wrong of [-1, 1.5, NaN, 2 ** 32 + 3, 999_999]) {
    await assert.rejects(a.send(wrong), { code: 'EBADF' });
    assert.throws(() => new Passer(wrong), { code: 'EBADF', errno: -9 });
    assert.throws(() => new Descriptor(wrong), { code: 'EBADF' });
  }
  await assert.rejects(a.send(1, 3), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(a.send(1, Buffer.alloc(4097)), { code: 'EMSGSIZE', syscall: 'send' });
  for (const perMessage of [0, 254, 1.5, '3']) assert.throws(() => new Passer(3, { perMessage }), { code: 'ERR_OUT_OF_RANGE' });
  const closed = net.connect('/nowhere/at/all');
  await once(closed, 'error');
  await assert.rejects(a.send(closed), { code: 'ERR_INVALID_ARG_TYPE' });
  a.close();
  b.close();
});

behaviour('a descriptor that is not a socket is no passer, and stays the caller\'s', async () => {
  const fd = readsAs('text');
  assert.throws(() => new Passer(fd), { code: 'EPERM' });
  assert.strictEqual(fs.readFileSync(fd, 'utf8'), 'text');
  fs.closeSync(fd);
});


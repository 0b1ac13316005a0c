// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// Peers that send what they should not, and sockets that do not take what they should.

const { Descriptor, Passer, socketpair } = require('..');
const { assert, behaviour, fs, program, readsAs, spawnSync } = require('./helper.js');

const noPerl = spawnSync('perl', ['-MSocket', '-e', '1']).status !== 0 && 'there is no Perl';

// One end as a passer, the other one as a socket that writes what a test likes.
function against() {
  const [ours, theirs] = socketpair();
  return [new Passer(ours), theirs.socket()];
}

behaviour('the end comes at once', async () => {
  const [passer, socket] = against();
  socket.end();
  assert.strictEqual(await passer.recv(), null);
  passer.close();
});

for (const [what, bytes, code] of [['a byte', Buffer.alloc(1), 'EBADMSG'], ['many bytes', Buffer.alloc(5000), 'EMSGSIZE']]) {
  behaviour(`${what} without a descriptor`, async () => {
    const [passer, socket] = against();
    socket.end(bytes);
    await assert.rejects(passer.recv(), { code, syscall: 'recv' });
    assert.strictEqual(passer.closed, true);
    await assert.rejects(passer.recv(), { code });
    socket.destroy();
  });

  behaviour(`${what} without a descriptor, with listeners`, async () => {
    const [passer, socket] = against();
    socket.end(bytes);
    passer.on('message', () => assert.fail('a message'));
    const error = await new Promise((resolve) => passer.on('error', resolve));
    assert.strictEqual(error.code, code);
    assert.strictEqual(passer.closed, true);
    socket.destroy();
  });
}

// The bytes are in the socket first.
async function joined(bytes, data) {
  const [ours, theirs] = socketpair();
  const socket = Descriptor.of(theirs).socket();
  await new Promise((resolve) => socket.write(bytes, resolve));
  const [passer, peer] = [new Passer(ours), new Passer(theirs)];
  const fd = readsAs('');
  await peer.send(fd, data);
  fs.closeSync(fd);
  peer.close();
  socket.destroy();
  return passer;
}

behaviour('bytes before a message are the first ones of its data', async () => {
  const passer = await joined('before ', 'the message');
  const received = await passer.recv();
  assert.strictEqual(`${received.data}`, 'before the message');
  received.close();
  assert.strictEqual(await passer.recv(), null);
  passer.close();
});

behaviour('a message with too much data: its descriptor is closed', async () => {
  const passer = await joined('before', Buffer.alloc(4096, 'x'));
  await assert.rejects(passer.recv(), { code: 'EMSGSIZE' });
});

behaviour('data that does not fit into the socket is refused, and the others are sent', { skip: noPerl }, () => {
  const { stdout, stderr } = program(`
    const [a, b] = [process.env.A, process.env.B].map((fd) => new Passer(Number(fd)));
    const sent = [a.send(1, 'one'), a.send(1, Buffer.alloc(4096, 'x')), a.send(1, 'two'), a.drain()];
    console.log((await Promise.allSettled(sent)).map(({ status, reason }) => reason?.message ?? status).join('; '), a.closed);
    for (let count = 0; count < 2; count++) { const m = await b.recv(); console.log(String(m.data)); m.close(); }
    a.close();
    b.close();`, {
    perl: 'socketpair my $a, my $b, AF_UNIX, SOCK_STREAM, 0 or die; setsockopt $_, SOL_SOCKET, SO_SNDBUF, 1 or die for $a, $b; @ENV{"A", "B"} = map { fileno $_ } $a, $b',
  });
  assert.strictEqual(stderr, '');
  assert.strictEqual(stdout, 'fulfilled; EMSGSIZE: message too long, send; fulfilled; fulfilled false\none\ntwo\n');
});

behaviour('on a packet socket a message can be wrong, and the others are received', { skip: noPerl }, () => {
  const packets = 'socketpair my $a, my $b, AF_UNIX, SOCK_SEQPACKET, 0 or die; @ENV{"A", "B"} = map { fileno $_ } $a, $b; send $a, $_, 0 for "x", "y" x 5000';
  const wait = `const [a, b] = [process.env.A, process.env.B].map((fd) => new Passer(Number(fd)));
    await a.send(1, 'right'); a.close();`;
  const promises = program(`${wait}
    for (let count = 0; count < 4; count++) console.log(await b.recv().then((m) => m && (m.close(), String(m.data)), (error) => error.code), b.closed);
    b.close();`, { perl: packets });
  assert.deepStrictEqual(promises, { stdout: 'EBADMSG false\nEMSGSIZE false\nright false\nnull false\n', stderr: '' });
  const events = program(`${wait}
    b.on('error', (error) => console.log(error.code, b.closed));
    b.on('message', (m) => { console.log(String(m.data)); m.close(); });
    b.on('end', () => { console.log('end'); b.close(); });`, { perl: packets });
  assert.deepStrictEqual(events, { stdout: 'EBADMSG false\nEMSGSIZE false\nright\nend\n', stderr: '' });
});

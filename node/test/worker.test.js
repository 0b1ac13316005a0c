// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// Passers in worker_threads. A worker ends while its process goes on, so it must leave nothing open.

const { Worker } = require('node:worker_threads');
const { Passer, socketpair } = require('..');
const { assert, behaviour, fs, once, program, readsAs, root } = require('./helper.js');

const prelude = `
  const { workerData, parentPort } = require('node:worker_threads');
  const { Descriptor, Passer, serve, socketpair } = require(${JSON.stringify(root)});`;

function worker(source, workerData) {
  return new Worker(`${prelude}\n(async () => {${source}\n})()`, { eval: true, workerData });
}

behaviour('each thread has passers of its own', async () => {
  const threads = 4;
  const each = 200;
  const fd = readsAs('');
  await Promise.all(Array.from({ length: threads }, async (_, thread) => {
    const [ours, theirs] = socketpair();
    const child = worker(`
      const passer = new Passer(workerData);
      for await (const received of passer) { await passer.send(received, received.data); received.close(); }
      await passer.drain();
      passer.close();`, theirs.detach());
    const passer = new Passer(ours);
    for (let number = 0; number < each; number++) {
      passer.send(fd, `${thread} ${number}`);
      const received = await passer.recv();
      assert.strictEqual(`${received.data}`, `${thread} ${number}`);
      received.close();
    }
    const exited = once(child, 'exit');
    passer.close();
    assert.deepStrictEqual(await exited, [0]);
  }));
  fs.closeSync(fd);
});

for (const [how, end] of [['ends by itself', 'process.exit()'], ['is terminated', ''], ['fails', "throw new Error('as it should')"]]) {
  behaviour(`all that is open in a worker is closed when it ${how}`, async () => {
    const child = worker(`
      const [a, b] = socketpair().map((end) => new Passer(end));
      await a.send(1);
      const received = await b.recv();
      for (let count = 0; count < 1000; count++) a.send(1).catch(() => {});
      const [forgotten, other] = socketpair();
      const idle = new Passer(other);
      const server = serve('\\0fdpasser-worker-' + process.pid, () => {});
      b.on('message', () => {});
      a.recv().catch(() => {});
      globalThis.kept = [a, b, received, forgotten, idle, server];
      parentPort.postMessage('ready');
      setImmediate(() => { ${end} });
      await new Promise(() => {});`);
    const errors = [];
    child.on('error', (error) => errors.push(error.message));
    const exited = new Promise((resolve) => child.on('exit', resolve));
    await new Promise((resolve) => child.on('message', resolve));
    if (end === '') await child.terminate();
    await exited;
    assert.deepStrictEqual(errors, how === 'fails' ? ['as it should'] : []);
  });
}

behaviour('workers come and go', () => {
  const { stdout, stderr } = program(`
    const { Worker } = require('node:worker_threads');
    process.stdout; // it opens a descriptor
    const before = fs.readdirSync('/proc/self/fd').length;
    for (let count = 0; count < 20; count++) {
      const child = new Worker(${JSON.stringify(`${prelude} const [a, b] = socketpair().map((end) => new Passer(end)); a.send(1); b.recv().then((m) => { m.close(); if (workerData) a.recv(); });`)}, { eval: true, workerData: count % 2 });
      if (count % 2) await new Promise((resolve) => setTimeout(resolve, 5 * count)), await child.terminate();
      else await new Promise((resolve) => child.on('exit', resolve));
    }
    console.log(fs.readdirSync('/proc/self/fd').length - before);`);
  assert.deepStrictEqual({ stdout, stderr }, { stdout: '0\n', stderr: '' });
});

behaviour('a descriptor goes to another thread as a number', async () => {
  const fd = readsAs('in a worker');
  const child = worker(`
    const descriptor = new Descriptor(workerData);
    const duplicate = Descriptor.of(descriptor);
    for (const end of socketpair()) end.socket().destroy();
    parentPort.postMessage(require('node:fs').readFileSync(workerData, 'utf8'));
    descriptor.close();
    duplicate.close();`, fd);
  const errors = [];
  const texts = [];
  child.on('error', (error) => errors.push(error));
  child.on('message', (text) => texts.push(text));
  await new Promise((resolve) => child.on('exit', resolve));
  assert.deepStrictEqual(texts, ['in a worker']);
  assert.deepStrictEqual(errors, []);
  assert.throws(() => fs.fstatSync(fd), { code: 'EBADF' });
});

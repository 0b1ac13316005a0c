// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// What concerns the whole process: its end, its descriptor table, its children, its garbage.

const { Passer, socketpair } = require('..');
const { assert, behaviour, fs, once, passers, program, read, readsAs, spawn } = require('./helper.js');

// --- the end of a process -----------------------------------------------------------------------------

const pair = 'const [a, b] = socketpair().map((end) => new Passer(end));';

behaviour('an idle passer does not hold the process', () => {
  assert.deepStrictEqual(program(`${pair} await a.send(1); (await b.recv()).close(); console.log('over');`), { stdout: 'over\n', stderr: '' });
});

behaviour('a listener that was removed does not hold the process, and an aborted recv neither', () => {
  program(`${pair}
    const listener = () => {};
    a.on('message', listener);
    await new Promise((resolve) => setTimeout(resolve, 20));
    a.off('message', listener);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    await b.recv({ signal: controller.signal }).catch(() => {});`);
});

behaviour('whoever waits for a message holds the process', () => {
  for (const wait of ["a.recv().then((m) => console.log(String(m.data)))", "a.once('message', (m) => console.log(String(m.data)))"]) {
    const { stdout } = program(`${pair} ${wait}; setTimeout(() => b.send(1, 'late'), 50);`);
    assert.strictEqual(stdout, 'late\n');
  }
});

behaviour('after unref() it does not', () => {
  const { stdout } = program(`${pair} a.unref().recv(); b.on('message', () => {}); b.unref(); setTimeout(() => console.log('timer'), 20);
    const server = serve('\\0fdpasser-unref-' + process.pid).unref();`);
  assert.strictEqual(stdout, 'timer\n');
  assert.strictEqual(program(`${pair} a.unref().recv().then((m) => console.log(String(m.data))); a.ref(); setTimeout(() => b.send(1, 'ref'), 20);`).stdout, 'ref\n');
});

behaviour('what is queued is sent before the process ends, also after unref()', async () => {
  const [ours, theirs] = socketpair();
  const fd = theirs.detach();
  const [command, ...words] = program.command(`
    const passer = new Passer(3).unref();
    for (let number = 0; number < 1000; number++) passer.send(1, String(number));
    console.log('queued', passer.queued);`);
  const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'inherit', fd] });
  fs.closeSync(fd);
  const output = [];
  child.stdout.on('data', (bytes) => output.push(bytes));
  const passer = new Passer(ours);
  let number = 0;
  for await (const received of passer) {
    assert.strictEqual(`${received.data}`, `${number++}`);
    received.close();
  }
  assert.strictEqual(number, 1000);
  passer.close();
  const [status] = await once(child, 'close');
  assert.strictEqual(status, 0);
  assert.strictEqual(`${Buffer.concat(output)}`, 'queued 1000\n');
});

behaviour('process.exit() and an exception end it with work pending', () => {
  program(`${pair} for (let count = 0; count < 1000; count++) a.send(1); b.on('message', () => process.exit(0));`);
  program(`${pair} for (let count = 0; count < 1000; count++) a.send(1).catch(() => {}); a.recv(); process.on('uncaughtException', () => process.exit(0)); b.on('message', () => { throw new Error(); });`);
});

// --- children -----------------------------------------------------------------------------------------

behaviour('a child inherits an end of a pair, and nothing else', async () => {
  const [ours, theirs] = socketpair();
  const passer = new Passer(ours);
  const fd = theirs.detach();
  const [command, ...words] = program.command(`
    const open = fs.readdirSync('/proc/self/fd').filter((fd) => fd > 2).map((fd) => { try { return fs.readlinkSync('/proc/self/fd/' + fd); } catch { return ''; } });
    const passer = new Passer(3);
    for await (const received of passer) await passer.send(received, open.filter((name) => name.startsWith('socket:')).length + ' sockets');
    passer.close();`);
  const child = spawn(command, words, { stdio: ['ignore', 'inherit', 'inherit', fd] });
  fs.closeSync(fd);
  const file = readsAs('there and back');
  await passer.send(file);
  fs.closeSync(file);
  const received = await passer.recv();
  assert.strictEqual(`${received.data}`, '1 sockets');
  assert.strictEqual(read(received), 'there and back');
  passer.close();
  const [status] = await once(child, 'close');
  assert.strictEqual(status, 0);
});

// --- a full table -------------------------------------------------------------------------------------

behaviour('a full table makes a receiver wait, loses nothing, and costs nothing', () => {
  const { stdout, stderr } = program(`${pair}
    for (let number = 0; number < 10; number++) await a.send(1, String(number));
    const hoard = [];
    try { for (;;) hoard.push(fs.openSync('/dev/null')); } catch (error) { console.log(error.code); }
    await a.send(1).catch((error) => console.log(error.code, error.syscall, a.closed));
    let came = 0;
    b.on('message', (received) => { came++; received.close(); });
    const usage = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const { user, system } = process.cpuUsage(usage);
    console.log(came, user + system < 100_000);
    fs.closeSync(hoard.pop());
    while (came < 10) await new Promise(setImmediate);
    console.log(came);
    a.close();
    b.on('end', () => { b.close(); console.log('end'); });
  `, { limit: 60 });
  assert.deepStrictEqual({ stdout, stderr }, { stdout: 'EMFILE\nEMFILE send false\n0 true\n10\nend\n', stderr: '' });
});

// --- garbage ------------------------------------------------------------------------------------------

behaviour('the garbage collector closes what was forgotten, and says so', () => {
  const { stdout } = program(`
    const count = () => fs.readdirSync('/proc/self/fd').length;
    const turn = () => new Promise(setImmediate);
    const warned = [];
    process.on('warning', (warning) => warned.push([warning.name, warning.code, warning.message.replace(/[0-9]+/, 'N')].join()));
    process.stderr; // it opens a descriptor
    const before = count();
    (() => { socketpair()[0].close(); })();
    await (async () => { const [a, b] = socketpair().map((end) => new Passer(end)); await a.send(1); await b.recv(); b.close(); })();
    for (let turns = 0; count() > before && turns < 500; turns++) { gc(); await turn(); }
    await turn();
    console.log(count() - before);
    for (const text of warned.sort()) console.log(text);
  `, { flags: ['--expose-gc'] });
  assert.deepStrictEqual(stdout.split('\n'), [
    '0',
    'ResourceWarning,FDPASSER_UNCLOSED,the garbage collector closed a descriptor, N, that was not closed',
    'ResourceWarning,FDPASSER_UNCLOSED,the garbage collector closed a descriptor, N, that was not closed',
    'ResourceWarning,FDPASSER_UNCLOSED,the garbage collector closed a passer or server, N, that was not closed',
    '',
  ]);
});

behaviour('the garbage collector leaves alone what is in use', () => {
  const { stdout, stderr } = program(`
    const collect = setInterval(gc, 1);
    const open = () => { const [a, b] = socketpair().map((end) => new Passer(end)); return { a, promise: b.recv().then((m) => { m.close(); b.close(); }) }; };
    const waiting = Array.from({ length: 20 }, open);
    const path = '\\0fdpasser-gc-' + process.pid;
    (() => { const server = serve(path, (passer) => { passer.on('message', (m) => { m.close(); passer.close(); server.close(); }); }); })();
    (async () => { const c = await connect(path); await c.send(1); console.log(await c.recv()); c.close(); })();
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const { a } of waiting) { await a.send(1); a.close(); }
    await Promise.all(waiting.map(({ promise }) => promise));
    clearInterval(collect);
    console.log('all');
  `, { flags: ['--expose-gc'] });
  assert.deepStrictEqual({ stdout, stderr }, { stdout: 'null\nall\n', stderr: '' });
});

behaviour('thousands of passers come and go', async () => {
  for (let count = 0; count < 2000; count++) {
    const [a, b] = passers();
    if (count % 3) b.recv().catch(() => {});
    if (count % 2) await a.send(1);
    a.close();
    b.close();
  }
});

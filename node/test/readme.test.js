// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// The examples in README.md run as they stand, without a warning.

const { EventEmitter } = require('node:events');
const net = require('node:net');
const os = require('node:os');
const fdpasser = require('..');
const { assert, behaviour, fs, once, path, root, spawn, spawnSync } = require('./helper.js');

const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8');
// With the library that `make lib` has built, as the README says.
const built = path.join(root, '..', 'target', 'release');
const has = (command) => spawnSync(command, ['--version']).status === 0;

function example(directory, name) {
  const [, text] = new RegExp(`ave (?:it|this) as \`${name}\`:\n\n\`\`\`\\w+\n(.*?)^\`\`\`$`, 'ms').exec(readme) ?? [];
  assert(text, `there is no ${name}`);
  fs.writeFileSync(path.join(directory, name), text);
  return name;
}

// A directory in which `fdpasser` is installed.
function folder(context) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'fdpasser-readme-'));
  context.after(() => fs.rmSync(directory, { recursive: true }));
  fs.mkdirSync(path.join(directory, 'node_modules'));
  fs.symlinkSync(root, path.join(directory, 'node_modules', 'fdpasser'));
  return directory;
}

function start(context, directory, command, ...words) {
  const child = spawn(command, words, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  context.after(() => child.kill('SIGKILL'));
  let output = '';
  const wanted = [];
  const look = (ended) => {
    for (const { pattern, resolve, reject } of [...wanted]) {
      const found = pattern.exec(output);
      if (found) resolve(found);
      else if (ended) reject(new Error(`${words.join(' ')} printed ${output}`));
    }
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      output += bytes;
      look(false);
    });
  }
  const ended = once(child, 'close').then(([status, signal]) => {
    look(true);
    return { status, signal, output };
  });
  const prints = (pattern) => new Promise((resolve, reject) => {
    wanted.push({ pattern, resolve, reject });
    look(false);
  });
  return { child, ended, prints };
}

const program = (context, directory, name, ...words) =>
  start(context, directory, process.execPath, '--trace-warnings', example(directory, name), ...words);

behaviour('from C to Node', { skip: !has('cc') ? 'there is no C compiler' : !fs.existsSync(`${built}/libfdpasser.so`) && 'the library is not built here' }, async (context) => {
  const directory = folder(context);
  const commands = [...readme.matchAll(/^\$ (cc .*)$/gm)].map(([, command]) => command);
  example(directory, 'give.c');
  const compiled = spawnSync('sh', ['-c', commands[0]], { cwd: directory, encoding: 'utf8', env: { ...process.env, SRC: path.join(root, '..') } });
  assert.deepStrictEqual([compiled.status, compiled.stderr], [0, '']);
  const take = program(context, directory, 'take.mjs');
  await take.prints(/ready\n/);
  const give = start(context, directory, './give');
  assert.deepStrictEqual(await give.ended, { status: 0, signal: null, output: 'Node has a pipe of C\n' });
  assert.deepStrictEqual(await take.ended, { status: 0, signal: null, output: `ready\nfrom user ${process.getuid()}\n` });
  assert.strictEqual(fs.existsSync(path.join(directory, 'node')), false);
});

behaviour('a dispatcher and its workers', { skip: !has('curl') && 'there is no curl' }, async (context) => {
  const directory = folder(context);
  const free = net.createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address();
  free.close();
  await once(free, 'close');

  const get = async (where, ...more) => {
    const words = ['--silent', '--show-error', '--max-time', '60', '--noproxy', '*', ...more, `http://127.0.0.1:${port}${where}`];
    const { output, status } = await start(context, directory, 'curl', ...words).ended;
    assert.strictEqual(status, 0, output);
    return output;
  };
  const dispatcher = program(context, directory, 'dispatcher.mjs', `${port}`);
  await dispatcher.prints(/ready\n/);
  const early = get('/early'); // before there is a worker
  const workers = [program(context, directory, 'worker.mjs'), program(context, directory, 'worker.mjs')];
  const pids = workers.map(({ child }) => child.pid);
  for (const pid of pids) await dispatcher.prints(new RegExp(`worker ${pid}\n`));

  const answered = new Set();
  for (const answer of [early, ...Array.from({ length: 10 }, (_, number) => get(`/${number}`))]) {
    const [, url, pid] = /^\/(\w+) from (\d+)\n$/.exec(await answer);
    assert(pids.includes(Number(pid)), `${url} from ${pid}`);
    answered.add(pid);
  }
  assert.strictEqual(answered.size, 2, 'both workers answered');
  // A connection is kept, and its second request is read by the worker.
  assert.match(await get('/first', `http://127.0.0.1:${port}/zero`), /^\/zero from (\d+)\n\/first from \1\n$/);

  workers[0].child.kill('SIGKILL');
  await workers[0].ended;
  // The dispatcher finds that a worker is gone, and no client notices.
  for (let number = 0; number < 4; number++) assert.strictEqual(await get(`/${number}`), `/${number} from ${pids[1]}\n`);
  dispatcher.child.kill('SIGKILL');
  await dispatcher.ended;
  const { status, output } = await workers[1].ended;
  assert.deepStrictEqual([status, output], [0, '']);
});

behaviour('a parent and its child', async (context) => {
  const directory = folder(context);
  example(directory, 'child.mjs');
  const { status, output } = await program(context, directory, 'parent.mjs').ended;
  const { size } = fs.statSync(path.join(directory, 'parent.mjs'));
  assert.deepStrictEqual([status, output], [0, `the program of my parent has ${size} bytes\n`]);
});

behaviour('index.d.ts declares what there is', () => {
  const declared = fs.readFileSync(path.join(root, 'index.d.ts'), 'utf8');
  const names = [...declared.matchAll(/^export (?:class|function) (\w+)/gm)].map(([, name]) => name);
  assert.deepStrictEqual([...new Set(names)].sort(), Object.keys(fdpasser).sort());
  for (const [, name, body] of declared.matchAll(/^export class (\w+) .*?\{\n(.*?)^\}/gms)) {
    const declares = [...body.matchAll(/^ {2}(?:static |readonly )*(\w+)[(:]/gm)].map(([, member]) => member);
    const own = (object) => Object.getOwnPropertyNames(object).filter((key) => !['length', 'name', 'prototype', 'constructor'].includes(key));
    const has = [...own(fdpasser[name].prototype), ...own(fdpasser[name])];
    const ours = (keys) => [...new Set(keys)].filter((key) => key !== 'constructor' && key !== 'data' && !(key in EventEmitter.prototype)).sort();
    assert.deepStrictEqual(ours(declares), ours(has), name);
  }
});

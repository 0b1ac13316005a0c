// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// What the tests share.

const assert = require('node:assert');
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setImmediate: turn } = require('node:timers/promises');
const test = require('node:test');
const { Passer, socketpair } = require('..');

const root = path.join(__dirname, '..');

// libuv opens a descriptor for its own use together with the first stream.
for (const end of socketpair()) end.socket().destroy();

// A test that leaves no more descriptors open than it found.
function behaviour(name, options, body) {
  if (typeof options === 'function') [options, body] = [{}, options];
  test(name, { timeout: 60_000, ...options }, async (context) => {
    const before = await descriptors();
    await body(context);
    await settled(before);
  });
}

async function descriptors() {
  await turn();
  return fs.readdirSync('/proc/self/fd').map((fd) => `${fd} ${target(fd)}`);
}

function target(fd) {
  try {
    return fs.readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return ''; // the directory itself
  }
}

// Sockets of Node close a little later.
async function settled(before) {
  for (let turns = 0; (await descriptors()).length > before.length && turns < 1000; turns++);
  const after = await descriptors();
  assert(after.length <= before.length, `${before.length} were open, and then ${after.length}: ${after.filter((fd) => !before.includes(fd)).join(', ')}`);
}

function passers(options) {
  return socketpair().map((end) => new Passer(end, options));
}

// A descriptor that reads as a text, and then ends. The caller closes it.
let files = 0;
function readsAs(text) {
  const file = path.join(temporary(), `file${files++}`);
  fs.writeFileSync(file, text);
  return fs.openSync(file);
}

function read(received) {
  const fd = received.detach();
  try {
    return fs.readFileSync(fd, 'utf8');
  } finally {
    fs.closeSync(fd);
  }
}

let directory;
function temporary() {
  if (!directory) {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'fdpasser-'));
    process.on('exit', () => fs.rmSync(directory, { recursive: true }));
  }
  return directory;
}

// A program of ours in a process of its own, where `fdpasser` is this package. Returns what it printed.
// With `perl`, that is run first in the same process: Node has no function for what it does.
function program(source, { flags = [], limit, perl } = {}) {
  const command = program.command(source, flags);
  if (limit) command.unshift('sh', '-c', `ulimit -n ${limit} && exec "$@"`, 'sh');
  if (perl) command.unshift('perl', '-MSocket', '-e', `$^F = 255; ${perl}; exec @ARGV or die`, '--');
  const { status, signal, stdout, stderr } = spawnSync(command[0], command.slice(1), {
    encoding: 'utf8', timeout: 60_000, stdio: ['ignore', 'pipe', 'pipe'],
  });
  assert.strictEqual(status, 0, `status ${status}, signal ${signal}: ${stderr}`);
  return { stdout, stderr };
}

program.command = (source, flags = []) => {
  const prelude = `'use strict'; const fs = require('node:fs'); const net = require('node:net');
    const fdpasser = require(${JSON.stringify(root)}); const { Descriptor, Passer, connect, serve, socketpair } = fdpasser;`;
  return [process.execPath, '--trace-warnings', ...flags, '-e', `${prelude}\n(async () => {${source}\n})()`];
};

module.exports = { assert, behaviour, descriptors, fs, once, passers, path, program, read, readsAs, root, settled, spawn, spawnSync, temporary, test, turn };

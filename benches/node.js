// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// The package for Node, and a plain addon. It takes the arguments of peer.h, and prints what programs with peer.h print. What
// it sends is its standard input, which is a pipe.

const fs = require('node:fs');

const passer = 3;
const inFlight = 64;
const data = Buffer.alloc(100, 'x');

async function send(count, bytes) {
  const { Passer } = require('../node');
  const to = new Passer(passer);
  return async () => {
    let left = count;
    const next = async () => {
      while (left-- > 0) await to.send(0, bytes);
    };
    await Promise.all(Array.from({ length: inFlight }, next));
  };
}

async function recv(count) {
  const { Passer } = require('../node');
  const from = new Passer(passer);
  return async () => {
    for await (const received of from) {
      received.close();
      if (--count === 0) break;
    }
  };
}

async function recvEvents(count) {
  const { Passer } = require('../node');
  const from = new Passer(passer);
  return () => new Promise((resolve) => {
    from.on('message', (received) => {
      received.close();
      if (--count === 0) resolve(from.removeAllListeners('message'));
    });
  });
}

const plain = () => require('../target/bench/node_plain.node');

const roles = {
  send,
  send_data: (count) => send(count, data),
  recv,
  recv_events: recvEvents,
  plain_send: async (count) => {
    const addon = plain();
    return () => {
      for (let left = count; left > 0; left--) if (addon.send(passer, 0) !== 1) throw new Error('sendmsg');
    };
  },
  plain_recv: async (count) => {
    const addon = plain();
    return () => {
      for (let left = count; left > 0; left--) fs.closeSync(addon.recv(passer));
    };
  },
};

const seconds = () => (Number(process.hrtime.bigint()) / 1e9).toFixed(9);

async function main(role, count) {
  const run = await roles[role](Number(count));
  const byte = Buffer.alloc(1);
  fs.writeSync(1, 'ready\n');
  if (fs.readSync(0, byte) !== 1) throw new Error('not started');
  const cpu = process.cpuUsage();
  const start = seconds();
  await run();
  const end = seconds();
  const { user, system } = process.cpuUsage(cpu);
  fs.writeSync(1, `${start} ${end} ${((user + system) / 1e6).toFixed(9)}\n`);
  while (fs.readSync(0, byte) > 0);
  process.exit(0);
}

main(...process.argv.slice(2));

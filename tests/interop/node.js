#!/usr/bin/env node
// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// The package for Node, in node/.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Passer } = require('../../node');

const inFlight = 16;

// A file that reads as `number`, and then ends. Node has no function for pipes.
function numbered(number) {
  const file = path.join(directory, `${number}`);
  const fd = fs.openSync(file, 'w+');
  fs.writeSync(fd, `${number}`, 0);
  fs.unlinkSync(file);
  return fd;
}

function lines(bytes) {
  const found = [];
  for (let start = 0, end; (end = bytes.indexOf('\n', start)) >= 0; start = end + 1) found.push(bytes.subarray(start, end));
  return found;
}

let directory;
async function send(passer, count) {
  const data = lines(fs.readFileSync(0));
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'fdpasser-'));
  try {
    const sends = [];
    for (let number = 1; number <= count; number++) {
      const fd = numbered(number);
      sends.push(passer.send(fd, data[number - 1]));
      fs.closeSync(fd);
      if (sends.length >= inFlight) await sends.shift();
    }
    await Promise.all(sends);
  } finally {
    fs.rmdirSync(directory);
  }
}

async function recv(passer, count) {
  let number = 0;
  for await (const received of passer) {
    if (++number > count) throw new Error(`more than ${count} came`);
    const fd = received.detach();
    const text = fs.readFileSync(fd, 'utf8');
    fs.closeSync(fd);
    if (text !== `${number}`) throw new Error(`"${text}" came, not ${number}`);
    fs.writeSync(1, Buffer.concat([Buffer.from(`${number}: `), received.data, Buffer.from('\n')]));
  }
  if (number < count) throw new Error(`the end came after ${number}`);
}

async function main(role, count, fd) {
  const passer = new Passer(Number(fd));
  await { send, recv }[role](passer, Number(count));
  passer.close();
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error.stack);
  process.exit(1);
});

// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// The module in C. install.js has built it.

const { join } = require('node:path');

const file = join(__dirname, '..', 'build', 'fdpasser.node');

let addon;
try {
  addon = require(file);
} catch (error) {
  const install = join(__dirname, '..', 'install.js');
  throw new Error(`cannot load ${file}. \`node ${install}\` builds it, as \`npm install\` does`, { cause: error });
}

// What a passer and a server do when their descriptor is ready.
const onReady = Symbol('ready');

addon.start(
  (object, found) => object[onReady](found),
  (isPasser, fd) => {
    const what = isPasser ? 'passer or server' : 'descriptor';
    process.emitWarning(`the garbage collector closed a ${what}, ${fd}, that was not closed`, {
      type: 'ResourceWarning',
      code: 'FDPASSER_UNCLOSED',
    });
  },
);

module.exports = { addon, onReady };

// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// index.d.ts says what each of these does.

const { Descriptor, Received } = require('./descriptor.js');
const { Passer } = require('./passer.js');
const { Server, connect, serve, socketpair } = require('./server.js');

module.exports = { Descriptor, Passer, Received, Server, connect, serve, socketpair };

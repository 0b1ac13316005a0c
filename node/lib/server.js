// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// Servers, their clients, and pairs.

const { EventEmitter } = require('node:events');
const { errno: errnos } = require('node:os').constants;
const { setTimeout: sleep } = require('node:timers/promises');
const { addon, onReady } = require('./addon.js');
const { Descriptor, ownerOf } = require('./descriptor.js');
const { abortError, argumentError, check, systemError } = require('./errors.js');
const { checkOptions, passerOf } = require('./passer.js');

// How many connections one turn of the event loop accepts.
const accepts = 16;

// The pause before a client tries again to connect. There is no event for room in a server's backlog.
const backlogPause = 20;

function bytesOfPath(path) {
  if (typeof path === 'string') return Buffer.from(path);
  if (path instanceof Uint8Array) return Buffer.from(path);
  throw argumentError('a path must be a string or a Buffer');
}

class Server extends EventEmitter {
  #path;
  #node = Buffer.alloc(addon.NODE_SIZE);
  #options;
  #closed = false;
  #holds = true;
  #pause = -1;

  // Only serve() calls it.
  constructor(path, { backlog = 0, mode = -1, exclusive = false, ...options }) {
    super();
    this.#path = bytesOfPath(path);
    this.#options = options;
    checkOptions(options);
    const owner = check(addon.server(this.#path, backlog, mode, exclusive, this.#node), 'fdpasser_server', path);
    const listener = new Descriptor(owner);
    try {
      check(addon.watch(this, ownerOf(listener), 0), 'poll');
    } catch (error) {
      addon.unlink(this.#path, this.#node);
      listener.close();
      throw error;
    }
    this.#arm();
  }

  get closed() {
    return this.#closed;
  }

  ref() {
    this.#holds = true;
    this.#arm();
    return this;
  }

  unref() {
    this.#holds = false;
    this.#arm();
    return this;
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    addon.unlink(this.#path, this.#node); // before the listener is closed
    addon.close(this);
    process.nextTick(() => this.emit('close'));
  }

  #arm() {
    if (!this.#closed) addon.armListener(this, this.#pause, this.#holds);
  }

  [onReady]() {
    this.#pause = -1;
    try {
      for (let count = 0; count < accepts && !this.#closed; count++) {
        const owner = addon.accept(this);
        if (typeof owner !== 'number') {
          const passer = passerOf(owner, this.#options);
          if (!this.emit('passer', passer)) passer.close(); // nobody else has it
          continue;
        }
        const errno = -owner;
        if (errno === errnos.EAGAIN) return;
        const pause = addon.retryMs(errno);
        if (pause > 0) {
          this.#pause = pause; // the table is full
          return;
        }
        if (pause === 0 || errno === errnos.ECONNABORTED) continue;
        this.close();
        this.emit('error', systemError(errno, 'accept'));
      }
    } finally {
      this.#arm();
    }
  }
}

function serve(path, options, onPasser) {
  if (typeof options === 'function') [options, onPasser] = [{}, options];
  const server = new Server(path, options ?? {});
  if (onPasser) {
    server.on('passer', (passer) => {
      const promise = started(onPasser, passer);
      if (typeof promise?.then === 'function') finish(server, passer, promise);
    });
  }
  return server;
}

// A handler that throws has no passer any more. The error is one of the event loop.
function started(onPasser, passer) {
  try {
    return onPasser(passer);
  } catch (error) {
    passer.close();
    throw error;
  }
}

// An async handler has a passer until its end.
async function finish(server, passer, promise) {
  try {
    await promise;
    if (!passer.closed) await passer.drain();
  } catch (error) {
    process.nextTick(() => server.emit('error', error, passer));
  } finally {
    passer.close();
  }
}

async function connect(path, { signal, ...options } = {}) {
  const bytes = bytesOfPath(path);
  checkOptions(options);
  for (;;) {
    if (signal?.aborted) throw abortError(signal);
    const owner = addon.connect(bytes);
    if (typeof owner !== 'number') return passerOf(owner, options);
    if (owner !== -errnos.ETIMEDOUT) throw systemError(-owner, 'connect', path);
    await sleep(backlogPause, undefined, { signal });
  }
}

function socketpair() {
  return check(addon.pair(), 'socketpair').map((owner) => new Descriptor(owner));
}

module.exports = { Server, connect, serve, socketpair };

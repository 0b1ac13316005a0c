// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// A passer: a queue object of the library, in the event loop of this thread.

const { EventEmitter } = require('node:events');
const { inspect } = require('node:util');
const { addon, onReady } = require('./addon.js');
const { Descriptor, Received, bytesOf, numberOf, ownerOf } = require('./descriptor.js');
const { abortError, argumentError, check, closedError, rangeError, systemError } = require('./errors.js');

// How many messages a passer with a listener for them asks for.
const flow = 16;

function checkOptions({ perMessage = 1 }) {
  if (!Number.isInteger(perMessage) || perMessage < 1 || perMessage > 253) throw rangeError('perMessage must be 1 to 253');
  return perMessage;
}

class Passer extends EventEmitter {
  #sends = []; // the promises of what is queued, in order
  #pushed = 0;
  #drains = []; // who waits until so many are sent
  #flush;

  #received = []; // messages that nobody has taken, and errors of messages
  #receivers = []; // who waits for one
  #asked = 0; // how many the queue was asked for and has not handed out

  #ended = false;
  #toldEnd = false;
  #error; // of the connection
  #closed = false;
  #holds = true;

  constructor(fd, options = {}) {
    super();
    const perMessage = checkOptions(options);
    if (typeof fd !== 'number' && !(fd instanceof Descriptor)) throw argumentError('a Passer is made from a number or a Descriptor');
    const owner = typeof fd === 'number' ? new Descriptor(fd) : fd;
    try {
      check(addon.watch(this, ownerOf(owner), perMessage), 'fdpasser_new');
    } catch (error) {
      if (owner !== fd && !owner.closed) owner.detach(); // the number stays the caller's
      throw error;
    }
  }

  // A passer receives while there is a listener for 'message'. The other methods of an EventEmitter call these.
  static {
    for (const name of ['on', 'addListener', 'prependListener', 'off', 'removeListener', 'removeAllListeners']) {
      const method = EventEmitter.prototype[name];
      const value = function (...words) {
        method.apply(this, words);
        if (words[0] === 'message' || words.length === 0) process.nextTick(() => this.#continue());
        return this;
      };
      Object.defineProperty(this.prototype, name, { value, configurable: true, writable: true });
    }
  }

  // --- sending --------------------------------------------------------------------------------------

  // It is async, so every error is a rejection. Up to its end it runs at once: the descriptor is duplicated before it returns.
  async send(what, data) {
    const bytes = bytesOf(data);
    const fd = numberOf(what);
    this.#mustBeOpen();
    check(addon.push(this, fd, bytes), 'send');
    this.#pushed++;
    // If others are queued already, the event loop knows.
    if (this.#sends.length === 0) this.#flush = setImmediate(() => this[onReady](addon.POLLOUT));
    return new Promise((resolve, reject) => this.#sends.push({ resolve, reject }));
  }

  async drain() {
    if (this.#sends.length === 0) return this.#mustBeOpen();
    return new Promise((resolve, reject) => this.#drains.push({ until: this.#pushed, resolve, reject }));
  }

  // --- receiving ------------------------------------------------------------------------------------

  async recv({ signal } = {}) {
    if (signal?.aborted) throw abortError(signal);
    if (this.#received.length > 0) {
      const message = this.#received.shift();
      if (message instanceof Error) throw message;
      return message;
    }
    this.#mustBeOpen();
    if (this.#ended) return null;
    return new Promise((resolve, reject) => {
      const receiver = { resolve, reject, done: undefined };
      if (signal) {
        const abort = () => {
          this.#receivers.splice(this.#receivers.indexOf(receiver), 1);
          this.#arm();
          reject(abortError(signal));
        };
        signal.addEventListener('abort', abort, { once: true });
        receiver.done = () => signal.removeEventListener('abort', abort);
      }
      this.#receivers.push(receiver);
      this.#arm();
    });
  }

  // It has no `return`, so the passer stays as it is when a loop stops.
  [Symbol.asyncIterator]() {
    const next = async () => {
      const value = await this.recv();
      return value === null ? { value: undefined, done: true } : { value, done: false };
    };
    return { next, [Symbol.asyncIterator]() { return this; } };
  }

  // --- the connection -------------------------------------------------------------------------------

  get closed() {
    return this.#closed;
  }

  get queued() {
    return this.#sends.length;
  }

  get drained() {
    this.#mustBeOpen();
    return check(addon.drained(this), 'fdpasser_drained') === 1;
  }

  get peer() {
    this.#mustBeOpen();
    const [uid, gid, pid] = check(addon.peer(this), 'fdpasser_peer_cred');
    return { uid, gid, pid };
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

  // An error may have closed everything else before.
  close() {
    if (!this.#closed) this.#end(closedError('passer'));
    for (const message of this.#received.splice(0)) if (!(message instanceof Error)) message.close();
  }

  async [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]() {
    try {
      if (!this.#closed) await this.drain();
    } finally {
      this.close();
    }
  }

  [inspect.custom]() {
    return `<Passer ${this.#closed ? 'closed' : 'open'}, ${this.#sends.length} queued>`;
  }

  #mustBeOpen() {
    if (this.#error) throw this.#error;
    if (this.#closed) throw closedError('passer');
  }

  // Closes everything but the messages that have come. Whoever waits for something gets the error.
  #end(error) {
    this.#closed = true;
    clearImmediate(this.#flush);
    addon.close(this);
    for (const { reject } of this.#sends.splice(0)) reject(error);
    for (const { reject } of this.#drains.splice(0)) reject(error);
    for (const { reject, done } of this.#receivers.splice(0)) {
      done?.();
      reject(error);
    }
    process.nextTick(() => this.emit('close'));
  }

  // --- the event loop -------------------------------------------------------------------------------

  get #flows() {
    return this.listenerCount('message') > 0;
  }

  // Asks the event loop for what is waited for.
  #arm() {
    if (this.#closed) return;
    const wanted = this.#ended ? 0 : this.#receivers.length + (this.#flows ? flow : 0);
    if (wanted > this.#asked) {
      check(addon.ask(this, wanted - this.#asked), 'recv');
      this.#asked = wanted;
    }
    addon.arm(this, wanted > 0, this.#holds);
  }

  // The descriptor is ready, or a pause is over.
  [onReady](found) {
    if (this.#closed) return;
    const taken = [];
    const state = addon.process(this, found, taken);
    const wasQueued = this.#sends.length;
    const sent = this.#sends.splice(0, wasQueued - addon.queued(this));
    if (state >= addon.LOST) {
      this.#received.push(systemError(state - addon.LOST, 'recv'));
    } else if (state >= addon.REFUSED) {
      sent.pop().reject(systemError(state - addon.REFUSED, 'send')); // the last one that left the queue
    } else if (state < 0) {
      this.#error = systemError(-state, this.#sends.length > 0 ? 'send' : 'recv');
    } else if (state === 0) {
      this.#ended = true;
    }
    for (const { resolve } of sent) resolve();
    while (this.#drains.length > 0 && this.#drains[0].until <= this.#pushed - this.#sends.length) this.#drains.shift().resolve();

    this.#asked -= taken.length / 2;
    for (let at = 0; at < taken.length; at += 2) this.#received.push(new Received(taken[at], taken[at + 1]));
    while (this.#receivers.length > 0 && (this.#received.length > 0 || this.#ended)) {
      const { resolve, reject, done } = this.#receivers.shift();
      const message = this.#received.length > 0 ? this.#received.shift() : null;
      done?.();
      if (message instanceof Error) reject(message);
      else resolve(message);
    }
    if (this.#error) this.#end(this.#error);
    try {
      if (wasQueued > 0 && this.#sends.length === 0 && !this.#closed) this.emit('drain');
    } finally {
      this.#continue();
    }
  }

  // Tells the listeners what there is to tell, and waits for more. A listener may do anything, and may throw.
  #continue() {
    try {
      while (this.#flows && this.#received.length > 0) {
        const message = this.#received.shift();
        this.emit(message instanceof Error ? 'error' : 'message', message);
      }
      this.#tellEnd();
    } finally {
      if (this.#flows && this.#received.length > 0) setImmediate(() => this.#continue());
      this.#arm();
    }
  }

  #tellEnd() {
    if (this.#toldEnd || this.#received.length > 0 || !(this.#error || (this.#ended && !this.#closed))) return;
    this.#toldEnd = true;
    if (!this.#error) this.emit('end');
    else if (this.#flows || this.listenerCount('error') > 0) this.emit('error', this.#error);
  }
}

// A passer made from an owner that nobody else has. If it cannot be made, the descriptor is closed.
function passerOf(owner, options) {
  const descriptor = new Descriptor(owner);
  try {
    return new Passer(descriptor, options);
  } catch (error) {
    descriptor.close();
    throw error;
  }
}

module.exports = { Passer, checkOptions, passerOf };

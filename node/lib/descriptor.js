// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// Owners of descriptors, and what can be sent.

const { constants } = require('node:fs');
const net = require('node:net');
const { errno: errnos } = require('node:os').constants;
const { inspect, types } = require('node:util');
const { addon } = require('./addon.js');
const { argumentError, check, closedError, systemError } = require('./errors.js');

const noData = Buffer.alloc(0);

let numberIn, ownerOf;

class Descriptor {
  #owner;

  static {
    numberIn = (descriptor) => descriptor.#number();
    ownerOf = (descriptor) => {
      descriptor.#number();
      return descriptor.#owner;
    };
  }

  // Only this package gives anything but a number: an owner that the addon has made.
  constructor(fd) {
    if (typeof fd === 'number') this.#owner = check(addon.own(whole(fd)), 'fcntl');
    else if (types.isExternal(fd)) this.#owner = fd;
    else throw argumentError('a Descriptor is made from a number');
  }

  static of(what) {
    return new Descriptor(check(addon.duplicate(numberOf(what)), 'fcntl'));
  }

  get closed() {
    return addon.numberOf(this.#owner) < 0;
  }

  detach() {
    this.#number();
    return addon.give(this.#owner);
  }

  close() {
    addon.closeOwned(this.#owner);
  }

  socket(options) {
    const fd = this.#number();
    const access = check(addon.access(fd), 'fcntl'); // a pipe has one direction
    const directions = { readable: access !== constants.O_WRONLY, writable: access !== constants.O_RDONLY };
    const socket = new net.Socket({ ...directions, ...options, fd });
    addon.give(this.#owner); // the socket has it now
    return socket;
  }

  server(...options) {
    if (!check(addon.isListening(this.#number()), 'getsockopt')) throw systemError(errnos.EINVAL, 'listen');
    return net.createServer(...options).listen({ fd: addon.give(this.#owner) });
  }

  #number() {
    const fd = addon.numberOf(this.#owner);
    if (fd < 0) throw closedError('descriptor');
    return fd;
  }

  [inspect.custom]() {
    return `<${this.constructor.name} ${this.closed ? 'closed' : addon.numberOf(this.#owner)}>`;
  }
}

class Received extends Descriptor {
  constructor(owner, data = noData) {
    super(owner);
    this.data = data;
  }
}

if (Symbol.dispose) {
  Object.defineProperty(Descriptor.prototype, Symbol.dispose, { value: Descriptor.prototype.close, configurable: true, writable: true });
}

// A number that can be a descriptor's.
function whole(fd) {
  if (!Number.isInteger(fd) || fd < 0 || fd > 0x7fffffff) throw systemError(errnos.EBADF, 'fcntl');
  return fd;
}

// The number of whatever has one.
function numberOf(what) {
  if (what instanceof Descriptor) return numberIn(what);
  const fd = typeof what === 'number' ? what : what?._handle?.fd ?? what?.fd;
  if (typeof fd !== 'number') {
    throw argumentError('what is sent must be a number, a Descriptor, or an object that has a descriptor: a socket, a server, a FileHandle, a stream');
  }
  return whole(fd);
}

function bytesOf(data) {
  if (data === undefined || data === null) return noData;
  if (typeof data === 'string') return Buffer.from(data);
  if (data instanceof Uint8Array) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  throw argumentError('data must be a string, a Buffer or a Uint8Array');
}

module.exports = { Descriptor, Received, bytesOf, numberOf, ownerOf };

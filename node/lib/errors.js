// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

// Errors, as Node has them.

const { constants } = require('node:os');
const { getSystemErrorMap } = require('node:util');
const { addon } = require('./addon.js');

// Name and text. Node does not know all of them.
function described(errno) {
  const known = getSystemErrorMap().get(-errno);
  if (known) return known;
  if (errno === addon.ETOOMANYREFS) return ['ETOOMANYREFS', 'too many descriptors in flight'];
  if (errno === addon.DESTROYED) {
    const name = process.platform === 'netbsd' ? 'ENOLINK' : 'ENOTRECOVERABLE';
    return [name, 'the kernel destroyed descriptors of a message'];
  }
  const name = Object.keys(constants.errno).find((key) => constants.errno[key] === errno) ?? 'UNKNOWN';
  return [name, `error ${errno}`];
}

// An error of the system. `errno` is positive here, and negative in the error, as everywhere in Node.
function systemError(errno, syscall, path) {
  const [code, text] = described(errno);
  const where = path === undefined ? '' : ` '${path}'`;
  const error = new Error(`${code}: ${text}, ${syscall}${where}`);
  Object.assign(error, { errno: -errno, code, syscall });
  if (path !== undefined) error.path = path;
  return error;
}

// What a function of the addon returned, or the error that it means.
function check(result, syscall, path) {
  if (typeof result === 'number' && result < 0) throw systemError(-result, syscall, path);
  return result;
}

function closedError(what) {
  return Object.assign(new Error(`the ${what} is closed`), { code: 'ERR_FDPASSER_CLOSED' });
}

function argumentError(text) {
  return Object.assign(new TypeError(text), { code: 'ERR_INVALID_ARG_TYPE' });
}

function rangeError(text) {
  return Object.assign(new RangeError(text), { code: 'ERR_OUT_OF_RANGE' });
}

function abortError(signal) {
  const error = new Error('The operation was aborted', { cause: signal.reason });
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' });
}

module.exports = { abortError, argumentError, check, closedError, rangeError, systemError };

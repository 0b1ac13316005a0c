// SPDX-License-Identifier: MIT OR Apache-2.0

/**
 * Pass open file descriptors, sockets and pipes between processes, with a few bytes of data, and lose none.
 *
 * Errors of the system are `Error`s with `code` ('EMFILE'), `errno` (negative) and `syscall`, as everywhere in Node. The code
 * is the errno that the manual of libfdpasser gives for the C function. Whoever waits for something that was closed gets an
 * error with the code 'ERR_FDPASSER_CLOSED'.
 */

import * as dgram from 'node:dgram';
import { EventEmitter } from 'node:events';
import * as fs from 'node:fs';
import * as net from 'node:net';

/**
 * What has a descriptor that can be sent. An object has it in `fd`, as the `FileHandle` of `fs/promises` does, or in
 * `_handle.fd`. Sockets are also `process.stdin`, and `stdin`, `stdout` and `stderr` of a child process.
 */
export type Sendable =
  | number
  | Descriptor
  | { readonly fd: number | null }
  | fs.ReadStream
  | fs.WriteStream
  | net.Socket
  | net.Server
  | dgram.Socket;

/** Up to 4096 bytes that travel with a descriptor. A string is sent as UTF-8. */
export type Data = string | Uint8Array | null;

/** The owner of a descriptor. If you forget to close it, the garbage collector does, with a ResourceWarning. */
export class Descriptor {
  /** Owns an open descriptor from now on. */
  constructor(fd: number);

  /** Makes a duplicate of a descriptor, and its owner. What it was made from stays as it is. */
  static of(what: Sendable): Descriptor;

  /** Whether there is no descriptor any more: it was closed, or given away. */
  readonly closed: boolean;

  /** Gives the number away. From now on you have to close it, for example with `fs.closeSync`. */
  detach(): number;

  /** Closes the descriptor. To do this twice does no harm. */
  close(): void;

  /**
   * Makes a socket of it, which owns the descriptor then. It can be a stream socket (TCP or local) or a pipe. For anything
   * else this throws, and the descriptor stays here.
   */
  socket(options?: net.SocketConstructorOpts): net.Socket;

  /**
   * Makes a server of a listening socket, which owns the descriptor then. The arguments are those of `net.createServer`. The
   * server emits 'listening' as after `listen`. If the socket does not listen, or is not TCP or a local stream socket, this
   * throws EINVAL, and the descriptor stays here.
   */
  server(connectionListener?: (socket: net.Socket) => void): net.Server;
  server(options?: net.ServerOpts, connectionListener?: (socket: net.Socket) => void): net.Server;

  /** Does what `close` does, for `using`. It is there if Node has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/** A descriptor that has come, and the data that came with it. */
export class Received extends Descriptor {
  private constructor();

  /** It is empty if there is none. If several descriptors came in one message, the first one has the data. */
  readonly data: Buffer;
}

export interface PasserOptions {
  /**
   * How many descriptors without data may travel in one message: 1 to 253, 1 at first. The peer has to understand more than
   * 1, as every peer with this library does.
   */
  perMessage?: number;
}

/** Who is at the other end of a connection. */
export interface Peer {
  uid: number;
  gid: number;
  pid: number;
}

/**
 * One end of a connection that descriptors travel over, in both directions.
 *
 * It keeps the process alive while a descriptor is queued, while somebody waits for a message, and while there is a listener
 * for 'message'. An idle passer does not. Nothing is taken from the socket while nobody waits.
 *
 * A final error closes the passer. What came before it can still be taken, or closed with `close`. If you forget to close a
 * passer, the garbage collector does, with a ResourceWarning.
 */
export class Passer extends EventEmitter {
  /**
   * Owns a connected passer from now on: a number, or a Descriptor, which gives its number away. If this throws, the
   * descriptor stays yours. It is set to non-blocking mode, which everybody sees that shares the socket.
   */
  constructor(fd: number | Descriptor, options?: PasserOptions);

  /**
   * Sends a descriptor, with data. The promise is fulfilled when it is sent, and rejected if it is not. An error is one of
   * this descriptor (EBADF, EINVAL, EMFILE, EMSGSIZE, EPERM, ...) if `closed` is false afterwards: then the others go on.
   *
   * The descriptor is duplicated before `send` returns, and stays yours: close it when you like. To await each `send`, or
   * every few, bounds how many are queued.
   */
  send(what: Sendable, data?: Data): Promise<void>;

  /** Waits until everything that is queued now is sent. It is rejected if the connection fails before that. */
  drain(): Promise<void>;

  /**
   * Waits for the next message. At orderly shutdown it is `null`: the peer sends no more.
   *
   * An abort loses nothing: the message that comes is for the next `recv`. (`Promise.race` does not end a `recv`. Its message
   * would be lost. Use a signal.)
   */
  recv(options?: { signal?: AbortSignal }): Promise<Received | null>;

  /** Takes each message that comes, up to orderly shutdown. The passer stays open at the end, and after `break`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Received>;

  /** How many descriptors are queued and not yet sent. */
  readonly queued: number;

  /** Whether everything is sent and the peer has received it. Only Linux can tell, and there is no event for it. */
  readonly drained: boolean;

  /** Whether `close` was called, or the connection has failed. */
  readonly closed: boolean;

  /** Who is at the other end, or was when the connection was made. */
  readonly peer: Peer;

  /** Undoes `unref`. */
  ref(): this;

  /** Lets the process end although somebody waits for messages. What is queued is still sent. */
  unref(): this;

  /**
   * Closes the passer, what is queued, and what has come and was not taken. To do this twice does no harm. After an error it
   * closes what can still be taken.
   */
  close(): void;

  /** Waits until everything is sent, and closes, for `await using`. It is there if Node has `Symbol.asyncDispose`. */
  [Symbol.asyncDispose](): Promise<void>;

  /**
   * A message has come. While there is a listener the passer receives, in portions of up to 16 messages: what came and finds
   * no listener is for the next one, or for `recv`.
   */
  on(event: 'message', listener: (message: Received) => void): this;
  /** The peer has shut down in good order, and everything that it sent was told. */
  on(event: 'end', listener: () => void): this;
  /** Everything that was queued is sent. */
  on(event: 'drain', listener: () => void): this;
  /**
   * The connection has failed. It is emitted if there is a listener for it or for 'message'. Promises tell of it in any case.
   * On a SOCK_SEQPACKET or SOCK_DGRAM socket it can also be about one message, and `closed` is false.
   */
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): this;
  /** The passer is closed. */
  on(event: 'close', listener: () => void): this;
  on(event: string | symbol, listener: (...args: any[]) => void): this;

  once(event: 'message', listener: (message: Received) => void): this;
  once(event: 'end' | 'drain' | 'close', listener: () => void): this;
  once(event: 'error', listener: (error: NodeJS.ErrnoException) => void): this;
  once(event: string | symbol, listener: (...args: any[]) => void): this;
}

export interface ServerOptions extends PasserOptions {
  /** How many connections may wait to be accepted. 10 at first. */
  backlog?: number;
  /** The mode of the node (the socket file), such as 0o600. At first it is what the umask leaves. */
  mode?: number;
  /** Fail with EADDRINUSE if there is a live server at the path, and do not replace it. */
  exclusive?: boolean;
}

/** A server that `serve` has started. It keeps the process alive until it is closed. */
export class Server extends EventEmitter {
  private constructor();

  readonly closed: boolean;
  ref(): this;
  unref(): this;

  /** Accepts no more connections, and removes the node, unless another server has taken the path over. Passers go on. */
  close(): void;

  /** There is a connection. If nobody listens for it, it is closed. */
  on(event: 'passer', listener: (passer: Passer) => void): this;
  /**
   * With a passer: the promise of the handler was rejected, or what the handler has queued cannot be sent. Without one: the
   * server cannot accept any more, and is closed.
   */
  on(event: 'error', listener: (error: NodeJS.ErrnoException, passer?: Passer) => void): this;
  on(event: 'close', listener: () => void): this;
  on(event: string | symbol, listener: (...args: any[]) => void): this;
}

export type Handler = (passer: Passer) => void | PromiseLike<void>;

/**
 * Starts a server at a path, in place of a socket that is there already. It listens when this returns, and throws if that
 * cannot be.
 *
 * `onPasser` is called for each connection. If it returns a promise, as an async function does, the passer is closed when the
 * promise is settled and everything is sent. If it returns nothing, the passer is yours to close. If it throws, the passer is
 * closed, and the error is an uncaught exception.
 *
 * With a full descriptor table, connections wait until there is room.
 */
export function serve(path: string | Buffer, onPasser?: Handler): Server;
export function serve(path: string | Buffer, options?: ServerOptions, onPasser?: Handler): Server;

/** Connects to the server at a path. It waits while the server's backlog is full. */
export function connect(path: string | Buffer, options?: PasserOptions & { signal?: AbortSignal }): Promise<Passer>;

/** Makes a connected pair. One end is for a child process: `detach` it and give the number to `spawn`, in `stdio`. */
export function socketpair(): [Descriptor, Descriptor];

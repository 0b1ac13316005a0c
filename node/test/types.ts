// SPDX-License-Identifier: MIT OR Apache-2.0

// What a program in TypeScript may write, and what it may not. tests/node.t compiles it; nobody runs it.

import { once } from 'node:events';
import * as dgram from 'node:dgram';
import * as fs from 'node:fs';
import * as fsp from 'node:fs/promises';
import * as net from 'node:net';
import { Descriptor, Passer, Received, Server, connect, serve, socketpair } from 'fdpasser';

export async function right(): Promise<void> {
  const [ours, theirs]: [Descriptor, Descriptor] = socketpair();
  const passer = new Passer(ours, { perMessage: 16 });
  const number: number = theirs.detach();
  await passer.send(number);
  await passer.send(await fsp.open('file'), 'data');
  await passer.send(new net.Socket(), new Uint8Array(3));
  await passer.send(net.createServer(), Buffer.from('data'));
  await passer.send(fs.createReadStream('file'));
  await passer.send(dgram.createSocket('udp4'), null);
  await passer.send(process.stdin);
  await passer.send(process.stdout);
  await passer.drain();
  const received: Received | null = await passer.recv({ signal: AbortSignal.timeout(1000) });
  if (received) await passer.send(received, received.data);
  for await (const message of passer) {
    const socket: net.Socket = message.socket({ allowHalfOpen: true });
    socket.end();
    message.server((connection) => connection.end());
  }
  passer.on('message', (message) => message.close());
  passer.once('error', (error) => error.code);
  passer.unref().ref().close();
  const [first] = (await once(passer, 'message')) as [Received];
  first.close();
  const { uid, gid, pid } = passer.peer;
  const sum: number = uid + gid + pid + passer.queued;
  const state: boolean = passer.closed || passer.drained;
  console.log(sum, state);

  const server: Server = serve('node', { mode: 0o600, exclusive: true, backlog: 5, perMessage: 2 }, async (client) => {
    await client.send(1);
  });
  serve('node', (client) => client.close()).on('passer', (client) => client.close());
  server.on('error', (error, client) => client?.close());
  server.close();
  (await connect(Buffer.from('node'), { signal: new AbortController().signal })).close();
  Descriptor.of(1).close();
}

export async function wrong(passer: Passer, descriptor: Descriptor): Promise<void> {
  // @ts-expect-error a string is no descriptor
  await passer.send('1');
  // @ts-expect-error this has no descriptor
  await passer.send({});
  // @ts-expect-error data is text or bytes
  await passer.send(1, 2);
  // @ts-expect-error the end is null
  (await passer.recv()).close();
  // @ts-expect-error the number is the object's: there is detach()
  console.log(descriptor.fd);
  // @ts-expect-error received messages are not made
  console.log(new Received(3));
  // @ts-expect-error there is no such option
  serve('node', { modus: 0o600 });
  // @ts-expect-error a passer is made from a number or a Descriptor
  console.log(new Passer('3'));
}

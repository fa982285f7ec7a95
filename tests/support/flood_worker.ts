/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** A peer in its own thread that sends or reads as fast as it can. `flood.ts` starts it. */

import type { FloodOrder } from "./flood.ts";

const encoder = new TextEncoder();

async function sendAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

async function drain(connection: Deno.Conn): Promise<void> {
  const bytes = new Uint8Array(1024 * 1024);
  while (await connection.read(bytes) !== null);
}

async function flood(connection: Deno.Conn, { first, repeat }: FloodOrder): Promise<void> {
  await sendAll(connection, encoder.encode(first));
  const draining = drain(connection);
  if (repeat === "") return await draining;
  draining.catch(() => {}); // the proxy is gone, and sending fails as well
  const bytes = encoder.encode(repeat.repeat(Math.ceil(256 * 1024 / repeat.length)));
  while (true) await sendAll(connection, bytes);
}

function connect(port: number, ca: string | undefined): Promise<Deno.Conn> {
  if (ca === undefined) return Deno.connect({ hostname: "127.0.0.1", port });
  return Deno.connectTls({ hostname: "localhost", port, caCerts: [ca], alpnProtocols: ["http/1.1"] });
}

async function serve(listener: Deno.Listener, order: FloodOrder): Promise<void> {
  for await (const connection of listener) {
    await connection.read(new Uint8Array(64 * 1024));
    flood(connection, order).catch(() => {}); // the proxy is gone
  }
}

self.addEventListener("message", async ({ data }: MessageEvent<FloodOrder>) => {
  if (data.port === null) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    self.postMessage(listener.addr.port);
    await serve(listener, data);
  } else {
    const connection = await connect(data.port, data.ca);
    self.postMessage(data.port);
    await flood(connection, data).catch(() => {}); // the proxy is gone
  }
});

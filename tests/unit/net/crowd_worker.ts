/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** Clients in their own thread: they send while the thread of the server stands still. */

import { RawClient } from "../../support/raw_client.ts";

export type CrowdOrder =
  | { readonly port: number; readonly clients: number }
  | { readonly request: string; readonly sent: Int32Array };

/** The statuses of the responses: of none when the clients have connected, `undefined` for a client without one. */
export type CrowdNews = readonly (number | undefined)[];

const clients: RawClient[] = [];

async function statusOf(client: RawClient): Promise<number | undefined> {
  const response = await client.response().catch(() => undefined);
  client.close();
  return response?.status;
}

async function follow(order: CrowdOrder): Promise<CrowdNews> {
  if ("port" in order) {
    while (clients.length < order.clients) clients.push(await RawClient.connect(order.port));
    return [];
  }
  for (const client of clients) await client.send(order.request).catch(() => {}); // it has been cut
  Atomics.store(order.sent, 0, 1);
  Atomics.notify(order.sent, 0);
  return await Promise.all(clients.map(statusOf));
}

self.addEventListener("message", async ({ data }: MessageEvent<CrowdOrder>) => {
  self.postMessage(await follow(data));
});

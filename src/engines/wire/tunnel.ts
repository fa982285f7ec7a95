/** Two connections that have become one: bytes cross both ways until both sides have ended. */

import type { Inlet } from "./inlet.ts";
import { type Link, writeAll } from "./link.ts";

export interface TunnelSide {
  readonly link: Link;
  readonly inlet: Inlet;
}

/** Runs until both sides have ended, or either has failed. Returns how many bytes went to `client`. */
export async function runTunnel(client: TunnelSide, backend: TunnelSide): Promise<number> {
  const [bytesOut] = await Promise.all([pump(backend, client), pump(client, backend)]);
  return bytesOut;
}

/** Carries bytes one way. When one side has no more to say the other is told; when one has failed both are cut. */
async function pump(from: TunnelSide, to: TunnelSide): Promise<number> {
  const { inlet } = from;
  let bytes = 0;
  try {
    while (inlet.unread > 0 || !inlet.ended) {
      if (inlet.unread === 0) {
        await inlet.more();
        continue;
      }
      const { start, end } = inlet;
      await writeAll(to.link, inlet.bytes.subarray(start, end));
      bytes += end - start;
      inlet.start = end;
    }
    if (inlet.error !== undefined) throw inlet.error;
    await to.link.closeWrite();
  } catch {
    for (const { link } of [from, to]) {
      try {
        link.close();
      } catch {
        // it is closed already
      }
    }
  }
  return bytes;
}

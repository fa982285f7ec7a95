/** Makes connections to backends. */

import type { Backend } from "../../pool/backend.ts";
import { trustFor } from "../../tls/authorities.ts";
import type { Link } from "./link.ts";

/** Connects to a backend, encrypted where its URL says so. Rejects when `signal` fires first. */
export async function dial(backend: Backend, signal: AbortSignal): Promise<Link> {
  if (backend.tls.insecure && isSecure(backend)) {
    const { dialInsecurely } = await import("./insecure_dial.ts"); // `node:tls` takes 20 ms to load
    return await dialInsecurely(backend, signal);
  }
  const { hostname, port, tls } = backend;
  const connection = await Deno.connect({ hostname, port, signal });
  connection.setNoDelay(true);
  if (!isSecure(backend)) return connection;
  const giveUp = () => connection.close();
  signal.addEventListener("abort", giveUp);
  try {
    const secured = await Deno.startTls(connection, { hostname, ...trustFor(tls) });
    await secured.handshake();
    return secured;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

function isSecure({ origin }: Backend): boolean {
  return origin.startsWith("https:");
}

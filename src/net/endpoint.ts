/** Where a server is, and how a connection to it is made. */

import { isQueueFull } from "./exhaustion.ts";

/** A port of a host, or the file of a unix socket. */
export type Endpoint = HostPort | { readonly path: string };

export interface HostPort {
  readonly hostname: string;
  readonly port: number;
}

/** How long to wait for room in the accept queue of a socket. */
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 20;

/** Connects. Rejects if `signal` fires first. */
export async function connectTo(endpoint: Endpoint, signal: AbortSignal): Promise<Deno.TcpConn | Deno.UnixConn> {
  if ("path" in endpoint) return await connectToSocket(endpoint.path, signal);
  const { hostname, port } = endpoint;
  const connection = await Deno.connect({ hostname, port, signal });
  connection.setNoDelay(true);
  return connection;
}

/** The options of an HTTP client for the way to a server. The client gets there whatever the host of a URL is. */
export function wayTo(endpoint: Endpoint): Pick<Deno.CreateHttpClientOptions, "proxy"> {
  return "path" in endpoint ? { proxy: { transport: "unix", path: endpoint.path } } : {};
}

/**
 * While the accept queue of a unix socket is full, the system refuses connections at once, where a port would let them
 * wait.
 */
async function connectToSocket(path: string, signal: AbortSignal): Promise<Deno.UnixConn> {
  for (let pauseMs = FIRST_PAUSE_MS;; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    signal.throwIfAborted();
    try {
      return await Deno.connect({ transport: "unix", path });
    } catch (error) {
      if (!isQueueFull(error)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/**
 * HTTP requests that `fetch` refuses or changes: over certificates that are not checked (`tls.insecure`) or have another
 * name (`tls.serverName`), to ports it blocks, and to unix sockets, where it sends the whole URL as the target, which
 * many servers don't understand. Not by `node:https`: it wants a permission to read the authorities.
 */

import process from "node:process";
import { Duplex, Readable } from "node:stream";
import { connectTo } from "../net/endpoint.ts";
import { type BackendAddress, backendAddress } from "../pool/backend_address.ts";
import { shakeHands, type TlsServer } from "../tls/client_handshake.ts";
import { connectThroughNode, needsNode } from "../tls/node_handshake.ts";

export interface NodeRequest {
  readonly method?: string | undefined;
  readonly headers: Headers;
  readonly signal?: AbortSignal | null | undefined;
}

/** Who is asked. Its place counts if it is a unix socket; otherwise the URL names the place. */
export type AskedServer = Pick<TlsServer, "tls"> & Partial<Pick<BackendAddress, "endpoint">>;

/** Sends a request over a new connection; resolves with the head of the response. Read or cancel its body. */
export async function askThroughNode(
  url: string,
  { method = "GET", headers, signal }: NodeRequest,
  server: AskedServer,
): Promise<{ readonly status: number; readonly body: NonNullable<Response["body"]> }> {
  const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof askThroughNode>>>();
  const { protocol, host, hostname, port, pathname, search } = new URL(url);
  const connection = await connectionTo(url, server, signal);
  // An import, even in a module that is imported late, would load it at the start of the built file: 2 ms.
  const asked = process.getBuiltinModule("node:http").request({
    method,
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port !== "" ? Number(port) : protocol === "https:" ? 443 : 80,
    path: pathname + search,
    headers: { host, connection: "close", ...Object.fromEntries(headers) },
    // With `agent: false` the runtime would not use the connection that is there.
    ...(connection === undefined ? { agent: false } : { createConnection: () => connection }),
    ...(signal == null ? {} : { signal }),
  });
  asked.once("response", (response) => {
    // The two stream types are declared separately, but are the same class.
    const body = Readable.toWeb(response) as unknown as NonNullable<Response["body"]>;
    resolve({ status: response.statusCode ?? 0, body });
  });
  asked.on("error", (error) => reject(signal?.aborted === true ? signal.reason : error));
  asked.end();
  return await promise;
}

/** A connection to a socket, or over TLS; `undefined`: `node:http` makes one itself. */
async function connectionTo(
  url: string,
  { tls, endpoint: place }: AskedServer,
  signal: AbortSignal | null | undefined,
): Promise<Duplex | undefined> {
  const limit = signal ?? new AbortController().signal;
  if (place !== undefined && "path" in place) return duplexOf(await connectTo(place, limit));
  if (!url.startsWith("https:")) return undefined;
  const { hostname, endpoint } = backendAddress(url);
  if (needsNode(tls) && !("path" in endpoint)) return connectThroughNode(endpoint, tls);
  const connection = await connectTo(endpoint, limit);
  return duplexOf("setKeepAlive" in connection ? await shakeHands(connection, { hostname, tls }, limit) : connection);
}

/** The types of web streams are declared separately, too. */
function duplexOf(connection: Deno.Conn): Duplex {
  return Duplex.fromWeb(connection as unknown as Parameters<typeof Duplex.fromWeb>[0]);
}

/**
 * HTTP requests that `fetch` refuses: over certificates that are not checked (`tls.insecure`) or have another name
 * (`tls.serverName`), and to ports it blocks. Not by `node:https`: it wants a permission to read the authorities.
 */

import process from "node:process";
import { Duplex, Readable } from "node:stream";
import { connect } from "node:tls";
import { backendAddress } from "../pool/backend_address.ts";
import { shakeHands, type TlsServer } from "../tls/client_handshake.ts";

export interface NodeRequest {
  readonly method?: string | undefined;
  readonly headers: Headers;
  readonly signal?: AbortSignal | null | undefined;
}

/** Sends a request over a new connection; resolves with the head of the response. Read or cancel its body. */
export async function askThroughNode(
  url: string,
  { method = "GET", headers, signal }: NodeRequest,
  tls: TlsServer["tls"],
): Promise<{ readonly status: number; readonly body: NonNullable<Response["body"]> }> {
  const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof askThroughNode>>>();
  const { host, pathname, search } = new URL(url);
  const { hostname, port } = backendAddress(url);
  const secured = url.startsWith("https:") ? await secure({ hostname, port, tls }, signal) : undefined;
  // An import, even in a module that is imported late, would load it at the start of the built file: 2 ms.
  const asked = process.getBuiltinModule("node:http").request({
    method,
    host: hostname,
    port,
    path: pathname + search,
    headers: { host, connection: "close", ...Object.fromEntries(headers) },
    // With `agent: false` the runtime would not use the connection that is there.
    ...(secured === undefined ? { agent: false } : { createConnection: () => secured }),
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

/** A connection over TLS. Only `node:tls` can leave the certificate unchecked. */
async function secure(
  { hostname, port, tls }: TlsServer & { readonly port: number },
  signal: AbortSignal | null | undefined,
): Promise<Duplex> {
  if (tls.insecure) {
    const name = tls.serverName === null ? {} : { servername: tls.serverName };
    return connect({ host: hostname, port, rejectUnauthorized: false, ...name });
  }
  const limit = signal ?? new AbortController().signal;
  const connection = await shakeHands(await Deno.connect({ hostname, port, signal: limit }), { hostname, tls }, limit);
  // The types of web streams are declared separately as well.
  return Duplex.fromWeb(connection as unknown as Parameters<typeof Duplex.fromWeb>[0]);
}

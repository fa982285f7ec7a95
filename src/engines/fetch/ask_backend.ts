/** Sends a request to a backend: at a port by `fetch`, at a unix socket over a connection of our own. */

import type { Backend } from "../../pool/backend.ts";
import type { HeaderPair } from "../../proxy/message.ts";
import type { BackendClients } from "./backend_clients.ts";
import { RESENDABLE } from "./context.ts";
import { outgoingHeaders } from "./outgoing_headers.ts";
import type { SizedBody } from "./sized_body.ts";
import { fetchOverSocket } from "./socket_fetch.ts";
import { urlFor } from "./target_url.ts";

export interface BackendRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly HeaderPair[];
  /** Whether the runtime adds a `traceparent`. */
  readonly tracedByRuntime: boolean;
  /** A stream, because `fetch` itself would send anything else twice. */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | SizedBody | null;
  readonly signal: AbortSignal;
}

/** Resolves with the head of the response, and rejects as `fetch` does, or with a `ProxyError`. */
export function askBackend(
  backend: Backend,
  { target, tracedByRuntime, headers: given, ...request }: BackendRequest,
  clients: BackendClients,
): Promise<Response> {
  const { endpoint } = backend;
  const headers = outgoingHeaders(given, tracedByRuntime);
  if ("path" in endpoint) return fetchOverSocket({ ...request, headers, path: endpoint.path, target });
  return fetch(urlFor(backend, target, given), {
    ...request,
    headers,
    redirect: "manual",
    client: request.body !== null || RESENDABLE.has(request.method) ? clients.pooled(backend) : clients.fresh(backend),
  });
}

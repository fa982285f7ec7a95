/** Sends clients of plain HTTP to the HTTPS port (`proxy.tls.redirectFrom`). */

import { readHead } from "./fetch/request_head.ts";
import { LISTEN_QUEUE } from "../net/listen_queue.ts";
import { ProxyError } from "../errors.ts";
import { LastingServer } from "../net/lasting_server.ts";
import type { Log } from "../log.ts";
import { isWellFormedAuthority } from "../proxy/authority.ts";
import { RandomHex } from "../proxy/ids.ts";
import type { RequestHead } from "../proxy/message.ts";
import { problemFor } from "../proxy/problem.ts";

export interface RedirectOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** Where HTTPS is spoken. */
  readonly httpsPort: number;
  readonly log: Log;
  /** Told when no client can be accepted, and when clients can be again. */
  readonly doorChanged: (open: boolean) => void;
}

/** A listener that only redirects. */
export interface RedirectServer {
  readonly address: Deno.NetAddr;
  /** Closes the port and every connection. */
  stop(): Promise<void>;
}

/** For the last answers to get from the server to the system. */
const FLUSH_MS = 10;

/**
 * Starts redirecting.
 *
 * @throws {Deno.errors.AddrInUse} and its kin when the address can't be bound
 */
export function startRedirect({ host, port, httpsPort, log, doorChanged }: RedirectOptions): RedirectServer {
  const random = new RandomHex();
  const at = { hostname: host, port, tcpBacklog: LISTEN_QUEUE };
  const server = new LastingServer(
    at,
    (request, info) => {
      info.completed.catch(() => {}); // a client that left
      return answer(readHead(request, info.remoteAddr.hostname, false), httpsPort, random.take(16));
    },
    log,
    doorChanged,
  );
  return {
    address: server.address,
    async stop() {
      // `shutdown()` would wait for clients that never send the rest of what they began.
      await new Promise((resolve) => setTimeout(resolve, FLUSH_MS));
      await server.cut();
    },
  };
}

/** Nothing more is to be said on this connection, so it is closed. */
function answer(head: RequestHead, httpsPort: number, requestId: string): Response {
  try {
    const headers = { location: locationFor(head, httpsPort), "x-request-id": requestId, connection: "close" };
    return new Response(null, { status: 308, headers });
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    const { status, headers, body } = problemFor(error, requestId, 1);
    return new Response(head.method === "HEAD" ? null : body, {
      status,
      headers: [...headers, ["connection", "close"]],
    });
  }
}

/**
 * Returns where the same request belongs: its host, the HTTPS port, its target.
 *
 * @throws {ProxyError} for a request without a well-formed host, and for CONNECT and TRACE
 */
export function locationFor({ method, authority, target }: RequestHead, httpsPort: number): string {
  if (method === "CONNECT" || method === "TRACE") throw refusal("method_not_allowed", `${method} is not supported.`);
  if (authority === undefined) throw refusal("bad_request", "The Host header is missing.");
  if (!isWellFormedAuthority(authority)) throw refusal("bad_request", "The Host header is malformed.");
  const host = authority.replace(/:\d*$/, "");
  // What was sent raw goes into a header here, which takes visible ASCII only.
  const path = target.toWellFormed().replace(/[^!-~]/gu, encodeURIComponent);
  return `https://${host}${httpsPort === 443 ? "" : `:${httpsPort}`}${path}`;
}

function refusal(code: "bad_request" | "method_not_allowed", detail: string): ProxyError {
  return new ProxyError(detail, { code, side: "client", requestSent: false });
}

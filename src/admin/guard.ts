/** The checks of the admin API before a route, in their order. */

import { Buffer } from "node:buffer";
import type { Context, MiddlewareHandler } from "hono";
import ipaddr from "ipaddr.js";
import type * as z from "zod";
import { digestOf } from "../digest.ts";
import { BrokenBody, type Incoming, type IncomingBody } from "../net/incoming.ts";
import { AdminError } from "./admin_error.ts";
import type { Description } from "./description.ts";

/** What the guards pass on to routes. */
export type AdminEnv = {
  Bindings: Incoming;
  Variables: {
    /** The parsed body; `undefined` without one. */
    body: unknown;
    /** The query. Each parameter is known and given once. */
    query: Readonly<Record<string, string>>;
  };
};

/** A request that has passed the guards. */
export type AdminContext = Context<AdminEnv>;

/** One method of a route. */
export interface Operation {
  readonly answer: (context: AdminContext) => Response | Promise<Response>;
  /** For `GET /openapi.json`. */
  readonly about: Description;
  /** The known query parameters; others are refused. Default: none. */
  readonly query?: z.ZodObject;
}

/** An entry of the route table: the methods of a path. GET includes HEAD. */
export interface Route {
  readonly path: string;
  /** Contains no data, and needs no token. Default: needs the token if one is set. */
  readonly needsNoToken?: boolean;
  /** Finds what the path names, if it must be there. Throws 404 if it is not. */
  readonly find?: (context: AdminContext) => unknown;
  readonly methods: { readonly [method in "GET" | "POST" | "PUT" | "PATCH" | "DELETE"]?: Operation };
}

/** The largest body. */
const MAX_BODY_BYTES = 64 * 1024;

/** For responses before the whole body is read: the rest of the body must not be read as another request. */
const CLOSE = { connection: "close" };

/**
 * 403 for requests that a page of another site may have made the browser send. `Host` shows a page whose name was
 * rebound to our address; this is checked only without a token, because such a page does not know the token. `Origin`
 * shows a page of another site or port.
 */
export function sameSite(hasToken: boolean): MiddlewareHandler<AdminEnv> {
  return async (context, next) => {
    const authorities = authoritiesOf(context.req.raw);
    if (!hasToken && !authorities.every(isLocalAuthority)) {
      throw new AdminError(403, "without a token, Host must be localhost or an IP address");
    }
    const origin = context.req.header("origin");
    if (origin !== undefined && !authorities.every((authority) => isSameOrigin(origin, authority))) {
      throw new AdminError(403, "requests from pages of another origin are refused");
    }
    await next();
  };
}

/** The `Host` header, and the target's authority, which differs when the target is in absolute form. */
function authoritiesOf(request: Request): string[] {
  return [request.headers.get("host") ?? "", /^\w+:\/\/([^/?#]*)/.exec(request.url)?.[1] ?? ""];
}

/**
 * Whether this is `localhost` or an IP address, with any port. Any other name could be resolved by an attacker's DNS.
 */
export function isLocalAuthority(authority: string): boolean {
  const [, ipv6, other] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(authority) ?? [];
  if (ipv6 !== undefined) return ipaddr.IPv6.isValid(ipv6);
  return other !== undefined && (other.toLowerCase() === "localhost" || ipaddr.IPv4.isValidFourPartDecimal(other));
}

/** Whether an `Origin` names the host and port that the request itself was sent to. */
export function isSameOrigin(origin: string, authority: string): boolean {
  const [, scheme] = /^(https?):\/\/[^/?#\\@\s]+$/i.exec(origin) ?? [];
  if (scheme === undefined) return false;
  // Parsing makes `http://h` and `h:80` equal. The whole URL is compared, so that a strange `Host` can hide nothing.
  const own = URL.parse(`${scheme}://${authority}`);
  return own !== null && own.href === URL.parse(origin)?.href;
}

/** 401 without the token. `null`: no token is set, and all requests pass. */
export function bearer(token: string | null): MiddlewareHandler<AdminEnv> {
  if (token === null) return (_context, next) => next();
  const expected = digestOf(token);
  return async (context, next) => {
    const given = /^Bearer +(\S+)$/i.exec(context.req.header("authorization") ?? "")?.[1];
    // Digests have equal length, which the comparison needs. They do not reveal how much of the token was right.
    const { timingSafeEqual } = await import("node:crypto"); // not at the start
    if (given === undefined || !timingSafeEqual(digestOf(given), expected)) {
      const challenge = `Bearer realm="roundhouse"${given === undefined ? "" : ', error="invalid_token"'}`;
      const detail = given === undefined ? `want "Authorization: Bearer TOKEN"` : "the token is wrong";
      throw new AdminError(401, detail, { "www-authenticate": challenge });
    }
    await next();
  };
}

/** The operation of a route for this method; 405 with `Allow` if there is none. */
export function operationOf({ methods }: Route, method: string): Operation {
  const entries = Object.entries(methods);
  const wanted = method === "HEAD" ? "GET" : method;
  const operation = entries.find(([name]) => name === wanted)?.[1];
  if (operation !== undefined) return operation;
  const allow = entries.flatMap(([name]) => name === "GET" ? ["GET", "HEAD"] : [name]).join(", ");
  throw new AdminError(405, `got ${method}, want one of ${allow}`, { allow });
}

/** 400 for a query parameter that the operation does not know, or that is given twice. */
export function queryOf(url: string, { query: schema }: Operation): Readonly<Record<string, string>> {
  const known = Object.keys(schema?.shape ?? {});
  const start = url.indexOf("?");
  const query = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(start === -1 ? "" : url.slice(start))) {
    const shown = JSON.stringify(name.slice(0, 80));
    if (!known.includes(name)) {
      const wanted = known.length === 0 ? "none" : known.join(" or ");
      throw new AdminError(400, `unknown query parameter ${shown}, want ${wanted}`);
    }
    if (query.has(name)) throw new AdminError(400, `query parameter ${shown}: got it more than once, want it once`);
    query.set(name, value);
  }
  return Object.fromEntries(query);
}

/**
 * The JSON value of a request, `undefined` without a body. 415 for another content type, 413 for more than 64 KiB, 408
 * when it does not arrive in time, 400 when it is not JSON.
 */
export async function readJson(headers: Headers, body: Pick<IncomingBody, "read"> | undefined): Promise<unknown> {
  if (body === undefined) return undefined;
  const declared = headers.get("content-length");
  // Checked before the body is read, so that a client that waits for "100 Continue" need not send it.
  if (declared !== null) {
    requireJson(headers);
    if (Number(declared) > MAX_BODY_BYTES) throw tooLarge();
  }
  const bytes = await readBytes(body, () => requireJson(headers));
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new AdminError(400, "body: got malformed JSON");
  }
}

function requireJson(headers: Headers): void {
  const contentType = headers.get("content-type") ?? "";
  if (/^application\/json\s*(?:;|$)/i.test(contentType)) return;
  const got = contentType === "" ? "nothing" : JSON.stringify(contentType.slice(0, 80));
  throw new AdminError(415, `content-type: got ${got}, want application/json`, CLOSE);
}

/**
 * Collects a body in one buffer, however small its pieces. Calls `onFirst` before the first byte, which may refuse it.
 */
async function readBytes(body: Pick<IncomingBody, "read">, onFirst: () => void): Promise<Uint8Array> {
  let held = Buffer.alloc(0);
  let length = 0;
  const keep = (bytes: Uint8Array, from: number, to: number) => {
    if (to === from) return;
    if (length === 0) onFirst();
    const needed = length + to - from;
    if (needed > MAX_BODY_BYTES) throw tooLarge();
    if (needed > held.length) held = Buffer.concat([held], Math.min(2 * needed, MAX_BODY_BYTES));
    held.set(bytes.subarray(from, to), length);
    length = needed;
  };
  try {
    while (await body.read(keep));
  } catch (error) {
    if (!(error instanceof BrokenBody)) throw error;
    throw new AdminError(error.late ? 408 : 400, `body: ${error.message}`, CLOSE);
  }
  return held.subarray(0, length);
}

function tooLarge(): AdminError {
  return new AdminError(413, `body: got more than ${MAX_BODY_BYTES} bytes, want at most that`, CLOSE);
}

/** Which failures mean that this process or the system has no more to give: no peer has a part in them. */

import { messageOf, ProxyError } from "../errors.ts";

/** No descriptors here, none in the whole system, no memory in the kernel. */
const SYSTEM_CODES: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

/** No port of our own is left to connect from. */
const NO_PORT = "EADDRNOTAVAIL";

/** What the runtime says where it gives no code. A socket that can't even be opened is this side's trouble, too. */
const TEXTS = [
  "Too many open files",
  "No buffer space available",
  "Cannot allocate memory",
  "assign requested address",
  "tcp open error",
];

/** A name was not found, which is also what the system says when it can't open what it would look into. */
const LOOKUP_FAILURES = ["failed to lookup address", "dns error", "ENOTFOUND"];

/**
 * Whether a client could not be accepted because the system has no more to give. Whatever else `accept` reports is the
 * affair of one client, such as one that reset its connection before it was accepted.
 */
export function isSystemExhausted(error: unknown): boolean {
  return SYSTEM_CODES.has(codeOf(error));
}

/** Whether a connection failed for lack of descriptors, of memory or of ports of our own. */
export function isExhaustion(error: unknown): boolean {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = codeOf(cause);
  if (SYSTEM_CODES.has(code) || code === NO_PORT) return true;
  const text = messageOf(cause);
  return TEXTS.some((part) => text.includes(part)) ||
    (LOOKUP_FAILURES.some((part) => text.includes(part)) && !canOpenSocket());
}

/** The failure of an attempt for which `isExhaustion` holds. */
export function exhausted(cause: unknown): ProxyError {
  return new ProxyError("no connection", { code: "internal", side: "proxy", requestSent: false, cause });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function canOpenSocket(): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

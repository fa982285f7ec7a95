/** Which failures mean that file descriptors, memory or ports have run out here. They never count against a peer. */

import { messageOf } from "../errors.ts";

/** No file descriptors in this process, none in the whole system, no memory in the kernel. */
const SYSTEM_CODES: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

/** No local port is left to connect from. */
const NO_PORT = "EADDRNOTAVAIL";

/** Texts of the runtime's errors that have no code. If a socket can't be opened, that is our failure too. */
const TEXTS = [
  "Too many open files",
  "No buffer space available",
  "Cannot allocate memory",
  "assign requested address",
  "tcp open error",
];

const QUEUE_FULL = "Resource temporarily unavailable";

/** A name was not found. The system reports the same when it can't open the files or sockets for the look-up. */
const LOOKUP_FAILURES = ["failed to lookup address", "dns error", "ENOTFOUND"];

/**
 * Whether a client could not be accepted because descriptors or memory have run out. All other errors of `accept`
 * concern a single client, for example one that reset its connection before it was accepted.
 */
export function isSystemExhausted(error: unknown): boolean {
  return SYSTEM_CODES.has(codeOf(error));
}

/** Whether a connection failed because our file descriptors, memory or ports have run out. */
export function isExhaustion(error: unknown): boolean {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = codeOf(cause);
  if (SYSTEM_CODES.has(code) || code === NO_PORT) return true;
  const text = messageOf(cause);
  return TEXTS.some((part) => text.includes(part)) ||
    (LOOKUP_FAILURES.some((part) => text.includes(part)) && !canOpenSocket());
}

/** Whether a connection to a unix socket failed because the accept queue of its server is full. */
export function isQueueFull(error: unknown): boolean {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return codeOf(cause) === "EAGAIN" || messageOf(cause).includes(QUEUE_FULL);
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

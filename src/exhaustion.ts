/** What fails because this process or the system has no more to give: no backend has a part in that. */

import { messageOf, ProxyError } from "./errors.ts";

const CODES: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE", "EADDRNOTAVAIL"]);

/** What the runtime says where it gives no code. A socket that can't even be opened is this side's trouble, too. */
const TEXTS = ["Too many open files", "assign requested address", "tcp open error"];

/** A name was not found, which is also what the system says when it can't open what it would look into. */
const LOOKUP_FAILURES = ["failed to lookup address", "dns error", "ENOTFOUND"];

/** Whether a connection failed for lack of file descriptors or of ports of our own. */
export function isExhaustion(error: unknown): boolean {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error && "code" in cause && CODES.has(cause.code)) return true;
  const text = messageOf(cause);
  return TEXTS.some((part) => text.includes(part)) ||
    (LOOKUP_FAILURES.some((part) => text.includes(part)) && !canOpenSocket());
}

/** The failure of an attempt for which `isExhaustion` holds. */
export function exhausted(cause: unknown): ProxyError {
  return new ProxyError("no connection", { code: "internal", side: "proxy", requestSent: false, cause });
}

function canOpenSocket(): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

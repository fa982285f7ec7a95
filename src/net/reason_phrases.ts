/** The reason phrases of statuses. */

/** The statuses that the redirect and the admin API answer with (RFC 9110 §15). */
export const REASON_PHRASES = {
  200: "OK",
  201: "Created",
  304: "Not Modified",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
  504: "Gateway Timeout",
} as const;

const PHRASES: Readonly<Record<number, string>> = REASON_PHRASES;

/** The reason phrase of a status in a status line; empty for a status that is not listed. */
export function reasonPhrase(status: number): string {
  return PHRASES[status] ?? "";
}

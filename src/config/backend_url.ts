/** What a backend's URL may be, and the one spelling by which two URLs of the same backend are recognised. */
import { ConfigError } from "../errors.ts";
import { isSocket, normaliseSocket, SOCKET_PATTERN, SOCKET_WANTED } from "./socket_path.ts";

/** What a backend's URL must be, for error messages. */
export const BACKEND_URL_WANTED =
  `an http:// or https:// origin with an optional base path, without credentials, query or fragment, or ${SOCKET_WANTED}`;

/**
 * Text that can be such an origin. The URL parser alone would also accept `http:host`, `\` for `/` and line breaks. It
 * would take `http://unix:/PATH`, which is how other proxies name a socket, for a host with the name `unix`.
 */
const ORIGIN_PATTERN = /^[Hh][Tt][Tt][Pp][Ss]?:\/\/(?![Uu][Nn][Ii][Xx]:\/)[^\s\\?#@/][^\s\\?#]*$/;

/** Text that can be such an origin or a socket. */
export const BACKEND_URL_PATTERN = new RegExp(`${ORIGIN_PATTERN.source}|${SOCKET_PATTERN.source}`);

/**
 * The one spelling of a backend's URL: scheme and host in lower case, no default port, no trailing slash, base path
 * kept; of a socket: single slashes. Throws a `ConfigError` with the single line `got X, want Y` when `text` is not the
 * URL of a backend.
 */
export function normaliseBackendUrl(text: string): string {
  if (isSocket(text)) {
    const name = normaliseSocket(text);
    if (name === undefined) throw new ConfigError([`got ${JSON.stringify(text)}, want ${BACKEND_URL_WANTED}`]);
    return name;
  }
  // The parser would drop control characters without a word.
  const url = ORIGIN_PATTERN.test(text) && !/\p{Cc}/u.test(text) ? URL.parse(text) : null;
  if (url === null || url.username !== "" || url.password !== "" || url.port === "0") {
    throw new ConfigError([`got ${JSON.stringify(withoutCredentials(text))}, want ${BACKEND_URL_WANTED}`]);
  }
  return url.origin + url.pathname.replace(/\/+$/, "");
}

/** Hides what stands between the scheme and an `@`, so that a password never reaches a log. */
export function withoutCredentials(text: string): string {
  return text.replace(/^(.*?\/\/)?.*@/s, "$1***@");
}

/** The port that a normalised backend URL leads to, 1 to 65535; `undefined`: it leads to a socket. */
export function backendPort(url: string): number | undefined {
  if (isSocket(url)) return undefined;
  // Several times as fast as a URL object. A list of thousands may change many times a second.
  const [, scheme, port] = /^(https?):\/\/(?:\[[^\]]*\]|[^:/]*)(?::(\d+))?/.exec(url) ?? [];
  if (port !== undefined) return Number(port);
  return scheme === "https" ? 443 : 80;
}

// The "bad ports" of the Fetch standard (https://fetch.spec.whatwg.org/#port-blocking): `fetch` throws for them.
// deno-fmt-ignore
const BLOCKED_PORTS = new Set([
  0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
  111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
  540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
  6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
]);

/** Whether `fetch` refuses to connect to this port, so that only engine `wire` can reach a backend there. */
export function isBlockedByFetch(port: number | undefined): boolean {
  return port !== undefined && BLOCKED_PORTS.has(port);
}

/** The kinds of value that settings have: numbers in a range, durations, sizes, header names and the like. */
import ipaddr from "ipaddr.js";
import * as z from "zod";
import { ConfigError } from "../errors.ts";
import { BACKEND_URL_PATTERN, BACKEND_URL_WANTED, normaliseBackendUrl } from "./backend_url.ts";
import { withUnit } from "./kind.ts";
import { isSocket, normaliseSocket, SOCKET_WANTED } from "./socket_path.ts";
import { parseRedisUrl, REDIS_URL_WANTED } from "./redis_url.ts";
import {
  DURATION_PATTERN,
  formatDuration,
  formatSize,
  MAX_TIMER_MS,
  parseDuration,
  parseSize,
  SIZE_PATTERN,
} from "./units.ts";

// Every message below follows "want" in an error line: a noun without a full stop.

/** The largest count that fits the signed 32-bit cells of shared memory. */
export const MAX_COUNT = 2_147_483_647;

/** `T` with everything in it read-only. */
export type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/** `true` or `false`. */
export const flag = z.boolean();

/** A whole number from `min` to `max`; `orElse` adds to the message what else the setting takes. */
export function whole(min: number, max: number, orElse = "") {
  return wholeNumber(min, max, `a whole number from ${min} to ${max}${orElse}`);
}

function wholeNumber(min: number, max: number, want: string) {
  return z.int(want).min(min, want).max(max, want);
}

const WORKERS_WANTED = `a whole number from 1 to 256, or "auto"`;

/** A number of isolates; `"auto"`: one per core. */
export const workers = z.union([z.literal("auto"), wholeNumber(1, 256, WORKERS_WANTED)], WORKERS_WANTED);

/** A number from `min` to `max`, both included. */
export function fraction(min: number, max: number) {
  const want = `a number from ${min} to ${max}`;
  return z.number(want).min(min, want).max(max, want);
}

/** Text that matches `pattern`. */
export function text(pattern: RegExp, want: string) {
  return z.string(want).regex(pattern, want);
}

/** A duration, read as whole milliseconds from `minMs` to `maxMs`. */
export function duration(minMs: number, maxMs: number = MAX_TIMER_MS) {
  const want = `a duration from "${formatDuration(minMs)}" to "${formatDuration(maxMs)}", such as "500ms", "5s" or ` +
    `"1m30s", or a whole number of milliseconds`;
  const written = z.union([text(DURATION_PATTERN, want), wholeNumber(minMs, maxMs, want)], want);
  const kind = z.codec(written, z.custom<number>(), {
    decode(value, context) {
      const ms = parseDuration(value);
      if (ms !== undefined && ms >= minMs && ms <= maxMs) return ms;
      return refuse(context, value, want);
    },
    encode: formatDuration,
  });
  return withUnit(kind, "Ms");
}

/** A size, read as whole bytes from `minBytes` to `maxBytes`. */
export function size(minBytes: number, maxBytes: number) {
  const want = `a size from "${formatSize(minBytes)}" to "${formatSize(maxBytes)}", such as "64KiB" or "10MB", or a ` +
    `whole number of bytes`;
  const written = z.union([sizeText(want), wholeNumber(minBytes, maxBytes, want)], want);
  const kind = z.codec(written, z.custom<number>(), {
    decode(value, context) {
      const bytes = parseSize(value);
      if (bytes !== undefined && bytes >= minBytes && bytes <= maxBytes) return bytes;
      return refuse(context, value, want);
    },
    encode: formatSize,
  });
  return withUnit(kind, "Bytes");
}

/** A body's size limit, read as whole bytes, or as `null` for "unlimited". */
export function sizeLimit() {
  const want = `a size such as "64KiB" or "10MB", a whole number of bytes, or "unlimited"`;
  const limit = z.union([z.literal("unlimited"), sizeText(want), wholeNumber(0, Number.MAX_SAFE_INTEGER, want)], want);
  const kind = z.codec(limit, z.custom<number | null>(), {
    decode(value, context) {
      if (value === "unlimited") return null;
      return parseSize(value) ?? refuse(context, value, want);
    },
    encode: (bytes) => bytes === null ? "unlimited" : formatSize(bytes),
  });
  return withUnit(kind, "Bytes");
}

const MODE_WANTED = `permissions in octal digits, such as "0660"`;
const HOST_WANTED = "a host name or an IP address, without a port";

/** A host name or an address to listen on. Brackets around IPv6 are dropped. */
export const host = z.codec(
  z.string(HOST_WANTED),
  z.string().refine(
    (value) => /^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$/.test(value) || ipaddr.IPv6.isValid(value),
    HOST_WANTED,
  ),
  { decode: (value) => value.replace(/^\[(.*)\]$/, "$1"), encode: (value) => value },
);

const LISTEN_HOST_WANTED = `${HOST_WANTED}, or ${SOCKET_WANTED}`;

/** A host name or an address to listen on, or a socket. */
export const listenHost = z.codec(z.string(LISTEN_HOST_WANTED), z.custom<string>(), {
  decode(value, context) {
    const known = isSocket(value) ? normaliseSocket(value) : host.safeParse(value).data;
    return known ?? refuse(context, value, LISTEN_HOST_WANTED);
  },
  encode: (value) => value,
});

/** The permissions of a file, in octal digits. */
export const fileMode = z.codec(text(/^0?[0-7]{3}$/, MODE_WANTED), z.int(), {
  decode: (value) => parseInt(value, 8),
  encode: (mode) => mode.toString(8).padStart(4, "0"),
});

/** A port to listen on; 0 takes any free one. */
export const listenPort = whole(0, 65535);

/** A backend's URL, read in its usual spelling (`normaliseBackendUrl`). */
export const backendUrl = z.codec(text(BACKEND_URL_PATTERN, BACKEND_URL_WANTED), z.custom<string>(), {
  decode(value, context) {
    try {
      return normaliseBackendUrl(value);
    } catch (error) {
      if (error instanceof ConfigError) return refuse(context, value, BACKEND_URL_WANTED);
      throw error;
    }
  },
  encode: (url) => url,
});

/** The URL of a Redis. It may hold a password. */
export const redisUrl = z.string(REDIS_URL_WANTED).refine((url) => parseRedisUrl(url) !== undefined, REDIS_URL_WANTED);

/** A backend's weight. With 0 it takes no new traffic, except from sticky sessions. */
export const weight = whole(0, 256);

/** The most current connections that a backend may have. `null`: no limit. */
export const maxConnections = whole(1, MAX_COUNT, ", or null").nullable();

/** A path of the file system. */
export const filePath = text(/^[^\0]+$/, "the path of a file");

const RANGE_WANTED = `an IP address or a CIDR range such as "10.0.0.0/8"`;

/** One address range, such as `10.0.0.0/8`, or one address. */
export const addressRange = z.string(RANGE_WANTED).refine(isAddressRange, RANGE_WANTED);

function isAddressRange(value: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(value) || ipaddr.IPv4.isValidCIDRFourPartDecimal(value) ||
    ipaddr.IPv6.isValid(value) || ipaddr.IPv6.isValidCIDR(value);
}

const PEER_WANTED = `${RANGE_WANTED}, or "unix"`;

/** Whose headers are believed: an address range, or the clients of a unix socket. */
export const trustedPeer = z.union(
  [z.literal("unix"), z.string(PEER_WANTED).refine(isAddressRange, PEER_WANTED)],
  PEER_WANTED,
);

// RFC 9110 section 5.6.2: what a header's name and a method consist of.
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";

/** A token, as names of headers and cookies are. */
export const token = text(new RegExp(`^${TOKEN}$`), "a name (letters, digits and !#$%&'*+-.^_`|~)");

/** A token in capitals that a health check may send; CONNECT and TRACE never reach a handler. */
export const probeMethod = text(
  /^(?!(?:CONNECT|TRACE)$)[!#$%&'*+.^_`|~0-9A-Z-]+$/,
  `a method in capitals such as "GET" or "HEAD", neither CONNECT nor TRACE`,
);

/** A request's path with an optional query, as it is sent. */
export const probePath = text(/^\/[!-"$-~]*$/, `a path that begins with "/", percent-encoded, without spaces or "#"`);

const FRAMING_HEADERS = new Set(["connection", "content-length", "transfer-encoding"]);
const HEADER_NAME_WANTED =
  "a header name (letters, digits and !#$%&'*+-.^_`|~), not Connection, Content-Length or Transfer-Encoding";

/** A header's name, in any case. Headers that frame messages are excluded: a wrong one would corrupt bodies. */
export const headerName = text(new RegExp(`^${TOKEN}$`), HEADER_NAME_WANTED)
  .refine((name) => !FRAMING_HEADERS.has(name.toLowerCase()), HEADER_NAME_WANTED);

/** A cookie's name. */
export const cookieName = text(new RegExp(`^${TOKEN}$`), "a cookie name (letters, digits and !#$%&'*+-.^_`|~)");

const COOKIE_DOMAIN_WANTED = `a domain such as "example.com"`;

/** The domain of a cookie. A leading dot has no meaning (RFC 6265bis §5.6.3) and is dropped. */
export const cookieDomain = z.codec(
  text(/^\.?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/, COOKIE_DOMAIN_WANTED),
  z.custom<string>(),
  { decode: (value) => value.replace(/^\./, "").toLowerCase(), encode: (value) => value },
);

/** The path of a cookie, as it stands in `Set-Cookie`. */
export const cookiePath = text(/^\/[!-:<-~]*$/, `a path that begins with "/", without spaces or ";"`);

const headerValue = text(/^[\t\x20-\x7e\x80-\xff]*$/, "text without control characters, of the characters of Latin-1");

/** Headers by name. A name that occurs twice in different case is refused: it would be unclear which one counts. */
export const headerMap = z.record(headerName, headerValue).refine(
  (headers) => new Set(Object.keys(headers).map((name) => name.toLowerCase())).size === Object.keys(headers).length,
  "each header once, whatever its case",
);

const STATUSES_WANTED = `statuses from 100 to 599 such as "200-399" or "200,204,300-399"`;

/** Both ends included. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

const statusText = text(
  /^\s*[1-5]\d\d(\s*-\s*[1-5]\d\d)?(\s*,\s*[1-5]\d\d(\s*-\s*[1-5]\d\d)?)*\s*$/,
  STATUSES_WANTED,
);

/** Statuses such as `"200-399"` or `"200,204,300-399"`, read as ranges. */
export const statusRanges = z.codec(statusText, z.custom<StatusRange[]>(), {
  decode(value, context) {
    const ranges = value.split(",").map((part) => {
      const [from = NaN, to = from] = part.split("-").map(Number);
      return { from, to };
    });
    return ranges.every(({ from, to }) => from <= to) ? ranges : refuse(context, value, STATUSES_WANTED);
  },
  encode: formatStatuses,
});

/** As the file spells them: `"200-399"`. */
export function formatStatuses(ranges: readonly StatusRange[]): string {
  return ranges.map(({ from, to }) => from === to ? `${from}` : `${from}-${to}`).join(",");
}

/** The strategies that take no value. `balancing/registry.ts` has what each name stands for. */
const STRATEGIES = [
  "round-robin",
  "least-connections",
  "random",
  "ip-hash",
  "uri-hash",
  "least-latency",
] as const;
const STRATEGY_WANTED = `${STRATEGIES.map((name) => `"${name}"`).join(", ")} or "header-hash:NAME"`;

/** A strategy's name, read as a tagged union; the header of `header-hash:NAME` in lower case. */
export const strategy = z.codec(
  z.union(
    [z.enum(STRATEGIES, STRATEGY_WANTED), text(new RegExp(`^header-hash:${TOKEN}$`), STRATEGY_WANTED)],
    STRATEGY_WANTED,
  ),
  z.custom<StrategyConfig>(),
  { decode: toStrategy, encode: formatStrategy },
);

/** How a backend is chosen. `header` is a header's name in lower case. */
export type StrategyConfig =
  | { readonly kind: (typeof STRATEGIES)[number] }
  | { readonly kind: "header-hash"; readonly header: string };

function toStrategy(name: string): StrategyConfig {
  const kind = STRATEGIES.find((known) => known === name);
  if (kind !== undefined) return { kind };
  return { kind: "header-hash", header: name.slice("header-hash:".length).toLowerCase() };
}

/** The strategy's name as the file spells it. */
export function formatStrategy(strategy: StrategyConfig): string {
  return strategy.kind === "header-hash" ? `header-hash:${strategy.header}` : strategy.kind;
}

function sizeText(want: string) {
  return text(SIZE_PATTERN, want);
}

/** Refuses a value from inside a codec. */
function refuse(context: Pick<z.core.ParsePayload, "issues">, input: unknown, want: string): never {
  context.issues.push({ code: "custom", message: want, input });
  return z.NEVER;
}

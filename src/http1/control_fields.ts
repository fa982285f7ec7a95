/** Reads the fields that control a message and its connection (RFC 9110 §7.6.1, RFC 9112 §9.3). */

import { type BodyFraming, framingOf, parseLength } from "./body.ts";
import { isSpace } from "./characters.ts";
import type { Field } from "./head.ts";
import { MalformedMessage } from "./malformed.ts";

export interface ControlFields {
  /** `undefined`: no field defines it. */
  readonly framing: BodyFraming | undefined;
  /** The value of the `Host` field; `undefined`: there is none. */
  readonly host: string | undefined;
  /** Whether `Connection` has this option. */
  readonly close: boolean;
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
  /** The value of the `Upgrade` field; several are joined by commas. `undefined`: there is none. */
  readonly protocol: string | undefined;
}

/**
 * Reads the control fields.
 *
 * @param sender who sent the fields. A server may repeat `Content-Length` with the same value (RFC 9110 §8.6)
 * @throws {MalformedMessage} when a field is repeated that may appear only once, or the framing is malformed
 */
export function controlFields(
  fields: readonly Field[],
  minorVersion: number,
  sender: "client" | "server",
): ControlFields {
  let length: number | undefined;
  let transferEncoding: string | undefined;
  let host: string | undefined;
  let connection: string | undefined;
  let protocol: string | undefined;
  for (const field of fields) {
    const name = field[0];
    // The length is compared first, because it rules out most names.
    switch (name.length) {
      case 4:
        if (isNamed(name, "host")) host = once(host, field[1], "Host");
        break;
      case 7:
        if (isNamed(name, "upgrade")) protocol = joined(protocol, field[1]);
        break;
      case 10:
        if (isNamed(name, "connection")) connection = joined(connection, field[1]);
        break;
      case 14:
        if (isNamed(name, "content-length")) {
          length = sender === "server"
            ? sameLength(length, field[1])
            : parseLength(once(length, field[1], "Content-Length"));
        }
        break;
      case 17:
        if (isNamed(name, "transfer-encoding")) {
          transferEncoding = once(transferEncoding, field[1], "Transfer-Encoding");
        }
        break;
    }
  }
  const framing = framingOf(length, transferEncoding, minorVersion);
  const { close, keepAlive, upgrade } = connection === undefined ? NO_OPTIONS : connectionOptions(connection);
  return { framing, host, close, keepAlive, upgrade, protocol };
}

/**
 * Compares the first letter before it makes a lower-case copy. That spares nearly all other names of the same length
 * the copy.
 */
function isNamed(name: string, lower: string): boolean {
  return (name.charCodeAt(0) | 0x20) === lower.charCodeAt(0) && name.toLowerCase() === lower;
}

const NO_OPTIONS = { close: false, keepAlive: false, upgrade: false } as const;
const CLOSE = { close: true, keepAlive: false, upgrade: false } as const;
const KEEP_ALIVE = { close: false, keepAlive: true, upgrade: false } as const;

function connectionOptions(value: string): Pick<ControlFields, "close" | "keepAlive" | "upgrade"> {
  const lower = value.toLowerCase();
  if (lower === "keep-alive") return KEEP_ALIVE; // usually one of these two
  if (lower === "close") return CLOSE;
  const options = lower.split(",").map(withoutSpaces);
  return {
    close: options.includes("close"),
    keepAlive: options.includes("keep-alive"),
    upgrade: options.includes("upgrade"),
  };
}

/** Removes spaces and tabs at both ends. `trim()` would also remove 0xA0, which is no space in HTTP. */
function withoutSpaces(option: string): string {
  let start = 0;
  let end = option.length;
  while (start < end && isSpace(option.charCodeAt(start))) start++;
  while (end > start && isSpace(option.charCodeAt(end - 1))) end--;
  return option.slice(start, end);
}

function sameLength(before: number | undefined, value: string): number {
  const lengths = value.includes(",") ? value.split(",").map((item) => parseLength(withoutSpaces(item))) : undefined;
  const length = lengths?.[0] ?? parseLength(value);
  if (lengths?.some((other) => other !== length) || (before !== undefined && before !== length)) {
    throw new MalformedMessage("more than one Content-Length");
  }
  return length;
}

function once(before: unknown, value: string, name: string): string {
  if (before !== undefined) throw new MalformedMessage(`more than one ${name}`);
  return value;
}

function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before},${value}`;
}

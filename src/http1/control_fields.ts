/** The fields that govern a message and its connection, picked out of all of them (RFC 9110 §7.6.1, RFC 9112 §9.3). */

import { type BodyFraming, framingOf, parseLength } from "./body.ts";
import type { Field } from "./head.ts";
import { MalformedMessage } from "./malformed.ts";

export interface ControlFields {
  /** `undefined`: no field says. */
  readonly framing: BodyFraming | undefined;
  /** As the only `Host` field says it. */
  readonly host: string | undefined;
  /** Whether `Connection` has this option. */
  readonly close: boolean;
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
  /** The `Upgrade` field's value, several joined by commas; `undefined`: there is none. */
  readonly protocol: string | undefined;
}

/**
 * Reads the control fields.
 *
 * @throws {MalformedMessage} when a field stands twice that may stand once, or the framing is malformed
 */
export function controlFields(fields: readonly Field[], minorVersion: number): ControlFields {
  let length: number | undefined;
  let transferEncoding: string | undefined;
  let host: string | undefined;
  let connection: string | undefined;
  let protocol: string | undefined;
  for (const [name, value] of fields) {
    // By length first: most names need no more than that.
    switch (name.length) {
      case 4:
        if (name.toLowerCase() === "host") host = once(host, value, "Host");
        break;
      case 7:
        if (name.toLowerCase() === "upgrade") protocol = joined(protocol, value);
        break;
      case 10:
        if (name.toLowerCase() === "connection") connection = joined(connection, value);
        break;
      case 14:
        if (name.toLowerCase() === "content-length") length = parseLength(once(length, value, "Content-Length"));
        break;
      case 17:
        if (name.toLowerCase() === "transfer-encoding") {
          transferEncoding = once(transferEncoding, value, "Transfer-Encoding");
        }
        break;
    }
  }
  const options = connection === undefined ? NO_OPTIONS : connectionOptions(connection);
  return { framing: framingOf(length, transferEncoding, minorVersion), host, ...options, protocol };
}

const NO_OPTIONS = { close: false, keepAlive: false, upgrade: false } as const;
const CLOSE = { ...NO_OPTIONS, close: true } as const;
const KEEP_ALIVE = { ...NO_OPTIONS, keepAlive: true } as const;

function connectionOptions(value: string): Pick<ControlFields, "close" | "keepAlive" | "upgrade"> {
  if (value === "keep-alive") return KEEP_ALIVE; // nearly always one of these
  if (value === "close") return CLOSE;
  const options = value.toLowerCase().split(",").map((option) => option.trim());
  return {
    close: options.includes("close"),
    keepAlive: options.includes("keep-alive"),
    upgrade: options.includes("upgrade"),
  };
}

function once(before: unknown, value: string, name: string): string {
  if (before !== undefined) throw new MalformedMessage(`more than one ${name}`);
  return value;
}

function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before},${value}`;
}

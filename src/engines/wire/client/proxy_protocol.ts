/**
 * Reads the header of the PROXY protocol, versions 1 and 2 (haproxy.org, 2.2). In it, a proxy in front tells the
 * client's address.
 */

import ipaddr from "ipaddr.js";
import { MalformedMessage } from "../../../http1/malformed.ts";

/** The header at the beginning of a connection. */
export interface ProxyHeader {
  /** Where the header ends. */
  readonly end: number;
  /**
   * The client's address in normalised form; `undefined`: the proxy itself is the client, or does not know the address.
   */
  readonly client: string | undefined;
}

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const PREFIX = Array.from("PROXY ", (character) => character.charCodeAt(0));
const LF = 0x0a;

/** The longest line of version 1, with its CR and LF. */
const LONGEST_LINE = 107;

/** The most bytes of addresses and extensions in version 2. This is far more than any sender needs. */
const MOST_V2_BYTES = 2048;

/**
 * Reads the header; `undefined`: it is not complete yet.
 *
 * @throws {MalformedMessage} when the connection begins with anything else
 */
export function readProxyHeader(bytes: Uint8Array, start: number, end: number): ProxyHeader | undefined {
  const length = end - start;
  const signature = bytes[start] === SIGNATURE[0] ? SIGNATURE : PREFIX;
  for (let at = 0; at < Math.min(length, signature.length); at++) {
    if (bytes[start + at] !== signature[at]) throw new MalformedMessage("no PROXY protocol header");
  }
  if (length < signature.length) return undefined;
  return signature === SIGNATURE ? readBinary(bytes, start, end) : readLine(bytes, start, end);
}

/** Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`. */
function readLine(bytes: Uint8Array, start: number, end: number): ProxyHeader | undefined {
  const lineEnd = bytes.subarray(0, Math.min(end, start + LONGEST_LINE)).indexOf(LF, start);
  if (lineEnd === -1) {
    if (end - start >= LONGEST_LINE) throw new MalformedMessage("a PROXY protocol line is too long");
    return undefined;
  }
  const line = new TextDecoder().decode(bytes.subarray(start, lineEnd + 1));
  const parts = /^PROXY (?:UNKNOWN[^\r\n]*|TCP([46]) (\S+) (\S+) (\d{1,5}) (\d{1,5}))\r\n$/.exec(line);
  if (parts === null) throw new MalformedMessage("a PROXY protocol line is malformed");
  const [, family, source, destination, ...ports] = parts;
  if (family === undefined) return { end: lineEnd + 1, client: undefined };
  if (ports.some((port) => Number(port) > 65535)) throw new MalformedMessage("a PROXY protocol port is malformed");
  addressOf(destination, family);
  return { end: lineEnd + 1, client: addressOf(source, family) };
}

function addressOf(text: string | undefined, family: string): string {
  const kind = family === "4" ? "ipv4" : "ipv6";
  const isAddress = text !== undefined &&
    (kind === "ipv4" ? ipaddr.IPv4.isValidFourPartDecimal(text) : ipaddr.IPv6.isValid(text));
  if (!isAddress) throw new MalformedMessage("a PROXY protocol address is malformed");
  return ipaddr.process(text).toString();
}

/** Version 2: 12 bytes of signature, version and command, family, length, then addresses and extensions. */
function readBinary(bytes: Uint8Array, start: number, end: number): ProxyHeader | undefined {
  if (end - start < 16) return undefined;
  const [versionAndCommand = 0, family = 0, high = 0, low = 0] = bytes.subarray(start + 12, start + 16);
  const length = high * 256 + low;
  const command = versionAndCommand & 0x0f;
  if (versionAndCommand >> 4 !== 2 || command > 1) throw new MalformedMessage("an unknown PROXY protocol version");
  if (length > MOST_V2_BYTES) throw new MalformedMessage("a PROXY protocol header is too long");
  const headerEnd = start + 16 + length;
  if (end < headerEnd) return undefined;
  // LOCAL: the sender's own connection, such as a health check.
  const size = command === 0 ? 0 : family >> 4 === 1 ? 4 : family >> 4 === 2 ? 16 : 0;
  if (size === 0) return { end: headerEnd, client: undefined };
  if (length < 2 * size + 4) throw new MalformedMessage("a PROXY protocol header is too short");
  const source = Array.from(bytes.subarray(start + 16, start + 16 + size));
  return { end: headerEnd, client: ipaddr.process(ipaddr.fromByteArray(source).toString()).toString() };
}

/** Which addresses a backend can have, and its URL. */

import ipaddr from "ipaddr.js";
import { normaliseBackendUrl } from "../../config/backend_url.ts";
import { show } from "../../config/diagnostics.ts";
import { SourceError } from "../source.ts";

/** Addresses of no single machine. `0.0.0.0` would be this one. */
const UNUSABLE: ReadonlySet<string> = new Set(["unspecified", "broadcast", "multicast"]);

/**
 * The one spelling of an address. `::ffff:10.0.0.1` is 10.0.0.1.
 *
 * @param asked what it is an answer to, for the error
 * @throws {SourceError} when no backend can have it
 */
export function usableAddress(text: string, asked: string): string {
  const address = ipaddr.process(text);
  if (UNUSABLE.has(address.range())) {
    throw new SourceError(`${asked}: got the address ${show(text, [])}, want that of a machine`);
  }
  return address.toString();
}

/** The URL of a backend at an address. */
export function urlAt(scheme: "http" | "https", address: string, port: number): string {
  return normaliseBackendUrl(`${scheme}://${address.includes(":") ? `[${address}]` : address}:${port}`);
}

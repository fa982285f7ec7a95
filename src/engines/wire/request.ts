/** The head of a request, as this engine knows it. */

import type { BodyFraming } from "../../http1/body.ts";
import type { FieldSection } from "../../http1/head.ts";
import type { Http1Request } from "../../http1/request_head.ts";
import type { RequestHead } from "../../proxy/message.ts";

export interface WireRequest extends RequestHead {
  /** The text that `headers` were read from. */
  readonly section: FieldSection;
  readonly minorVersion: number;
  readonly framing: BodyFraming;
  readonly keepAlive: boolean;
  /** The protocol to switch to, if the backend agrees; `undefined`: none, or one that is not forwarded. */
  readonly upgrade: string | undefined;
}

/** What is known about a client's connection. */
export interface ClientAddress {
  readonly peer: string;
  readonly secure: boolean;
  /** See `RequestHead`. */
  readonly clientCert?: string | null | undefined;
  /** The address that the client connected to. Used if an HTTP/1.0 request has no `Host`. */
  readonly local: string;
}

export function wireRequest(head: Http1Request, address: ClientAddress): WireRequest {
  const { framing } = head;
  const { peer, secure, clientCert, local } = address;
  return {
    method: head.method,
    target: head.target,
    authority: head.authority ?? local,
    headers: head.fields,
    section: head,
    bodyBytes: framing.kind === "length" ? framing.bytes : undefined,
    peer,
    secure,
    clientCert,
    protocol: head.minorVersion === 0 ? "HTTP/1.0" : "HTTP/1.1",
    carriesTrailers: framing.kind === "chunked",
    takesTrailers: head.minorVersion === 1,
    minorVersion: head.minorVersion,
    framing,
    keepAlive: head.keepAlive,
    upgrade: head.upgrade === undefined || !mayUpgrade(head) ? undefined : head.upgrade,
  };
}

/**
 * Whether an upgrade may be forwarded. HTTP/2 in a tunnel would carry requests that bypass all rules of this proxy. A
 * request with a body has not ended with its head, so it can't switch.
 */
function mayUpgrade({ upgrade = "", framing }: Http1Request): boolean {
  return !protocolsOf(upgrade).includes("h2c") && framing.kind === "length" && framing.bytes === 0;
}

/** The protocols that an `Upgrade` header names, in lower case. */
export function protocolsOf(upgrade: string): string[] {
  return upgrade.toLowerCase().split(",").map((protocol) => protocol.trim());
}

/** A request's head as this engine knows it. */

import type { BodyFraming } from "../../http1/body.ts";
import type { FieldSection } from "../../http1/head.ts";
import type { Http1Request } from "../../http1/request_head.ts";
import type { RequestHead } from "../../proxy/message.ts";

export interface WireRequest extends RequestHead {
  /** Where `headers` stand. */
  readonly section: FieldSection;
  readonly minorVersion: number;
  readonly framing: BodyFraming;
  readonly keepAlive: boolean;
  /** The protocol to switch to, if the backend agrees; `undefined`: none, or one that is not passed on. */
  readonly upgrade: string | undefined;
}

/** What is known of a client's connection. */
export interface ClientAddress {
  readonly peer: string;
  readonly secure: boolean;
  /** Where the client has connected to: stands in for the `Host` that HTTP/1.0 need not send. */
  readonly local: string;
}

export function wireRequest(head: Http1Request, { peer, secure, local }: ClientAddress): WireRequest {
  const { framing } = head;
  return {
    method: head.method,
    target: head.target,
    authority: head.authority ?? local,
    headers: head.fields,
    section: head,
    bodyBytes: framing.kind === "length" ? framing.bytes : undefined,
    peer,
    secure,
    carriesTrailers: framing.kind === "chunked",
    takesTrailers: head.minorVersion === 1,
    minorVersion: head.minorVersion,
    framing,
    keepAlive: head.keepAlive,
    upgrade: head.upgrade === undefined || !mayUpgrade(head) ? undefined : head.upgrade,
  };
}

/** HTTP/2 over a tunnel would carry requests past every rule of this proxy, and with a body it is not over at the head. */
function mayUpgrade({ upgrade = "", framing }: Http1Request): boolean {
  return !protocolsOf(upgrade).includes("h2c") && framing.kind === "length" && framing.bytes === 0;
}

/** The protocols that an `Upgrade` header names, in lower case. */
export function protocolsOf(upgrade: string): string[] {
  return upgrade.toLowerCase().split(",").map((protocol) => protocol.trim());
}

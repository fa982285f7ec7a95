/** The ports of the program under load. */

import { RawClient } from "../../tests/support/raw_client.ts";

export interface Doors {
  readonly proxy: number;
  readonly admin: number;
  /** The port that redirects plain HTTP; `undefined`: the program runs without TLS. */
  readonly redirect: number | undefined;
  /** The address of the backend of the polite clients. Requests to it bypass the program. */
  readonly ownBackend: { readonly hostname: string; readonly port: number };
  readonly targets: Targets;
  /** The authority to trust at the proxy's port; `undefined`: it speaks plain HTTP. */
  readonly authority: { readonly cert: string } | undefined;
}

/** Connects to the proxy, with TLS if it uses TLS. */
export function open({ proxy, authority }: Doors): Promise<RawClient> {
  return authority === undefined ? RawClient.connect(proxy) : RawClient.connectTls(proxy, authority);
}

/** The targets that clients request from the proxy. */
export interface Targets {
  readonly polite: string;
  readonly smallChunks: string;
  readonly large: string;
  readonly upload: string;
}

export function portOf(url: string): number {
  return Number(new URL(url).port);
}

export function addressOf(url: string): { hostname: string; port: number } {
  return { hostname: new URL(url).hostname, port: portOf(url) };
}

/** All port numbers of the program. */
export function portsOf({ proxy, admin, redirect }: Doors): number[] {
  return redirect === undefined ? [proxy, admin] : [proxy, admin, redirect];
}

/** Where the program under load can be reached. */

import { RawClient } from "../../tests/support/raw_client.ts";

export interface Doors {
  readonly proxy: number;
  readonly admin: number;
  /** Where plain HTTP is redirected, beside TLS. */
  readonly redirect: number | undefined;
  /** The backend that polite clients are served by: what is asked there goes past the program. */
  readonly ownBackend: { readonly hostname: string; readonly port: number };
  readonly targets: Targets;
  /** Whom to trust at the proxy's door; without: it takes plain HTTP. */
  readonly authority: { readonly cert: string } | undefined;
}

/** A connection to the proxy's door, as it wants to be spoken to. */
export function open({ proxy, authority }: Doors): Promise<RawClient> {
  return authority === undefined ? RawClient.connect(proxy) : RawClient.connectTls(proxy, authority);
}

/** What clients ask the proxy for. */
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

/** The numbers of all doors. */
export function portsOf({ proxy, admin, redirect }: Doors): number[] {
  return redirect === undefined ? [proxy, admin] : [proxy, admin, redirect];
}

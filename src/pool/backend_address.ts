/** The parts of a backend's URL. */

import type { BackendSpec } from "../config/schema.ts";

/** Where a backend is, as its URL says. */
export interface BackendAddress {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Put before each request's path: `""` or `/base`. */
  readonly basePath: string;
  readonly hostname: string;
  readonly port: number;
}

/** A server that connections are made to: a backend, or one that is in no pool. */
export interface ReachedServer extends BackendAddress {
  readonly tls: BackendSpec["tls"];
}

/** The parts of a normalised URL. */
export function backendAddress(backendUrl: string): BackendAddress {
  const { origin, pathname, hostname, port, protocol } = new URL(backendUrl);
  return {
    origin,
    basePath: pathname === "/" ? "" : pathname,
    hostname: hostname.startsWith("[") ? hostname.slice(1, -1) : hostname,
    port: port !== "" ? Number(port) : protocol === "https:" ? 443 : 80,
  };
}

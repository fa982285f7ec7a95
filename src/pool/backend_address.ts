/** The parts of a backend's URL. */

import type { BackendSpec } from "../config/schema.ts";
import { socketPath } from "../config/socket_path.ts";
import type { Endpoint } from "../net/endpoint.ts";

/** Where a backend is, as its URL says. */
export interface BackendAddress {
  /** Scheme, host and port of the URLs of its requests. */
  readonly origin: string;
  /** Put before each request's path: `""` or `/base`. */
  readonly basePath: string;
  /** The host of the URL. A certificate is for this name. */
  readonly hostname: string;
  readonly endpoint: Endpoint;
}

/** A server that connections are made to: a backend, or one that is in no pool. */
export interface ReachedServer extends BackendAddress {
  readonly tls: BackendSpec["tls"];
}

/** The host of a socket, which has no name. Servers on this machine are most often asked for this one. */
const SOCKET_HOST = "localhost";

/** The parts of a normalised URL. */
export function backendAddress(backendUrl: string): BackendAddress {
  const path = socketPath(backendUrl);
  if (path !== undefined) {
    return { origin: `http://${SOCKET_HOST}`, basePath: "", hostname: SOCKET_HOST, endpoint: { path } };
  }
  const { origin, pathname, hostname: host, port: givenPort, protocol } = new URL(backendUrl);
  const hostname = host.startsWith("[") ? host.slice(1, -1) : host;
  const port = givenPort !== "" ? Number(givenPort) : protocol === "https:" ? 443 : 80;
  return { origin, basePath: pathname === "/" ? "" : pathname, hostname, endpoint: { hostname, port } };
}

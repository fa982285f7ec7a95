/** Refuses backends that a source has found and that no configuration file could contain either. */

import { backendPort, isBlockedByFetch } from "../config/backend_url.ts";
import { DEFAULT_POOL_NAME } from "../config/pool_settings.ts";
import { engineMismatches } from "../config/engine_limits.ts";
import { type BackendSpec, type Config, configSchema, PLAIN_TLS } from "../config/schema.ts";
import { formatPath } from "../config/setting_path.ts";
import { isSocket } from "../config/socket_path.ts";
import { SourceError } from "../sources/source.ts";
import { readBackendFiles } from "../tls/backend_files.ts";
import { isOwnHost } from "./own_host.ts";

/** An address that roundhouse listens on. */
export interface OwnAddress {
  /** A host, or a socket, which has no port. */
  readonly host: string;
  readonly port: number;
}

/** What decides which backends a pool can have. */
export interface Limits {
  readonly engine: Config["engine"];
  readonly own: readonly OwnAddress[];
}

const PLAIN = JSON.stringify(PLAIN_TLS);

/**
 * @throws {SourceError} for a backend that occurs twice, that is roundhouse itself, or that the engine can't reach
 * @throws {ConfigError} when a file of certificates can't be used
 */
export function mustBeServable(backends: readonly BackendSpec[], { engine, own }: Limits): void {
  const urls = new Set<string>();
  for (const backend of backends) {
    const { url, tls } = backend;
    if (urls.has(url)) throw new SourceError(`${url}: is there twice`);
    urls.add(url);
    const port = backendPort(url);
    if (own.some((address) => leadsTo(url, address))) {
      throw new SourceError(`${url}: is an address of this roundhouse, so requests would come back to it`);
    }
    if (engine === "fetch" && isBlockedByFetch(port)) {
      throw new SourceError(`${url}: port ${port} is blocked by engine "fetch"`);
    }
    if (tls !== PLAIN_TLS && JSON.stringify(tls) !== PLAIN) mustSupport(backend, engine);
  }
  const withFiles = backends.filter(({ tls }) => tls.ca !== null || tls.cert !== null);
  if (withFiles.length > 0) readBackendFiles(new Map([[DEFAULT_POOL_NAME, { backends: withFiles }]]));
}

/** Refuses settings of one backend that only another engine has. */
function mustSupport(backend: BackendSpec, engine: Config["engine"]): void {
  const config: Config = { ...configSchema.parse({ engine }), backends: [backend] };
  const [first] = engineMismatches(config).filter(({ path }) => path[0] === "backends");
  if (first !== undefined) throw new SourceError(`${backend.url}: ${formatPath(first.path.slice(2))}: ${first.text}`);
}

/**
 * Refuses unix sockets in a list of which another machine decides. It would choose among all the sockets of this machine
 * that roundhouse may open, such as the one of Docker, and clients could send requests there.
 *
 * @throws {SourceError}
 */
export function mustNameNoSockets(backends: readonly BackendSpec[]): void {
  const socket = backends.find(({ url }) => isSocket(url));
  if (socket === undefined) return;
  throw new SourceError(`${socket.url}: only the configuration, the admin API and a file of backends may name sockets`);
}

function leadsTo(url: string, own: OwnAddress): boolean {
  if (isSocket(own.host) || isSocket(url)) return url === own.host;
  return backendPort(url) === own.port && isOwnHost(hostOf(url), own.host);
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
}

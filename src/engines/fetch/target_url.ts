/** The URL of a request at a backend. */

import { backendPort, isBlockedByFetch } from "../../config/backend_url.ts";
import type { Backend } from "../../pool/backend.ts";
import { checkBelowBase } from "../../proxy/base_path.ts";
import type { HeaderPair } from "../../proxy/message.ts";

/**
 * Returns the URL of a target at a backend, after its base path. `fetch` and `WebSocket` resolve the dot segments in
 * it.
 *
 * @param target begins with `/`
 * @param headers those of the request. To a unix socket, a `WebSocket` sends the whole URL as the target, and the authority
 * in it counts for the server in place of `Host` (RFC 9112 §3.2.2)
 * @throws {ProxyError} when the target would lead out of the base path
 */
export function urlFor(
  { origin, basePath, endpoint }: Backend,
  target: string,
  headers: readonly HeaderPair[],
): string {
  if ("path" in endpoint) return (originNamedBy(headers) ?? origin) + target;
  if (basePath === "") return origin + target;
  checkBelowBase(target);
  return origin + basePath + target;
}

/** The origin that `Host` names; `undefined`: `fetch` would refuse it. */
function originNamedBy(headers: readonly HeaderPair[]): string | undefined {
  const host = headers.find(([name]) => name.toLowerCase() === "host")?.[1];
  const origin = host && URL.parse(`http://${host}`)?.origin;
  return origin === undefined || origin === "" || isBlockedByFetch(backendPort(origin)) ? undefined : origin;
}

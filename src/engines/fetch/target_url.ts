/** The URL of a request at a backend. */

import type { Backend } from "../../pool/backend.ts";
import { checkBelowBase } from "../../proxy/base_path.ts";

/**
 * Returns the URL of a target at a backend, after its base path. `fetch` and `WebSocket` resolve the dot segments in
 * it.
 *
 * @param target begins with `/`
 * @throws {ProxyError} when the target would lead out of the base path
 */
export function urlFor({ origin, basePath }: Backend, target: string): string {
  if (basePath === "") return origin + target;
  checkBelowBase(target);
  return origin + basePath + target;
}

/** Finds the route of a request by its host and path. */

import { HostTable } from "./host_table.ts";
import { hasLooseForm, holdsNul, looseForm, pathEnd, plainForm, resolvesInSeveralWays } from "../http1/path_form.ts";
import { PathTree } from "./path_tree.ts";
import { hostName, type HostPattern, type RouteKey } from "../config/routes/route_key.ts";

/** Backends could read the path as one that belongs to another route: whichever is chosen may be the wrong one. */
export const AMBIGUOUS = Symbol("ambiguous");

/** The routes of one host. */
class HostRoutes<Route> {
  readonly #plain = new PathTree<Route>();
  /** The same keys in their loose form; where two of them have the same one, `AMBIGUOUS`. */
  readonly #loose = new PathTree<Route | typeof AMBIGUOUS>();
  /** The route of all paths, where there is no other. Then it does not matter how a path is read. */
  readonly #only: Route | undefined;

  constructor(routes: readonly (readonly [RouteKey, Route])[]) {
    const [first] = routes;
    this.#only = routes.length === 1 && first?.[0].isPrefix === true && first[0].path === "" ? first[1] : undefined;
    const loose = new Map<string, Route | typeof AMBIGUOUS>();
    for (const [{ path, isPrefix }, route] of routes) {
      if (isPrefix) this.#plain.addPrefix(path, route);
      else this.#plain.addExact(path, route);
      const key = looseKey(path, isPrefix);
      loose.set(key, loose.has(key) ? AMBIGUOUS : route);
    }
    for (const [key, route] of loose) {
      if (key.endsWith("/*")) this.#loose.addPrefix(key.slice(0, -2), route);
      else this.#loose.addExact(key.slice(0, -1), route);
    }
  }

  find(target: string): Route | typeof AMBIGUOUS | undefined {
    if (target === "*") return this.#plain.find("/"); // OPTIONS for the whole server
    const end = pathEnd(target);
    if (!hasLooseForm(target, end)) return this.#plain.find(target, end);
    const path = target.slice(0, end);
    const route = this.#plain.find(plainForm(path));
    if (holdsNul(path)) return AMBIGUOUS;
    if (this.#only !== undefined) return this.#only;
    return this.#loose.find(looseForm(path)) !== route || resolvesInSeveralWays(path) ? AMBIGUOUS : route;
  }
}

/** The key of a loose path, told apart by its last character: `*` for a prefix, `=` for an exact path. */
function looseKey(path: string, isPrefix: boolean): string {
  const loose = looseForm(path);
  if (!isPrefix) return `${loose}=`;
  return `${loose.endsWith("/") ? loose.slice(0, -1) : loose}/*`;
}

/** Built once for a configuration; a look-up costs as much with 10,000 routes as with ten. */
export class RouteTable<Route> {
  readonly #hosts: HostTable<HostRoutes<Route>>;

  /** No two keys are the same. */
  constructor(routes: Iterable<readonly [RouteKey, Route]>) {
    const byHost = new Map<string, { readonly host: HostPattern; readonly routes: [RouteKey, Route][] }>();
    for (const [key, route] of routes) {
      const name = hostName(key.host);
      let entry = byHost.get(name);
      if (entry === undefined) byHost.set(name, entry = { host: key.host, routes: [] });
      entry.routes.push([key, route]);
    }
    this.#hosts = new HostTable(
      Array.from(byHost.values(), ({ host, routes }) => [host, new HostRoutes(routes)] as const),
    );
  }

  /**
   * Returns the route for a request, `undefined` where there is none, and `AMBIGUOUS` for a path that a backend may read as
   * one of another route, or that holds an escaped NUL.
   *
   * @param authority well-formed: a host, with or without a port
   * @param target in origin form, or `*`
   */
  find(authority: string, target: string): Route | typeof AMBIGUOUS | undefined {
    return this.#hosts.find(authority)?.find(target);
  }
}

/** The route that says which route and which backend a request would get, and why. */

import ipaddr from "ipaddr.js";
import * as z from "zod";
import type { SupposedRequest } from "../../balancing/explain.ts";
import { DEFAULT_POOL_NAME } from "../../config/pool_settings.ts";
import { forwardingSettings, poolSettings } from "../../config/routes/inheritance.ts";
import type { Config } from "../../config/schema.ts";
import type { RouteEntry } from "../../config/schema/routes.ts";
import { type ExplainedGuard, explainGuards } from "../../guards/explain.ts";
import type { Memory } from "../../memory/memory.ts";
import { explainMirror } from "../../routing/explain_mirror.ts";
import { explainRoute, type SupposedRoutedRequest } from "../../routing/explain_route.ts";
import { identify } from "../../routing/routes.ts";
import { AdminError } from "../admin_error.ts";
import { type AdminPools, poolNamed } from "../admin_pool.ts";
import { jsonAnswer } from "../description.ts";
import type { Route } from "../guard.ts";
import { answerJson } from "../view.ts";

/** What this route asks. */
export interface ExplainTarget {
  readonly pools: AdminPools;
  readonly memory: Memory;
  /** As of the last reload, and of the last split that was moved. */
  readonly configInForce: () => Config;
}

type Query = Readonly<Record<string, string>>;

const question = z.object({
  url: z.string().exactOptional().describe("The URL that a client asks for. The routes are asked first"),
  path: z.string().exactOptional().describe("Without `url`: path and query. One pool is asked, without its routes"),
  pool: z.string().exactOptional().describe("Without `url`: the pool that is asked"),
  ip: z.string().exactOptional().describe("The client's address"),
  header: z.string().exactOptional().describe("One header, as `Name: value`"),
  cookie: z.string().exactOptional().describe("The `Cookie` header"),
  method: z.string().exactOptional().describe("The method; no strategy uses it, but routes may"),
});

/** What both kinds of answers have; docs/admin-api.md explains the rest. */
const explanation = z.looseObject({
  backend: z.object({ id: z.string(), url: z.string() }).nullable(),
  reason: z.string(),
  strategy: z.string().nullable(),
  backends: z.array(z.looseObject({ id: z.string(), url: z.string(), eligible: z.boolean(), reason: z.string() })),
}).meta({ title: "Explanation" });

/** `/explain`. With `url`, the routes are asked first. With `path`, one pool is asked. */
export function explainRoutes(target: ExplainTarget): readonly Route[] {
  return [{
    path: "/explain",
    methods: {
      GET: {
        about: {
          summary: "Which route and which backend a request would get, and why",
          answers: [jsonAnswer(explanation, "The pick; with `url`, it begins with the routes")],
          refusals: [400, 404],
        },
        query: question,
        answer(context) {
          const query = context.get("query");
          return answerJson(query["url"] === undefined ? explainPick(query, target) : explainUrl(query, target));
        },
      },
    },
  }];
}

function explainPick(query: Query, { pools }: ExplainTarget): unknown {
  const { path = "/", pool = DEFAULT_POOL_NAME } = query;
  if (!path.startsWith("/")) {
    throw new AdminError(400, `path: got ${JSON.stringify(path)}, want a path that begins with /`);
  }
  return poolNamed(pools, pool).explain(supposedRequest(query, path));
}

function explainUrl(query: Query, { pools, memory, configInForce }: ExplainTarget): unknown {
  for (const name of ["path", "pool"]) {
    if (query[name] !== undefined) throw new AdminError(400, `${name}: got it beside url, want one of them`);
  }
  const { method = "GET", url = "" } = query;
  const { secure, authority, target } = partsOf(url);
  const asked = supposedRequest(query, target);
  // What the proxy itself sets, whatever the client sends.
  const own = {
    "x-forwarded-for": asked.client,
    "x-forwarded-proto": secure ? "https" : "http",
    "x-forwarded-host": authority,
  };
  const supposed: SupposedRequest = { ...asked, headers: { ...asked.headers, ...own, host: authority } };
  const { client, headers } = supposed;
  const request: SupposedRoutedRequest = {
    method,
    secure,
    authority,
    target,
    client,
    header: (name) => Object.hasOwn(headers, name) ? headers[name] : undefined,
  };
  const config = configInForce();
  const explained = explainRoute(
    config.routes,
    request,
    (name) => pools.get(name)?.sessionOf(supposed) !== undefined,
  );
  const { pool, route } = explained;
  const [entry, place] = placedEntry(config, route, memory);
  const guards = explainGuards(config, [entry, place], { method, client, believed: request.header });
  const { mirror = config.mirror } = entry;
  const refused = refusal(guards);
  const pick = refused ?? (pool === null ? undefined : pools.get(pool)?.explain(supposed));
  return {
    request: { method, url, client },
    ...explained,
    guards,
    mirror: pool === null || refused !== undefined ? null : explainMirror(mirror, method),
    settings: pool === null ? null : {
      ...forwardingSettings(config, route === null ? undefined : [route.key, route.entry]),
      ...poolSettings(config, pool),
    },
    ...pick ?? { ...NO_BACKEND, reason: explained.answer?.reason ?? "there is no such pool" },
  };
}

const NO_BACKEND = { backend: null, strategy: null, backends: [] } as const;

/** The entry of a route with the place of what its guards count. */
function placedEntry({ routes }: Config, route: { key: string; entry: number } | null, { limits }: Memory) {
  const entries = route === null ? [] : routes?.[route.key] ?? [];
  const label = route === null ? undefined : identify(route.key, entries)[route.entry]?.label;
  const entry: Partial<RouteEntry> = entries[route?.entry ?? 0] ?? {};
  return [entry, { name: label ?? "", limits }] as const;
}

/** What stands in place of the pick where a guard would refuse the request. */
function refusal(guards: readonly ExplainedGuard[]) {
  const refusing = guards.find(({ refuses }) => refuses);
  return refusing && { ...NO_BACKEND, reason: `${refusing.guard} refuses it: ${refusing.reason}` };
}

/** The parts of a URL, as a client would send them. Nothing is normalised, because the spelling may decide. */
function partsOf(url: string) {
  const [, scheme = "", authority = "", rest = ""] = /^(https?):\/\/([^/?#@\\\s]+)((?:[/?][^#\s]*)?)$/i.exec(url) ?? [];
  if (authority === "" || !URL.canParse(`http://${authority}`)) {
    throw new AdminError(
      400,
      `url: got ${JSON.stringify(url.slice(0, 80))}, want http:// or https://, a host and a path`,
    );
  }
  return {
    secure: scheme.toLowerCase() === "https",
    authority,
    target: rest.startsWith("/") ? rest : `/${rest}`,
  };
}

function supposedRequest(query: Query, target: string): SupposedRequest {
  const { ip = "127.0.0.1", header, cookie } = query;
  const headers: Record<string, string> = {};
  if (header !== undefined) {
    const colon = header.indexOf(":");
    if (colon < 1) throw new AdminError(400, `header: got ${JSON.stringify(header)}, want "Name: value"`);
    headers[header.slice(0, colon).trim().toLowerCase()] = header.slice(colon + 1).trim();
  }
  if (cookie !== undefined) headers["cookie"] = cookie;
  return { client: clientAddress(ip), target, headers };
}

/** An address in the form that requests have: normalised, and an IPv4-mapped IPv6 address as IPv4. */
function clientAddress(ip: string): string {
  return ipaddr.IPv6.isValid(ip) ? ipaddr.process(ip).toString() : ip;
}

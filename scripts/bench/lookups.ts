/** What the look-up of a request's route costs, by the kind of its key and by the number of routes. */
import { configSchema } from "../../src/config/schema.ts";
import type { RoutedRequest } from "../../src/routing/condition.ts";
import { AMBIGUOUS } from "../../src/routing/route_table.ts";
import { Routes } from "../../src/routing/routes.ts";
import { type Decision, type DecisionTable, requestCount, sampling } from "./decisions.ts";

/** Ten paths for each host. */
const paths = ["/*", "/login", ...Array.from({ length: 8 }, (_, index) => `/api/v${index}/*`)];
const routeCounts = [10, 10_000];

interface Kind {
  readonly row: string;
  /** The host of a key, and one that it takes. */
  readonly host: (index: number) => string;
  readonly asked: (index: number) => string;
}

const kinds: readonly Kind[] = [
  { row: "HOST/PATH", host: (index) => `shop-${index}.example.com`, asked: (index) => `shop-${index}.example.com` },
  { row: "*.HOST/PATH", host: (index) => `*.city-${index}.example`, asked: (index) => `www.city-${index}.example` },
];

/** Requests ask for all hosts in turn, and for all kinds of paths. Nothing is configured but responses. */
export function lookups(): DecisionTable {
  return {
    name: "lookups",
    title: "The look-up of a route",
    about: `The time from a request's host and path to its route, without any traffic: ${sampling}. ` +
      `Each host has ${paths.length} routes.`,
    rowsAre: "key",
    decisions: kinds.flatMap((kind) => routeCounts.map((count) => lookUp(kind, count))),
  };
}

function lookUp({ row, host, asked }: Kind, count: number): Decision {
  const hosts = Array.from({ length: count / paths.length }, (_, index) => index);
  const keys = hosts.flatMap((index) => paths.map((path) => host(index) + path));
  const { routes } = configSchema.parse({ routes: Object.fromEntries(keys.map((key) => [key, { respond: 204 }])) });
  if (routes === null) throw new Error("there are no routes");
  const table = new Routes({ routes, pools: new Map(), rulesFor: () => undefined, readFile: () => undefined });
  const requests = Array.from({ length: requestCount }, (_, index) => {
    const path = paths[index % paths.length]?.replace("*", `orders/${index}?page=2`) ?? "/";
    return { authority: asked(index % hosts.length), request: supposedRequest(path) };
  });
  return {
    row,
    column: `${count.toLocaleString("en")} routes`,
    decideOften: (times) => {
      let found = 0;
      for (let index = 0; index < times; index++) {
        const asked = requests[index & (requestCount - 1)];
        if (asked === undefined) continue;
        const route = table.find(asked.authority, asked.request);
        if (route !== undefined && route !== AMBIGUOUS) found++;
      }
      return found;
    },
  };
}

function supposedRequest(target: string): RoutedRequest {
  return { method: "GET", target, client: "192.0.2.1", header: () => undefined };
}

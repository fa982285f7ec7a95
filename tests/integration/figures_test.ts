// What a running roundhouse counts by route and by pool, whatever isolate has done the work.

import { assert, assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { Scrape } from "../support/prometheus.ts";
import { TestProxy } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";

/** A name that would break the text of the metrics if it were not escaped. */
const POSTS = 'the "posts" \\n } 1';

/** The counts of a route: all requests, by class of status, failed ones. */
function countsOf({ roundhouse: { memory: { routes } } }: TestProxy, label: string) {
  const [place] = routes.find([label]);
  assert(place !== undefined);
  const { byClass, failed, recent } = routes.figures(place);
  const counted = byClass.flatMap((count, index) => count === 0 ? [] : [[`${index + 1}xx`, count]]);
  return { ...Object.fromEntries(counted), failed, isTimed: recent !== null };
}

async function get(proxy: TestProxy, path: string): Promise<number> {
  const response = await fetch(`${proxy.url}${path}`, { redirect: "manual" });
  await response.text();
  return response.status;
}

for (const engine of ["fetch", "wire"] as const) {
  for (const workers of [1, 2]) {
    const name = (what: string) => `${engine}, ${workers} isolates: ${what}`;

    Deno.test(name("requests are counted by route, and a reload keeps the counts of keys that stay"), async () => {
      await using backend = new HttpBackend((request) => {
        return new Response("", { status: Number(new URL(request.url).pathname.slice(-3)) });
      });
      const routes: Record<string, NonNullable<ConfigFile["routes"]>[string]> = {
        "*/app/*": "default",
        "*/old/*": { redirect: "http://x{uri}" },
        "*/two/*": [
          { name: POSTS, when: { method: "POST" }, pool: "default" },
          { respond: { status: 503, body: "closed" } },
        ],
      };
      const settings = { engine, backends: [backend.url], routes, proxy: { workers } };
      await using proxy = await TestProxy.start(settings);
      for (const status of [200, 200, 404, 500]) assertEquals(await get(proxy, `/app/${status}`), status);
      assertEquals([await get(proxy, "/old/x"), await get(proxy, "/two/x"), await get(proxy, "/none")], [
        308,
        503,
        404,
      ]);
      await proxy.idle();
      const app = { "2xx": 2, "4xx": 1, "5xx": 1, failed: 0, isTimed: true };
      assertEquals(countsOf(proxy, "*/app/*"), app);
      assertEquals(countsOf(proxy, "*/old/*"), { "3xx": 1, failed: 0, isTimed: true });
      assertEquals(countsOf(proxy, `*/two/* ${POSTS}`), { failed: 0, isTimed: false });
      assertEquals(countsOf(proxy, "*/two/* #1"), { "5xx": 1, failed: 0, isTimed: true });
      const { pool, roundhouse: { memory } } = proxy;
      assertEquals(pool.shared.counts.sums(), { requests: 4, failed: 0, "4xx": 1, "5xx": 1 });
      const scrape = new Scrape(await (await fetch(`${proxy.adminUrl}/metrics`)).text());
      const posts = { route: `*/two/* ${POSTS}`, code: "2xx" };
      assertEquals(scrape.values("roundhouse_route_requests_total", posts), [0]);
      assertEquals(scrape.values("roundhouse_route_requests_total", { route: "*/app/*" }), [2, 0, 1, 1]);
      assertEquals(scrape.values("roundhouse_backend_up", { pool: "default", backend: backend.url }), [1]);
      assertEquals(memory.elsewhere.sums(), { requests: 3, failed: 0, "4xx": 1, "5xx": 1 });

      delete routes["*/old/*"];
      settings.routes = { "*/new/*": "default", ...routes };
      await proxy.roundhouse.reload();
      assertEquals(await get(proxy, "/new/200"), 200);
      assertEquals(await get(proxy, "/app/200"), 200);
      await proxy.idle();
      assertEquals(countsOf(proxy, "*/app/*"), { ...app, "2xx": 3 });
      assertEquals(countsOf(proxy, "*/new/*"), { "2xx": 1, failed: 0, isTimed: true });
      assertEquals(countsOf(proxy, "*/two/* #1"), { "5xx": 1, failed: 0, isTimed: true });
    });

    Deno.test(name("the history has the requests of the last seconds when a page is opened"), async () => {
      await using backend = new HttpBackend(() => new Response("", { status: 500 }));
      await using proxy = await TestProxy.start({ engine, backends: [backend.url], proxy: { workers } });
      for (let count = 0; count < 5; count++) assertEquals(await get(proxy, "/"), 500);
      const history = async () => await (await fetch(`${proxy.adminUrl}/history`)).json();
      const sum = (column: readonly number[]) => Math.round(column.reduce((sum, value) => sum + value, 0));
      await waitFor(async () => sum((await history()).total.requests) === 5, { what: "the seconds to be kept" });
      const { total, pools } = await history();
      assertEquals([sum(total["5xx"]), sum(total.failed), sum(pools.default["5xx"])], [5, 0, 5]);
    });
  }
}

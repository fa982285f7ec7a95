// The dashboard of one of several replicas, and of pools that have a source: it says what is the matter beside the backends.

import { assertEquals } from "@std/assert";
import type { Page } from "playwright-core";
import { hasBrowser, TestBrowser } from "../support/browser.ts";
import { TemporaryDirectory } from "../support/certificates.ts";
import { hasCommand } from "../support/has_command.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RedisServer } from "../support/redis_server.ts";
import { ReplicaProxy } from "../support/replica_proxy.ts";

async function sees(page: Page, text: string | RegExp): Promise<void> {
  await page.getByText(text).first().waitFor();
}

async function showReplicas(browser: TestBrowser): Promise<void> {
  await using redis = await RedisServer.start();
  await using a = new HttpBackend(({ headers }) => new Response("a", { status: headers.has("x-bad") ? 500 : 200 }));
  await using b = HttpBackend.named("b");
  const health = { type: "http", path: "/", interval: "200ms", jitter: 0 } as const;
  const settings = { backends: [a.url, b.url], health };
  await using one = await ReplicaProxy.start(redis.url, settings);
  const { page, complaints, strayRequests } = await browser.open(one.proxy.adminUrl);
  await page.getByRole("heading", { name: "Replicas 1" }).waitFor();
  await sees(page, "store connected · 0 shared changes");
  await sees(page, "this one");

  await using two = await ReplicaProxy.start(redis.url, {
    ...settings,
    health: { ...health, headers: { "X-Bad": "1" } },
  });
  await two.patch(b.url, { weight: 3 });
  await page.getByRole("button", { name: `Weight 3 of ${b.url}, change` }).waitFor();
  const row = page.locator("#replicas tr").filter({ hasText: two.proxy.adminUrl.slice("http://".length) });
  await row.getByText("1 of 2 backends down").waitFor();
  await sees(page, "The replicas disagree about 1 backend");
  await page.locator("#disagreements li").filter({ hasText: `${a.url}: up for this one; down for` }).waitFor();
  await sees(page, "store connected · 1 shared change");

  await page.getByRole("button", { name: "Add backend" }).click();
  await sees(page, "All replicas get it, and it outlives restarts and reloads.");
  await page.keyboard.press("Escape");

  await redis.kill();
  await sees(page, "The store of the replicas is away: changes are refused");
  await page.getByRole("listitem").filter({ hasText: "The store of the replicas is away" }).first().waitFor();
  await page.locator("#cluster-store").getByText(/store away, last reached .*/).waitFor();
  await redis.restart();
  await page.getByRole("listitem").filter({ hasText: "The store of the replicas is back" }).waitFor();
  await sees(page, /store connected · 1 shared change/);
  for (const width of [360, 900, 1320]) {
    await page.setViewportSize({ width, height: 740 });
    assertEquals(await page.evaluate("document.documentElement.scrollWidth"), width);
  }
  assertEquals([complaints, strayRequests], [[], []]);
}

async function showSources(browser: TestBrowser): Promise<void> {
  using folder = new TemporaryDirectory();
  await using a = HttpBackend.named("a");
  const list = folder.write("backends.json", JSON.stringify([a.url]));
  await using proxy = await TestProxy.start({
    discover: { file: list, refresh: "200ms" },
    pools: { other: { backends: [a.url] } },
    routes: { "*/*": "default", "*/other": "other" },
  });
  const { page, complaints } = await browser.open(proxy.adminUrl);
  const heading = page.locator("tr[data-pool=default]");
  await heading.getByText("from file", { exact: true }).waitFor();
  // The source alone adds and removes backends.
  assertEquals(await heading.getByRole("button", { name: "Add a backend to pool default" }).isVisible(), false);
  const found = page.locator("tr[data-pool=default] + tr");
  assertEquals(await found.getByRole("button", { name: /^Remove/ }).isVisible(), false);
  assertEquals(await found.getByRole("button", { name: /^Drain/ }).isVisible(), true);
  assertEquals(
    await page.locator("tr[data-pool=other] + tr").getByRole("button", { name: /^Remove/ }).isVisible(),
    true,
  );

  folder.write("backends.json", "[");
  await sees(page, "Pool default goes by an old list of backends");
  await heading.getByText(/from file, stale for .*/).waitFor();
  await page.getByRole("listitem").filter({ hasText: "The source of the backends fails" }).waitFor();
  folder.write("backends.json", JSON.stringify([a.url]));
  await page.getByRole("listitem").filter({ hasText: "The source of the backends is back" }).waitFor();
  await heading.getByText("from file", { exact: true }).waitFor();
  assertEquals(complaints, []);
}

// One test, since one browser is enough for both.
Deno.test({
  name: "the dashboard of replicas, and of pools with a source",
  ignore: !hasBrowser() || !hasCommand("redis-server"),
  fn: async (test) => {
    await using browser = await TestBrowser.start();
    await test.step("shows the replicas, where they disagree, and when their store is away", () =>
      showReplicas(browser));
    await test.step("says where backends come from, and when that is old", () => showSources(browser));
  },
});

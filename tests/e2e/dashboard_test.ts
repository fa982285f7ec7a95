// The dashboard as a person meets it: the real program, a real browser.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Page } from "playwright-core";
import type { ConfigFile } from "../../src/config/schema.ts";
import { hasBrowser, TestBrowser } from "../support/browser.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { Program } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";

const TOKEN = "s3cret";

/** What the browser itself says of an answer of 401, and of a server that is gone. */
const DENIED = /^Failed to load resource: the server responded with a status of 401/;
const UNREACHABLE =
  /^Failed to load resource: net::ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET)/;

/** Starts the program with checks each 50 ms. */
async function start(
  backends: readonly string[],
  admin: Record<string, unknown> = {},
  others: ConfigFile = {},
): Promise<Program> {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(
    path,
    JSON.stringify({
      proxy: { host: "127.0.0.1", port: 0 },
      admin: { port: 0, ...admin },
      health: { interval: 50, jitter: 0 },
      backends,
      ...others,
    }),
  );
  try {
    return await Program.start(["-c", path]);
  } finally {
    await Deno.remove(path);
  }
}

/** The row of the table that is about this backend. */
function row(page: Page, url: string) {
  return page.getByRole("row").filter({ hasText: url });
}

/** Waits until the page shows this text somewhere. */
async function sees(page: Page, text: string | RegExp): Promise<void> {
  await page.getByText(text).first().waitFor();
}

/** What has the focus, as those who hear the page know it. */
async function focused(page: Page): Promise<unknown> {
  return await page.evaluate("document.activeElement?.ariaLabel");
}

/** There are no routes, so no table has a place for what the guards do. */
async function showGuards(browser: TestBrowser): Promise<void> {
  await using backend = HttpBackend.named("one");
  await using program = await start([backend.url], {}, { deny: [], rateLimit: { requests: 1, per: "24h", burst: 2 } });
  const { page, complaints } = await browser.open(program.adminUrl);
  await sees(page, "deny: 0 passed, 0 refused; rateLimit: 0 passed, 0 refused");
  for (let sent = 0; sent < 5; sent++) await (await fetch(program.url)).body?.cancel();
  await sees(page, "deny: 5 passed, 0 refused; rateLimit: 2 passed, 3 refused");
  assertEquals(complaints, []);
}

/** Everything but the token and the connection. Each step begins where the one before has ended. */
async function operate(browser: TestBrowser, test: Deno.TestContext): Promise<void> {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  await using three = HttpBackend.named("three");
  await using program = await start([one.url, two.url]);
  const { page, complaints, strayRequests } = await browser.open(program.adminUrl);
  const headline = page.getByRole("heading", { level: 2 }).first();
  const dialog = page.getByRole("dialog");
  const step = async (name: string, body: () => Promise<void>) =>
    assert(await test.step(name, body), `"${name}" failed`);

  await step("all is well", async () => {
    await sees(page, "All 2 backends are up and take traffic");
    assertEquals(await page.title(), "roundhouse");
    for (let request = 0; request < 10; request++) await (await fetch(program.url)).text();
    for (const { url } of [one, two]) await row(page, url).getByText("50 %").waitFor();
    await sees(page, "10 in all");
  });

  await step("a backend dies: the page says which, why and since when, and it returns", async () => {
    const { port } = two;
    await two[Symbol.asyncDispose]();
    await sees(page, "1 of 2 backends is down");
    assertMatch(await page.title(), /^✖ 1 of 2 backends is down/);
    const detail = await page.locator("#verdict-details li").textContent() ?? "";
    assertMatch(detail, /^http:\/\/127\.[\d.]+:\d+(check|connect) failed: connection .*(just now|ago)$/i);
    await row(page, two.url).getByText("Down", { exact: true }).waitFor();
    await page.getByRole("listitem").filter({ hasText: `${two.url} is down` }).getByText(/failed: connection/i)
      .waitFor();
    assertMatch(await page.locator("#announcer").textContent() ?? "", /is down: .* failed: connection/i);

    await using _again = HttpBackend.named("two", port);
    await sees(page, "All 2 backends are up and take traffic");
    await row(page, two.url).getByText("Up", { exact: true }).waitFor();
    await page.getByRole("listitem").filter({ hasText: `${two.url} is up` }).first().waitFor();
  });

  await step("what is typed and where the focus is outlast the figures that come each second", async () => {
    await page.getByRole("button", { name: "Add backend" }).click();
    await dialog.getByLabel("URL").fill(three.url);
    const uptime = await page.locator("#uptime").textContent();
    await waitFor(async () => await page.locator("#uptime").textContent() !== uptime, { what: "the next figures" });
    assertEquals(await dialog.getByLabel("URL").inputValue(), three.url);
    assertEquals(await page.evaluate("document.activeElement.name"), "url");
  });

  await step("one is added; the server's refusal of it once more is shown", async () => {
    await sees(page, /lasts until the next restart or reload/);
    await dialog.getByLabel("Weight").fill("3");
    await dialog.getByLabel("Connection limit").fill("7");
    await dialog.getByRole("button", { name: "Add backend" }).click();
    await row(page, three.url).getByText("of 7").waitFor();
    await row(page, three.url).getByRole("button", { name: /^Weight 3 / }).waitFor();
    await page.getByRole("button", { name: "Add backend" }).click();
    await dialog.getByLabel("URL").fill(`${three.url}/`);
    await dialog.getByRole("button", { name: "Add backend" }).click();
    await dialog.getByText(`${three.url} is in the pool already`).waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
  });

  await step("one is drained and enabled again, by keyboard alone", async () => {
    const drain = row(page, three.url).getByRole("button", { name: "Drain" });
    await drain.focus();
    await page.keyboard.press("Enter");
    await dialog.getByText("Drain this backend?").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    assertEquals(await focused(page), `Drain ${three.url}`, "the focus is back where it was");
    await page.keyboard.press("Enter");
    await dialog.waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await row(page, three.url).getByText("Draining", { exact: true }).waitFor();
    await page.getByRole("listitem").filter({ hasText: `${three.url} draining` }).waitFor();
    await sees(page, /draining for .* admin API/);
    await waitFor(async () => await focused(page) === `Enable ${three.url}`, {
      what: "the focus to go to what comes next",
    });
    await page.keyboard.press("Enter");
    await dialog.getByRole("button", { name: "Enable" }).click();
    await row(page, three.url).getByText("Up", { exact: true }).waitFor();
  });

  await step("a weight is changed", async () => {
    await row(page, three.url).getByRole("button", { name: /^Weight/ }).click();
    await dialog.getByLabel("Weight").fill("9");
    await page.keyboard.press("Enter");
    await row(page, three.url).getByRole("button", { name: /^Weight 9 / }).waitFor();
  });

  await step("one is disabled; the last that takes traffic is not given up without a warning", async () => {
    for (const { url } of [two, three]) {
      await row(page, url).getByRole("button", { name: "Disable" }).click();
      await dialog.getByRole("button", { name: "Disable" }).click();
      await row(page, url).getByText("Disabled", { exact: true }).or(
        row(page, url).getByText("disabled", { exact: true }),
      )
        .first().waitFor();
    }
    await row(page, one.url).getByRole("button", { name: "Remove" }).click();
    await dialog.getByText("No other backend can take traffic").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
  });

  await step("the explain form says who is out and why", async () => {
    await page.getByLabel("URL, or path and query").fill("/cart?x=1");
    await page.getByRole("button", { name: "Explain" }).click();
    await page.locator(".outcome").getByText(one.url).waitFor();
    await page.locator(".standings").getByText("state is disabled").first().waitFor();
    await page.getByLabel("Header").fill("no colon");
    await page.getByRole("button", { name: "Explain" }).click();
    await sees(page, /header: got "no colon", want "Name: value"/);
  });

  await step("one is removed", async () => {
    await row(page, three.url).getByRole("button", { name: "Remove" }).click();
    await dialog.getByRole("button", { name: "Remove" }).click();
    await row(page, three.url).waitFor({ state: "detached" });
    await page.getByRole("listitem").filter({ hasText: `${three.url} removed` }).waitFor();
    assert(!(await headline.textContent() ?? "").includes("3"));
  });

  await step("on a phone nothing is wider than the screen", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    assertEquals(await page.evaluate("document.documentElement.scrollWidth"), 360);
    await row(page, one.url).getByRole("button", { name: "Drain" }).waitFor();
  });

  // Those that it was made to answer.
  const refused = /^Failed to load resource: the server responded with a status of (409|400)/;
  assertEquals(complaints.filter((complaint) => !refused.test(complaint)), []);
  assertEquals(strayRequests, []);
}

async function giveToken(browser: TestBrowser): Promise<void> {
  await using backend = HttpBackend.named("one");
  await using program = await start([backend.url], { token: TOKEN });
  const { page, complaints, strayRequests } = await browser.open(program.adminUrl);
  const dialog = page.getByRole("dialog");

  await dialog.getByLabel("Token").fill("wrong");
  await page.keyboard.press("Enter");
  await dialog.getByText("This token is wrong.").waitFor();
  assertEquals(await page.evaluate("sessionStorage.length"), 0, "a wrong token is not kept");
  assertEquals(await dialog.getByLabel("Token").inputValue(), "");
  await page.keyboard.press("Escape");
  await dialog.getByLabel("Token").fill(TOKEN);
  await page.keyboard.press("Enter");
  await sees(page, "The backend is up and takes traffic");
  assert(!await dialog.isVisible());

  await page.reload();
  await sees(page, "The backend is up and takes traffic");
  await page.getByRole("button", { name: "Explain" }).click();
  await sees(page, /It would go to/);

  await page.getByRole("button", { name: "Forget token" }).click();
  await dialog.getByLabel("Token").waitFor();
  assertEquals(await page.evaluate("sessionStorage.length + localStorage.length + document.cookie.length"), 0);
  assertEquals(complaints.filter((complaint) => !DENIED.test(complaint)), []);
  assertEquals(strayRequests, []);
}

async function loseConnection(browser: TestBrowser): Promise<void> {
  await using backend = HttpBackend.named("one");
  const first = await start([backend.url]);
  const { adminUrl } = first;
  const { page, complaints, strayRequests } = await browser.open(adminUrl);
  await sees(page, "The backend is up and takes traffic");
  for (let request = 0; request < 5; request++) await (await fetch(first.url)).text();
  await sees(page, "5 in all");

  // It hangs: its connections stay open, and nothing comes.
  first.kill("SIGSTOP");
  await sees(page, "Not connected, trying again…");
  first.kill("SIGCONT");
  await page.getByText("Live", { exact: true }).waitFor();

  await first[Symbol.asyncDispose]();
  await sees(page, "Not connected, trying again…");
  await page.getByRole("listitem").filter({ hasText: "Connection lost" }).nth(1).waitFor();
  assertEquals(await page.evaluate("document.body.dataset.connection"), "lost");

  await using _second = await start([backend.url], { port: Number(new URL(adminUrl).port) });
  await page.getByText("Live", { exact: true }).waitFor();
  await page.getByRole("listitem").filter({ hasText: "Connected again" }).nth(1).waitFor();
  await sees(page, "0 in all");
  await page.locator("#legend-requests").getByText("0", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Explain" }).click();
  await sees(page, /It would go to/);
  assertEquals(complaints.filter((complaint) => !UNREACHABLE.test(complaint)), []);
  assertEquals(strayRequests, []);
}

/** Pools, routes, and errors that backends answer. */
async function showRoutes(browser: TestBrowser): Promise<void> {
  await using one = HttpBackend.named("one");
  await using broken = new HttpBackend(() => new Response("", { status: 500 }));
  await using program = await start([], {}, {
    health: { type: "none" },
    queue: { hold: 0 },
    pools: { app: { backends: [one.url] }, api: { backends: [broken.url] }, later: { backends: [] } },
    routes: {
      "*/*": "app",
      "*/api/*": [{ name: "beta", when: { header: { "X-Beta": "1" } }, pool: "api" }, {
        pool: "api",
        rateLimit: { requests: 1, per: "1h", burst: 2 },
      }],
      "*/later": "later",
    },
  });
  const ask = async (path: string) => void await (await fetch(`${program.url}${path}`)).text();
  const { page, complaints, strayRequests } = await browser.open(program.adminUrl);
  await sees(page, "Pool later is empty: its requests get 503");
  await page.getByRole("button", { name: "Add a backend to pool later" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("Add a backend to later").waitFor();
  await dialog.getByLabel("URL").fill(one.url);
  await ask("/later");
  await dialog.getByRole("button", { name: "Add backend" }).click();
  await sees(page, "All 3 backends of 3 pools are up and take traffic");

  for (const path of ["/", "/a", "/b", "/c", "/api/x", "/api/y", "/later"]) await ask(path);
  await sees(page, /^One answer in (three|four) is a 5xx$/);
  await page.locator("#verdict-details li").getByText("2 of 2 answers in the last minute were 5xx").waitFor();
  await row(page, broken.url).getByText("2", { exact: true }).waitFor();
  const rows = page.locator("#routes tr");
  assertEquals(await rows.locator("button").allTextContents(), ["*/later", "*/api/*", "*/api/*", "*/*"]);
  assertEquals(
    (await rows.nth(1).textContent() ?? "").replaceAll(/\s+/g, " ").trim().slice(0, 18),
    "*/api/* beta api 0",
  );
  await rows.nth(2).getByText("2", { exact: true }).waitFor();
  await ask("/api/z");
  await rows.nth(2).getByText("rateLimit: 2 passed, 1 refused", { exact: true }).waitFor();

  await page.getByRole("button", { name: "Show the traffic of */api/* #1" }).click();
  await sees(page, "Traffic of route */api/* #1, last 5 minutes");
  await page.getByRole("button", { name: "Show the traffic of pool app" }).click();
  await sees(page, "Traffic of pool app, last 5 minutes");
  await page.getByRole("button", { name: "Show all traffic" }).click();
  await sees(page, /^Traffic, last 5 minutes/);

  await page.getByRole("button", { name: "Pool api", exact: true }).click();
  await row(page, broken.url).waitFor({ state: "hidden" });
  await page.getByRole("button", { name: "Pool api", exact: true }).click();
  await row(page, broken.url).getByRole("button", { name: "Disable" }).click();
  await dialog.getByText("No other backend can take traffic").waitFor();
  await dialog.getByRole("button", { name: "Disable" }).click();
  await sees(page, "No backend of pool api takes traffic: its requests get 503");
  await page.getByRole("listitem").filter({ hasText: `${broken.url} disabled` }).getByText("pool api: admin API")
    .waitFor();

  // The form took paths only, and asked the pool `default`, which is of no use here.
  await page.getByLabel("URL, or path and query").fill("http://example.com/api/x?y=1");
  await page.getByLabel("Header").fill("X-Beta: 1");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.locator(".way").getByText("route */api/* leads to api").waitFor();
  await page.locator(".way").getByText("pool api; its backend gets /api/x?y=1").waitFor();
  await page.locator(".outcome").getByText("No backend").waitFor();
  await page.locator(".standings").getByText("state is disabled").waitFor();
  await page.getByLabel("Method").fill("TRACE");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.locator(".outcome").getByText("Answered with 405 – TRACE is refused").waitFor();

  for (const width of [360, 900, 1320]) {
    await page.setViewportSize({ width, height: 740 });
    assertEquals(await page.evaluate("document.documentElement.scrollWidth"), width);
  }

  // Another page knows at once what has happened before it was opened.
  const other = await browser.open(program.adminUrl);
  await other.page.locator("#tile-failed").getByText("1", { exact: true }).waitFor();
  assertEquals([...complaints, ...other.complaints], []);
  assertEquals(strayRequests, []);
}

// One test, since one browser is enough for all.
Deno.test({
  name: "the dashboard in a browser",
  ignore: !hasBrowser(),
  fn: async (test) => {
    await using browser = await TestBrowser.start();
    await test.step("shows which backend fails and why, and changes the pool", (test) => operate(browser, test));
    await test.step("shows pools and routes, and which of them answers errors", () => showRoutes(browser));
    await test.step("shows what guards have let through and refused, without routes too", () => showGuards(browser));
    await test.step("asks for the token once, says when it is wrong, and keeps it for the tab", () =>
      giveToken(browser));
    await test.step("says when the connection is lost, and recovers when roundhouse is back", () => {
      return loseConnection(browser);
    });
  },
});

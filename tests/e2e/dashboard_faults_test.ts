// The dashboard at the first look: whoever opens it while something is wrong reads there what it is. A slow backend was
// named only after the page had seen fifty of its answers, and errors from before its opening did not count.

import { assertEquals, assertMatch } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { hasBrowser, TestBrowser } from "../support/browser.ts";
import { type Handler, HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";

const well: Handler = () => new Response("ok");

interface Fault {
  /** What the first of the three backends does; `undefined`: nothing listens there. */
  readonly first: Handler | undefined;
  readonly config?: ConfigFile;
  /** What the page says at the top. */
  readonly headline: string;
  /** What it says beside the URL of the backend; `undefined`: nothing. */
  readonly detail: RegExp | undefined;
}

const FAULTS: Readonly<Record<string, Fault>> = {
  "nothing": { first: well, headline: "All 3 backends are up and take traffic", detail: undefined },
  "a backend that is down": {
    first: undefined,
    headline: "1 of 3 backends is down",
    detail: /^(check|connect) failed: connection refused/i,
  },
  "a backend that answers 500": {
    first: () => new Response("", { status: 500 }),
    headline: "One answer in three is a 5xx",
    detail: /^(\d+) of \1 answers in the last minute were 5xx$/,
  },
  "a slow backend": {
    first: async () => {
      await new Promise((resolve) => setTimeout(resolve, 700));
      return new Response("at last");
    },
    headline: "1 backend is slower than the others",
    detail: /^half of its answers take [\d.]+ (ms|s) or more, those of the others [\d.]+ ms$/,
  },
  "a backend that gets too much": {
    first: well,
    config: { strategy: "uri-hash" }, // every request asks for the same path
    headline: "1 backend gets more than its share",
    detail: /^takes 100 % of the traffic, 33 % by its weight$/,
  },
};

/** As many rounds of as many requests at a time: of each backend, enough answers for a verdict. */
const [ROUNDS, AT_A_TIME] = [6, 12];

async function requests(url: string): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all(Array.from({ length: AT_A_TIME }, async () => void await (await fetch(url)).text()));
  }
}

async function seesFault(browser: TestBrowser, { first, config, headline, detail }: Fault): Promise<void> {
  await using one = new HttpBackend(first ?? well);
  await using two = new HttpBackend(well);
  await using three = new HttpBackend(well);
  const backends = [one, two, three];
  if (first === undefined) await one[Symbol.asyncDispose]();
  await using proxy = await TestProxy.start({
    backends: backends.map(({ url }) => url),
    health: { type: "tcp", interval: 50 },
    ...config,
  });
  await requests(proxy.url);
  const { page, complaints } = await browser.open(proxy.adminUrl);
  await page.locator(`body[data-connection="live"]`).waitFor();
  assertEquals(await page.locator("#verdict-headline").textContent(), headline, "the first that the page says");
  const details = page.locator("#verdict-details li");
  if (detail === undefined) {
    assertEquals(await details.count(), 0);
  } else {
    const concerned = backends.toSorted((one, other) => other.requests - one.requests)[0];
    const url = config === undefined ? one.url : concerned?.url;
    assertEquals(await details.locator(".url").allTextContents(), [url]);
    assertMatch(await details.locator(".why").textContent() ?? "", detail);
  }
  assertEquals(complaints, []);
}

// One test, since one browser is enough for all.
Deno.test({
  name: "the dashboard says at once what is wrong",
  ignore: !hasBrowser(),
  fn: async (test) => {
    await using browser = await TestBrowser.start();
    for (const [name, fault] of Object.entries(FAULTS)) await test.step(name, () => seesFault(browser, fault));
  },
});

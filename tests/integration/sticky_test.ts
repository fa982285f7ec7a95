// Sticky sessions: by cookie and by address, over failures, drains and restarts.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import type { ConfigFile } from "../../src/config/schema.ts";

const sticky: ConfigFile = { sticky: { by: "cookie", cookie: "session", timeout: "1h" } };

/** Asks once; what answered, and the cookie that was set, if one was. */
async function ask(proxy: TestProxy, cookie?: string): Promise<{ by: string; setCookie: string | null }> {
  const response = await fetch(proxy.url, { headers: cookie === undefined ? {} : { cookie: `a=1; ${cookie}; b=2` } });
  return { by: await response.text(), setCookie: response.headers.get("set-cookie") };
}

/** The `name=value` of a `Set-Cookie`. */
function pairOf(setCookie: string | null): string {
  assert(setCookie !== null, "no cookie was set");
  return setCookie.slice(0, setCookie.indexOf(";"));
}

Deno.test("a cookie keeps a client at its backend, without telling its address; another process agrees", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  const settings: ConfigFile = { ...sticky, backends: [one.url, two.url] };
  await using proxy = await TestProxy.start(settings);
  const first = await ask(proxy);
  assertMatch(
    first.setCookie ?? "",
    /^session=[0-9a-f]{24}\.[0-9a-z]+; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/,
  );
  assertEquals((first.setCookie ?? "").includes(new URL(first.by === "one" ? one.url : two.url).port), false);
  const cookie = pairOf(first.setCookie);
  for (let request = 0; request < 5; request++) {
    assertEquals(await ask(proxy, cookie), { by: first.by, setCookie: null });
  }
  assertEquals((await ask(proxy)).by !== (await ask(proxy)).by, true); // others still take turns
  await using restarted = await TestProxy.start(settings);
  for (let request = 0; request < 3; request++) {
    assertEquals(await ask(restarted, cookie), { by: first.by, setCookie: null });
  }
});

Deno.test("a cookie that names nobody, is forged or too old is replaced; one past half its life is renewed", async () => {
  await using one = HttpBackend.named("one");
  await using proxy = await TestProxy.start({ ...sticky, backends: [one.url] });
  const good = pairOf((await ask(proxy)).setCookie);
  const [name = ""] = good.split(".");
  const minutesAgo = (minutes: number) => Math.floor(Date.now() / 1000 - minutes * 60).toString(36);
  for (
    const bad of ["session=", "session=x", `session=${one.url}`, `${name}`, `${name}.`, `${name}.${minutesAgo(61)}`]
  ) {
    const { by, setCookie } = await ask(proxy, bad);
    assertEquals(by, "one");
    assert(setCookie !== null, bad);
  }
  assertEquals((await ask(proxy, `${name}.${minutesAgo(29)}`)).setCookie, null);
  assert((await ask(proxy, `${name}.${minutesAgo(31)}`)).setCookie !== null);
  // A session that was renewed while its backend drained never ended, so the backend never ran empty.
  proxy.pool.update(proxy.backend(one.url), { state: "draining" }, "test");
  assertEquals(await ask(proxy, `${name}.${minutesAgo(31)}`), { by: "one", setCookie: null });
});

Deno.test("a session moves when its backend is down or disabled, and stays while it drains or has weight 0", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  for (const settings of [sticky, { sticky: { by: "ip" as const } }]) {
    await using proxy = await TestProxy.start({ ...settings, backends: [one.url, two.url] });
    const { pool } = proxy;
    const first = await ask(proxy);
    const cookie = first.setCookie === null ? undefined : pairOf(first.setCookie);
    const bound = proxy.backend(first.by === "one" ? one.url : two.url);
    const other = first.by === "one" ? "two" : "one";
    const stays = async () => {
      for (let request = 0; request < 3; request++) assertEquals((await ask(proxy, cookie)).by, first.by);
    };
    await stays();
    pool.update(bound, { state: "draining" }, "test");
    await stays();
    pool.update(bound, { state: "active", weight: 0 }, "test");
    await stays();
    pool.update(bound, { state: "disabled", weight: 1 }, "test");
    const moved = await ask(proxy, cookie);
    assertEquals(moved.by, other);
    if (cookie !== undefined) assert(moved.setCookie !== null);
    pool.update(bound, { state: "active" }, "test");
    pool.setUp(bound, false, "test");
    assertEquals((await ask(proxy, cookie)).by, other);
    pool.remove(bound, "test");
    assertEquals((await ask(proxy, cookie)).by, other);
  }
});

Deno.test("by address, all requests of a client go to one backend, whatever comes between", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  await using proxy = await TestProxy.start({
    sticky: { by: "ip" },
    proxy: { trustForwarded: ["127.0.0.1"] },
    backends: [one.url, two.url],
  });
  const from = async (client: string) => {
    const response = await fetch(proxy.url, { headers: { "x-forwarded-for": client } });
    assertEquals(response.headers.get("set-cookie"), null);
    return await response.text();
  };
  const clients = Array.from(
    { length: 20 },
    (_, index) => index % 2 === 0 ? `203.0.113.${index}` : `2001:db8::${index}`,
  );
  const first = await Promise.all(clients.map(from));
  assertEquals(first.filter((by) => by === "one").length, 10); // new ones take turns
  for (let round = 0; round < 3; round++) assertEquals(await Promise.all(clients.map(from)), first);
});

// The cookie's attributes were fixed. A page in another site's frame, or an app under two subdomains, lost its session
// with each request.
Deno.test("the cookie's attributes are the configured ones", async () => {
  await using one = HttpBackend.named("one");
  const cases: [NonNullable<ConfigFile["sticky"]>, RegExp][] = [
    [{ sameSite: "strict" }, /^roundhouse=[^;]+; Path=\/; Max-Age=1800; HttpOnly; SameSite=Strict$/],
    [{ sameSite: "none", secure: true }, /; Path=\/; Max-Age=1800; HttpOnly; SameSite=None; Secure$/],
    [
      { domain: ".Example.com", path: "/app" },
      /; Path=\/app; Domain=example\.com; Max-Age=1800; HttpOnly; SameSite=Lax$/,
    ],
  ];
  for (const [settings, expected] of cases) {
    await using proxy = await TestProxy.start({ sticky: settings, backends: [one.url] });
    assertMatch((await ask(proxy)).setCookie ?? "", expected);
  }
});

// Behind another proxy that speaks HTTPS to clients the cookie lacked Secure: it went out over plain HTTP, too.
Deno.test("the cookie is Secure where a trusted proxy says https, and only by a trusted one's word", async () => {
  await using one = HttpBackend.named("one");
  const secure = async (trustForwarded: string[], protocol: string, settings = {}) => {
    const file: ConfigFile = { proxy: { trustForwarded }, sticky: settings, backends: [one.url] };
    await using proxy = await TestProxy.start(file);
    const response = await fetch(proxy.url, { headers: { "x-forwarded-proto": protocol } });
    await response.text();
    return (response.headers.get("set-cookie") ?? "").endsWith("; Secure");
  };
  assertEquals(await secure(["127.0.0.1"], "https"), true);
  assertEquals(await secure(["127.0.0.1"], "HTTPS, http"), true); // the first is the client's
  assertEquals(await secure(["127.0.0.1"], "http, https"), false);
  assertEquals(await secure([], "https"), false);
  assertEquals(await secure(["127.0.0.1"], "https", { secure: false }), false);
  assertEquals(await secure([], "http", { secure: true }), true);
});

// Under `wire` only the first `Cookie` line was read, which HTTP/2 clients behind other proxies split; and a cookie of
// the same name from another path or site hid the session: such a client never stuck.
Deno.test("a session is found in any Cookie line, and behind others of its name", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  await using proxy = await TestProxy.start({ ...sticky, backends: [one.url, two.url] });
  const first = await ask(proxy);
  const good = pairOf(first.setCookie);
  const stranger = `session=${"0".repeat(24)}.${good.split(".")[1]}`;
  const lines = [
    [`session=other; ${good}`],
    [stranger, good],
    ["a=1", "session=", `xsession=1; ${good}; session=last`],
    [`${good}`, "session=other"],
  ];
  for (const cookies of lines) {
    const head = cookies.map((cookie) => `Cookie: ${cookie}\r\n`).join("");
    for (let request = 0; request < 3; request++) {
      using client = await RawClient.connect(proxy.port);
      const response = await client.request(`GET / HTTP/1.1\r\nHost: x\r\n${head}\r\n`);
      assert(response !== undefined);
      assertEquals([textOf(response), /^set-cookie:/im.test(response.head)], [first.by, false], head);
    }
  }
});

// `wire` hashed the first line alone, `fetch` all of them joined: behind both, a client changed its backend.
Deno.test("header-hash goes by all lines of the header, the same in both engines", async () => {
  const names = Array.from({ length: 8 }, (_, index) => `b${index}`);
  await using stack = new AsyncDisposableStack();
  const backends = names.map((name) => stack.use(HttpBackend.named(name)).url);
  const strategy = "header-hash:X-Key" as const;
  const proxies = [];
  for (const engine of ["fetch", "wire"] as const) {
    proxies.push(stack.use(await TestProxy.start({ engine, strategy, backends })));
  }
  for (const keys of [["a"], ["a", "b"], ["a", "", "c"], ["x, y", "z"], ["\u00e9", "b"], ["b", "a"], ["a", "c"]]) {
    const lines = keys.map((key) => `X-Key: ${key}\r\n`).join("");
    const answers = [];
    for (const proxy of proxies) {
      using client = await RawClient.connect(proxy.port);
      const response = await client.request(`GET / HTTP/1.1\r\nHost: x\r\n${lines}\r\n`);
      answers.push(response && textOf(response));
    }
    assertEquals(answers[0], answers[1], lines);
  }
});

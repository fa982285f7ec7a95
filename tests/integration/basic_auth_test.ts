// `auth.basic` over several workers and HTTP/2, and what the admin API and the check of a configuration say of it.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { loadConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/errors.ts";
import { clientFor, makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient } from "../support/raw_client.ts";

/** Of "open sesame" and of "secret", as cheap as they may be. */
const SCRYPT = "$scrypt$ln=10,r=8,p=1$c2FsdHNhbHQ$TP10l/J0v7dq+bTn6BbxXiexUKxCWRjz0KMUH+qZPfQ";
const BCRYPT = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
const USERS = { Aladdin: SCRYPT, Ali: BCRYPT };

const RIGHT = [`Basic ${btoa("Aladdin:open sesame")}`, `Basic ${btoa("Ali:secret")}`];
const WRONG = [`Basic ${btoa("Aladdin:secret")}`, `Basic ${btoa("Ali:open sesame")}`, `Basic ${btoa("x:secret")}`];

for (const engine of ["fetch", "wire"] as const) {
  Deno.test(`${engine}: 2 workers let in whoever has the right password, and nobody else`, async () => {
    await using backend = HttpBackend.named("b");
    await using proxy = await TestProxy.start({
      engine,
      backends: [backend.url],
      proxy: { workers: 2 },
      auth: { basic: { users: USERS } },
    });
    const ask = async (authorization: string) => {
      using client = await RawClient.connect(proxy.port);
      const response = await client.request(`GET / HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n\r\n`);
      return response?.status;
    };
    for (let time = 0; time < 8; time++) {
      assertEquals(await Promise.all(RIGHT.map(ask)), RIGHT.map(() => 200));
      assertEquals(await Promise.all(WRONG.map(ask)), WRONG.map(() => 401));
    }
    await proxy.idle();
    const metrics = await (await fetch(`${proxy.adminUrl}/metrics`)).text();
    assertStringIncludes(metrics, `roundhouse_refused_total{route="none",guard="auth"} ${8 * WRONG.length}\n`);
  });
}

Deno.test("HTTP/2: every stream has to bring its password", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const tls = directory.writePair(await makePair({ authority }));
  const seen: (string | null)[] = [];
  await using backend = new HttpBackend((request) => {
    seen.push(request.headers.get("authorization"));
    return new Response("in");
  });
  await using proxy = await TestProxy.start({
    engine: "fetch",
    proxy: { tls },
    backends: [backend.url],
    auth: { basic: { users: USERS } },
  });
  using client = clientFor("HTTP/2", authority);
  const ask = async (authorization: string | undefined) => {
    const headers: HeadersInit = authorization === undefined ? {} : { authorization };
    const response = await fetch(`https://localhost:${proxy.port}/`, { client, headers });
    await response.body?.cancel();
    return [response.status, response.headers.get("www-authenticate")];
  };
  const challenge = 'Basic realm="roundhouse", charset="UTF-8"';
  assertEquals(await Promise.all(RIGHT.map(ask)), RIGHT.map(() => [200, null]));
  assertEquals(await Promise.all([undefined, ...WRONG].map(ask)), [undefined, ...WRONG].map(() => [401, challenge]));
  assertEquals(seen, RIGHT.map(() => null));
  await proxy.idle();
});

Deno.test("GET /explain says what auth.basic would do, and checks no password", async () => {
  await using backend = HttpBackend.named("b");
  await using proxy = await TestProxy.start({ backends: [backend.url], auth: { basic: { users: USERS } } });
  const explain = async (header: string) => {
    const query = new URLSearchParams({ url: "http://x/", ...(header === "" ? {} : { header }) });
    const { guards } = await (await fetch(`${proxy.adminUrl}/explain?${query}`)).json();
    const [{ guard, refuses, reason }] = guards;
    return [guard, refuses, reason];
  };
  assertEquals(await explain(""), ["auth", true, "no user name and password, or not in the one form that is read"]);
  assertEquals(await explain(`Authorization: ${WRONG[0]}`), [
    "auth",
    false,
    'the password of "Aladdin" would be checked',
  ]);
  assertEquals(await explain(`Authorization: ${WRONG[2]}`), ["auth", true, 'there is no user "x"']);
});

/** The lines that refuse these users. */
function errorsFor(users: Record<string, string>, env: Record<string, string> = {}): readonly string[] {
  const text = JSON.stringify({ backends: ["http://127.0.0.1:3001"], auth: { basic: { users } } });
  const options = { path: "c.json", flags: {}, readFile: () => text, readStdin: () => "" };
  try {
    loadConfig({ ...options, env: (name) => env[name] });
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
}

Deno.test("hashes are checked when the configuration is read; the line names the user and shows no password", () => {
  const hint = 'got a value that is not shown, want a hash of the password: "roundhouse hash-password" prints one; ' +
    "bcrypt is understood, too";
  assertEquals(errorsFor({ ...USERS, Ali: "open sesame" }), [`auth.basic.users.Ali: ${hint}`]);
  const [dear = ""] = errorsFor({ Ali: BCRYPT.replace("$04$", "$13$") });
  assertEquals(dear, "auth.basic.users.Ali: got a value that is not shown, want a bcrypt hash of cost 4 to 12");
  assertEquals(errorsFor({ Ali: "${HASH}" }, { HASH: SCRYPT }), []);
  assertEquals(errorsFor({ Ali: "${HASH}" }, { HASH: "sesame" }), [`auth.basic.users.Ali: ${hint}`]);
  assertEquals(errorsFor({ Ali: "${HASH}" }), ["auth.basic.users.Ali: environment variable HASH is not set"]);
  for (const name of ["A:B", "", "a\tb", "x".repeat(129)]) {
    const [line = ""] = errorsFor({ [name]: SCRYPT });
    assert(line.startsWith("auth.basic.users"), `${name}: ${line}`);
  }
});

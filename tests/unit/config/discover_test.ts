// `discover` as people write it: each form, what stands in for it, and what error lines say.

import { assertEquals, assertThrows } from "@std/assert";
import { describeConfig } from "../../../src/config/describe.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { configSchema } from "../../../src/config/schema.ts";
import { showConfig } from "../../../src/config/show.ts";
import { validateConfig } from "../../../src/config/validate.ts";
import { writtenConfig } from "../../../src/config/written.ts";
import { ConfigError } from "../../../src/errors.ts";

const COMMON = { refreshMs: 10_000, keepForMs: 30_000, drainMs: 30_000 };

function read(discover: unknown) {
  return validateConfig({ discover }).config.discover;
}

Deno.test("discover is a text, or an object with the same and more settings", () => {
  assertEquals(read("file:/etc/list.json"), { kind: "file", path: "/etc/list.json", ...COMMON });
  assertEquals(read({ file: "a:b", drain: "5s", refresh: 200 }), {
    kind: "file",
    path: "a:b",
    refreshMs: 200,
    keepForMs: 30_000,
    drainMs: 5000,
  });
  assertEquals(read("https://a:99/b?c"), { kind: "http", url: "https://a:99/b?c", ...COMMON });
  assertEquals(read({ http: "http://a", keepFor: 0 }), { kind: "http", url: "http://a", ...COMMON, keepForMs: 0 });
  assertEquals(read(null), null);
});

Deno.test("discover as it is shown reads as the same, without the secrets of a URL", () => {
  const { config } = validateConfig({ discover: "http://a/?token=x", pools: { b: { discover: "file:list.json" } } });
  assertEquals(configSchema.parse(writtenConfig(config)), config);
  const shown = showConfig(config) as { readonly discover: unknown };
  assertEquals(shown.discover, { http: "http://a/?token=***", refresh: "10s", keepFor: "30s", drain: "30s" });
  assertEquals(describeConfig(config).filter((line) => line.startsWith("backends")), [
    "backends   from http://a/?token=***, an empty list counts after 30s, drained 30s",
    "backends   from file:list.json, an empty list counts after 30s, drained 30s",
  ]);
});

function errorOf(discover: unknown): string {
  return assertThrows(() => read(discover), ConfigError).message;
}

Deno.test("an error in discover names the place, what is wanted, and what was probably meant", () => {
  assertEquals(errorOf({ file: 5 }), "discover.file: got 5, want the path of a file");
  assertEquals(errorOf({ file: "a", refersh: 1 }), `discover.refersh: unknown setting, did you mean "refresh"?`);
  assertEquals(errorOf({ file: "a", refresh: "1h30" }).split(":")[0], "discover.refresh");
  assertEquals(errorOf("file:"), `discover: got "file:", want "file:PATH"; did you mean "file:PATH"?`);
  assertEquals(errorOf("http://u:p@a"), `discover: got "http://***@a", want "http://HOST/PATH"`);
  for (
    const [written, end] of [["fiel:x", `did you mean "file:"?`], [{ fiel: "x" }, `did you mean "file"?`]] as const
  ) {
    assertEquals(errorOf(written).endsWith(end), true, errorOf(written));
  }
  for (const wrong of [7, [], {}, "nothing", { file: "a", http: "http://a" }]) {
    assertEquals(errorOf(wrong).includes(`"file:PATH", `), true, errorOf(wrong));
  }
});

Deno.test("discover beside backends in one pool is an error, and -b stands in for both", () => {
  const both = { backends: ["http://a"], discover: "file:x" };
  const message = (raw: unknown) => assertThrows(() => validateConfig(raw), ConfigError).message;
  assertEquals(message(both), `discover: want either "backends" or "discover", not both`);
  assertEquals(message({ pools: { api: both } }), `pools.api.discover: want either "backends" or "discover", not both`);
  validateConfig({ backends: ["http://a"], pools: { api: { discover: "file:x" } } });
  assertEquals(validateConfig({ backends: [], discover: "file:x" }).warnings, []);
  const { config } = loadConfig({
    path: "shown.json",
    flags: { backends: ["http://b"] },
    env: () => undefined,
    readFile: () => JSON.stringify(both),
    readStdin: () => "",
  });
  assertEquals([config.discover, config.backends.map(({ url }) => url)], [null, ["http://b"]]);
});

const BY_NAME = { scheme: "http", server: null, refreshMs: null, keepForMs: 30_000, drainMs: 30_000 } as const;

Deno.test("discover by DNS: a name and a port, an address, or a name with SRV records", () => {
  assertEquals(read("dns:API.Internal:8080"), { kind: "dns", host: "api.internal", port: 8080, ...BY_NAME });
  assertEquals(read("dns:[fd00::1]:80"), { kind: "dns", host: "fd00::1", port: 80, ...BY_NAME });
  assertEquals(read("dns:my_app.:80"), { kind: "dns", host: "my_app.", port: 80, ...BY_NAME });
  assertEquals(read({ dns: "a", port: 1, server: "[::1]:53", refresh: "2s", keepFor: "1m", drain: 0 }), {
    kind: "dns",
    host: "a",
    port: 1,
    scheme: "http",
    server: "[::1]:53",
    refreshMs: 2000,
    keepForMs: 60_000,
    drainMs: 0,
  });
  assertEquals(read("srv:_http._tcp.api.internal"), { kind: "srv", name: "_http._tcp.api.internal", ...BY_NAME });
  const { config } = validateConfig({ discover: "dns:[::1]:80", pools: { b: { discover: "srv:b" } } });
  assertEquals(configSchema.parse(writtenConfig(config)), config);
  assertEquals(describeConfig(config).filter((line) => line.startsWith("backends")), [
    "backends   from dns:[::1]:80, an empty list counts after 30s, drained 30s",
    "backends   from srv:b, an empty list counts after 30s, drained 30s",
  ]);
});

Deno.test("discover by DNS refuses what can't be asked for", () => {
  for (
    const text of [
      "dns:",
      "dns:a",
      "dns:a:",
      "dns:a:0",
      "dns:a:65536",
      "dns::80",
      "dns:a b:80",
      "dns:a..b:80",
      "dns:::1:80",
    ]
  ) {
    const line = errorOf(text);
    assertEquals(line.startsWith(`discover: got ${JSON.stringify(text)}, want "dns:HOST:PORT"`), true, line);
  }
  assertEquals(errorOf(`srv:${"a".repeat(64)}`).endsWith(`want "srv:NAME"`), true);
  assertEquals(errorOf({ dns: "a" }), "discover.port: got nothing, want a whole number from 1 to 65535");
  assertEquals(errorOf({ dns: "a", prot: 80 }).split("\n"), [
    "discover.port: got nothing, want a whole number from 1 to 65535",
    `discover.prot: unknown setting, did you mean "port"?`,
  ]);
  assertEquals(errorOf({ dns: "a", port: 0 }), "discover.port: got 0, want a whole number from 1 to 65535");
  for (const server of ["10.0.0.1", "dns.test:53", "10.0.0.1:0", "::1:53", "[10.0.0.1:53"]) {
    const wanted = `want an IP address and a port, such as "10.0.0.2:53"`;
    assertEquals(errorOf({ srv: "a", server }), `discover.server: got ${JSON.stringify(server)}, ${wanted}`);
  }
});

// Under `fetch` a certificate can't be for another name than that of the URL, which is an address here.
Deno.test("discover by DNS with https wants engine wire", () => {
  for (const discover of [{ srv: "a", scheme: "https" }, { dns: "a", port: 443, scheme: "https" }]) {
    const line = `scheme: "https" by name is not supported by engine "fetch", use engine "wire"`;
    assertEquals(errorOf(discover), `discover.${line}`);
    const inPool = () => validateConfig({ pools: { p: { discover } } });
    assertEquals(assertThrows(inPool, ConfigError).message, `pools.p.discover.${line}`);
    assertEquals(validateConfig({ engine: "wire", discover }).config.engine, "wire");
  }
  assertEquals(validateConfig({ discover: { dns: "10.0.0.1", port: 443, scheme: "https" } }).config.engine, "fetch");
});

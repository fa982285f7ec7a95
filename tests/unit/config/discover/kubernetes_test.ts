// `discover` from a Kubernetes service, as people write it.

import { assertEquals, assertThrows } from "@std/assert";
import { describeConfig } from "../../../../src/config/describe.ts";
import { configSchema } from "../../../../src/config/schema.ts";
import { showConfig } from "../../../../src/config/show.ts";
import { validateConfig } from "../../../../src/config/validate.ts";
import { writtenConfig } from "../../../../src/config/written.ts";
import { ConfigError } from "../../../../src/errors.ts";

function read(discover: unknown) {
  return validateConfig({ discover }).config.discover;
}

const DEFAULTS = {
  kind: "kubernetes",
  namespace: "shop",
  service: "web",
  port: null,
  scheme: "http",
  api: null,
  token: null,
  ca: null,
  keepForMs: 30_000,
  drainMs: 30_000,
} as const;

Deno.test("discover: kubernetes names a service and its port, and perhaps an API server", () => {
  assertEquals(read("kubernetes:shop/web"), DEFAULTS);
  assertEquals(read("kubernetes:shop/web:http"), { ...DEFAULTS, port: "http" });
  assertEquals(read({ kubernetes: "shop/web:8080", scheme: "https" }), { ...DEFAULTS, port: "8080", scheme: "https" });
  const outside = { api: "https://[fd00::1]:6443/k8s/clusters/c-1", token: "abc.def", ca: "/etc/ca.pem" };
  assertEquals(read({ kubernetes: "shop/web", ...outside }), { ...DEFAULTS, ...outside });
});

Deno.test("discover: kubernetes as it is shown reads as the same, without the token", () => {
  const written = { kubernetes: "shop/web:http", api: "https://10.0.0.1:6443", token: "abc.def" };
  const { config } = validateConfig({ discover: written });
  assertEquals(configSchema.parse(writtenConfig(config)), config);
  const shown = showConfig(config) as { readonly discover: { readonly kubernetes: string; readonly token: string } };
  assertEquals([shown.discover.kubernetes, shown.discover.token], ["shop/web:http", "***"]);
  const lines = describeConfig(config).join("\n");
  assertEquals([lines.includes("from kubernetes:shop/web:http,"), lines.includes("abc.def")], [true, false]);
});

Deno.test("discover: kubernetes says what is wrong", () => {
  const wanted = 'want NAMESPACE/SERVICE or NAMESPACE/SERVICE:PORT, such as "shop/web:http" or "shop/web:8080"';
  for (
    const target of [
      "web",
      "/web",
      "shop/",
      "Shop/web",
      "shop/web:",
      "shop/web:0",
      "shop/web:65536",
      "a/b/c",
      "a/b:1:2",
    ]
  ) {
    const message = assertThrows(() => read({ kubernetes: target }), ConfigError).message;
    assertEquals(message, `discover.kubernetes: got ${JSON.stringify(target)}, ${wanted}`);
    assertThrows(() => read(`kubernetes:${target}`), ConfigError, 'want "kubernetes:NAMESPACE/SERVICE:PORT"');
  }
  const wrong: [Record<string, unknown>, string][] = [
    [{ api: "10.0.0.1:6443" }, "discover.api: got "],
    [{ api: "https://user:secret@10.0.0.1" }, "discover.api: got "],
    [{ api: "https://a?b" }, "discover.api: got "],
    [{ api: "https://a:99999" }, "discover.api: got "],
    [{ token: "two words" }, "discover.token: got a value that is not shown, want a bearer token"],
    [{ scheme: "h2c" }, 'discover.scheme: got "h2c", want "http" or "https"'],
  ];
  for (const [setting, start] of wrong) {
    const { message } = assertThrows(() => read({ kubernetes: "shop/web", ...setting }), ConfigError);
    assertEquals(message.startsWith(start), true, message);
    assertEquals(/secret|two words/.test(message), false, message);
  }
});

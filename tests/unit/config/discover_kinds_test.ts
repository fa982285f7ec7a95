// The settings of the sources that are watched: what each form reads as, and what error lines say.

import { assertEquals, assertThrows } from "@std/assert";
import { describeDiscover } from "../../../src/config/schema/discover.ts";
import { configSchema } from "../../../src/config/schema.ts";
import { showConfig } from "../../../src/config/show.ts";
import { validateConfig } from "../../../src/config/validate.ts";
import { writtenConfig } from "../../../src/config/written.ts";
import { ConfigError } from "../../../src/errors.ts";

const COMMON = { keepForMs: 30_000, drainMs: 30_000 };

function read(discover: unknown) {
  const { config } = validateConfig({ discover });
  assertEquals(configSchema.parse(writtenConfig(config)), config, "what is written reads as the same");
  return config.discover;
}

function errorOf(discover: unknown): string {
  return assertThrows(() => read(discover), ConfigError).message;
}

Deno.test("discover from etcd has a prefix, endpoints and a user with a password", () => {
  const plain = { kind: "etcd", prefix: "/services/api/", endpoints: ["http://127.0.0.1:2379"], ...COMMON } as const;
  assertEquals(read("etcd:/services/api/"), { ...plain, user: null, password: null });
  assertEquals(
    read({ etcd: "a:b", endpoints: ["https://one:2379/", "http://[::1]:2379"], user: "u", password: "p", drain: 0 }),
    {
      kind: "etcd",
      prefix: "a:b",
      endpoints: ["https://one:2379", "http://[::1]:2379"],
      user: "u",
      password: "p",
      ...COMMON,
      drainMs: 0,
    },
  );
  const { config } = validateConfig({ discover: { etcd: "/a/", user: "u", password: "s3cret" } });
  assertEquals(JSON.stringify(showConfig(config)).includes("s3cret"), false);
  assertEquals(config.discover === null ? "" : describeDiscover(config.discover), "etcd:/a/");
});

Deno.test("discover from etcd: errors name the place and what is wanted, and show no password", () => {
  assertEquals(errorOf("etcd:"), `discover: got "etcd:", want "etcd:PREFIX"; did you mean "etcd:PREFIX"?`);
  assertEquals(errorOf({ etcd: "/a/", endpoints: [] }), "discover.endpoints: got an empty list, want at least one URL");
  const wanted = `want the URL of an etcd server, such as "http://127.0.0.1:2379", without a path or credentials`;
  for (const wrong of ["127.0.0.1:2379", "http://a/b", "ftp://a", "http://a:99999"]) {
    assertEquals(errorOf({ etcd: "/a/", endpoints: [wrong] }), `discover.endpoints[0]: got "${wrong}", ${wanted}`);
  }
  assertEquals(errorOf({ etcd: "/a/", user: "u" }), `discover.user: got "u", want a user together with a password`);
  const message = errorOf({ etcd: "/a/", password: "s3cret" });
  assertEquals(message, "discover.password: got a value that is not shown, want a password together with a user");
  assertEquals(errorOf({ etcd: "/a/", user: "u", password: "" }).includes("discover.password: "), true);
});

Deno.test("discover from Docker has a label with its value, and a port", () => {
  const plain = { kind: "docker", label: "roundhouse.pool", value: "api", port: 8080, ...COMMON } as const;
  assertEquals(read("docker:roundhouse.pool=api:8080"), { ...plain, scheme: "http", host: null, network: null });
  // A value may have colons and equal signs in it.
  assertEquals(
    read({ docker: "a=b=c:d:443", scheme: "https", host: "tcp://10.0.0.1:2375", network: "app" }),
    { ...plain, label: "a", value: "b=c:d", port: 443, scheme: "https", host: "tcp://10.0.0.1:2375", network: "app" },
  );
  const { config } = validateConfig({ discover: "docker:a=b:80" });
  assertEquals(config.discover === null ? "" : describeDiscover(config.discover), "docker:a=b:80");
});

Deno.test("discover from Docker: errors name the place and what is wanted", () => {
  for (const wrong of ["docker:a:80", "docker:a=b", "docker:a=b:0", "docker:a=b:65536", "docker:=b:80"]) {
    assertEquals(errorOf(wrong), `discover: got "${wrong}", want "docker:LABEL=VALUE:PORT"`);
  }
  const wanted = `want LABEL=VALUE:PORT, such as "roundhouse.pool=api:8080"`;
  assertEquals(errorOf({ docker: "a=b:65536" }), `discover.docker: got "a=b:65536", ${wanted}`);
  for (const host of ["/var/run/docker.sock", "ssh://a", "tcp://a", "unix://relative"]) {
    const line = `discover.host: got "${host}", want "unix:///PATH", "tcp://HOST:PORT", or null`;
    assertEquals(errorOf({ docker: "a=b:80", host }), line);
  }
});

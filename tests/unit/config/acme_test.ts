import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { configSchema } from "../../../src/config/schema.ts";
import { withoutSecrets } from "../../../src/config/secrets.ts";
import { validateConfig } from "../../../src/config/validate.ts";
import { writtenConfig } from "../../../src/config/written.ts";
import { ConfigError } from "../../../src/errors.ts";

const BACKENDS = ["http://127.0.0.1:3000"];

function withTls(tls: Record<string, unknown>, more: Record<string, unknown> = {}) {
  return validateConfig({ engine: "wire", proxy: { tls }, backends: BACKENDS, ...more });
}

function errors(tls: Record<string, unknown>, more: Record<string, unknown> = {}): readonly string[] {
  return assertThrows(() => withTls(tls, more), ConfigError).lines;
}

const ACME = { names: ["example.com"] };

Deno.test("proxy.tls.acme has the defaults of the reference, and is written as it was read", () => {
  const { config } = withTls({ acme: { names: ["Example.COM", "www.example.com"] }, redirectFrom: 80 });
  assertEquals(config.proxy.tls, {
    files: [],
    acme: {
      names: ["example.com", "www.example.com"],
      email: null,
      directory: "https://acme-v02.api.letsencrypt.org/directory",
      ca: null,
      eab: null,
    },
    selfSigned: null,
    clientCertificates: null,
    redirectFrom: 80,
  });
  const eab = { kid: "kid-1", hmacKey: "c2VjcmV0" };
  const all = withTls({ cert: "a.pem", key: "b.pem", acme: { ...ACME, eab }, redirectFrom: 80 }).config;
  const written = writtenConfig(all);
  assertEquals(configSchema.parse(written).proxy.tls, all.proxy.tls);
  assert(!JSON.stringify(withoutSecrets(written)).includes("c2VjcmV0"));
});

Deno.test("proxy.tls.acme may stand beside files, and not beside selfSigned", () => {
  for (const others of [{}, { cert: "a", key: "b" }, { certificates: [{ cert: "a", key: "b" }] }]) {
    withTls({ ...others, acme: ACME, redirectFrom: 80 });
  }
  assertEquals(errors({ acme: ACME, selfSigned: ["a"], redirectFrom: 80 }).length, 1);
  assertEquals(errors({ acme: null, redirectFrom: 80 }).length, 1);
  assertEquals(errors({ acme: ACME, cert: "a", redirectFrom: 80 }).length, 1);
});

Deno.test("proxy.tls.acme wants redirectFrom, engine wire, and a secret beside cluster", () => {
  assertEquals(errors({ acme: ACME }), [
    "proxy.tls.redirectFrom: got null, want a port such as 80 beside acme: the authority sends its requests there",
  ]);
  assertEquals(errors({ acme: ACME, redirectFrom: 80 }, { engine: "fetch" }), [
    `proxy.tls.acme: not supported by engine "fetch", use engine "wire"`,
  ]);
  const redis = "redis://127.0.0.1";
  assertEquals(errors({ acme: ACME, redirectFrom: 80 }, { cluster: { redis } }), [
    "cluster.secret: got null, want a secret beside proxy.tls.acme, to encrypt the keys that replicas share",
  ]);
  withTls({ acme: ACME, redirectFrom: 80 }, { cluster: { redis, secret: "0123456789abcdef" } });
});

Deno.test("a port other than 80 is a warning", () => {
  assertEquals(withTls({ acme: ACME, redirectFrom: 80 }).warnings, []);
  assertEquals(withTls({ acme: ACME, redirectFrom: 8081 }, { admin: { port: 0 } }).warnings.length, 1);
});

Deno.test("names that http-01 can't be used for are refused, and so are directories without TLS", () => {
  for (
    const name of [
      "*.example.com",
      "10.0.0.1",
      "::1",
      "example.com.",
      "",
      "-a.example",
      "a b",
      "a/b",
      "a:80",
      "../x",
      "ä",
    ]
  ) {
    assertEquals(errors({ acme: { names: [name] }, redirectFrom: 80 }).length, 1, name);
  }
  assertEquals(errors({ acme: { names: ["a.example", "A.example"] }, redirectFrom: 80 }).length, 1);
  assertEquals(errors({ acme: { names: [] }, redirectFrom: 80 }).length, 1);
  for (const directory of ["http://acme.example/", "https://me:secret@acme.example/", "acme.example", "https://a/#b"]) {
    assertEquals(errors({ acme: { ...ACME, directory }, redirectFrom: 80 }).length, 1, directory);
  }
});

Deno.test("whatever is taken for a name is one file's name, and no path", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.domain()), (name) => {
    const parsed = configSchema.safeParse({ proxy: { tls: { acme: { names: [name] }, redirectFrom: 80 } } });
    const taken = parsed.success ? parsed.data.proxy.tls?.acme?.names[0] : undefined;
    assert(taken === undefined || /^[a-z0-9][a-z0-9.-]*$/.test(taken) && taken.length < 254);
  }));
});

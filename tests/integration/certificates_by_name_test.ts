// `proxy.tls.certificates`: each client gets the certificate for the name that it asks for, also after a reload.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { X509Certificate } from "node:crypto";
import type { ConfigFile } from "../../src/config/schema.ts";
import { makePair, type Pair, serialOf, shown, TemporaryDirectory } from "../support/certificates.ts";
import { EventReader } from "../support/event_stream.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";

/** The serial number of the certificate that a client gets who asks for this name. */
async function serialFor(port: number, name: string | undefined): Promise<string> {
  return (await shown(port, [], name)).serial;
}

Deno.test("wire chooses the certificate by the name that the client asks for", async () => {
  using directory = new TemporaryDirectory();
  const pairs = [
    await makePair({ name: "first.example" }),
    await makePair({ name: "second.example", names: ["*.second.example"] }),
    await makePair({ name: "x.second.example", names: ["second.example", "first.example"] }),
  ];
  const [first, second, third] = pairs;
  assert(first !== undefined && second !== undefined && third !== undefined);
  const certificates = pairs.map((pair, index) => directory.writePair(pair, `${index}`));
  await using backend = HttpBackend.named("named");
  await using proxy = await TestProxy.start({
    engine: "wire",
    proxy: { tls: { certificates } },
    backends: [backend.url],
  });
  for (
    const [name, pair] of [
      [undefined, first],
      ["unknown.example", first],
      ["first.example", first],
      ["second.example", second], // the third has this name, too
      ["SECOND.Example", second],
      ["y.second.example", second],
      ["Y.Second.Example", second],
      ["x.second.example", third],
      ["z.y.second.example", first], // a wildcard stands for one label
    ] as const
  ) assertEquals(await serialFor(proxy.port, name), serialOf(pair), name);
  const warnings = proxy.log.of("configuration").map(({ fields }) => String(fields["warning"]));
  assertEquals(warnings, [
    "proxy.tls.certificates[2].cert: second.example is also in proxy.tls.certificates[1].cert, which is used for it",
    "proxy.tls.certificates[2].cert: first.example is also in proxy.tls.certificates[0].cert, which is used for it",
  ]);
  await proxy.idle();
});

Deno.test("wire: a reload changes, adds and removes certificates while clients connect, and no handshake fails", async () => {
  using directory = new TemporaryDirectory();
  const [first, second, third] = [
    await makePair({ name: "first.example" }),
    await makePair({ name: "second.example" }),
    await makePair({ name: "third.example" }),
  ];
  const named = [directory.writePair(first, "first"), directory.writePair(second, "second")];
  await using backend = HttpBackend.named("named");
  const settings: ConfigFile = { engine: "wire", backends: [backend.url], proxy: { tls: { certificates: named } } };
  await using proxy = await TestProxy.start(settings);
  let done = false;
  const connecting = (async () => {
    const seen = new Set<string>();
    while (!done) seen.add(await serialFor(proxy.port, "second.example"));
    return seen;
  })();
  assertEquals(await serialFor(proxy.port, "third.example"), serialOf(first));

  const renewed = await makePair({ name: "second.example" });
  directory.writePair(renewed, "second");
  named.push(directory.writePair(third, "third"));
  assertEquals((await proxy.roundhouse.reload()).restartNeeded, []);
  assertEquals(await serialFor(proxy.port, "second.example"), serialOf(renewed));
  assertEquals(await serialFor(proxy.port, "third.example"), serialOf(third));
  assertEquals(await serialFor(proxy.port, undefined), serialOf(first));

  named.shift();
  assertEquals((await proxy.roundhouse.reload()).restartNeeded, []);
  assertEquals(await serialFor(proxy.port, "first.example"), serialOf(renewed)); // the first one now
  done = true;
  assertEquals(await connecting, new Set([serialOf(second), serialOf(renewed)]));
});

Deno.test("the short form and a list of one certificate are the same, and each can become the other", async () => {
  using directory = new TemporaryDirectory();
  const pair = await makePair();
  const files = directory.writePair(pair);
  await using backend = HttpBackend.named("named");
  const settings = { backends: [backend.url], proxy: { tls: files } as ConfigFile["proxy"] };
  await using proxy = await TestProxy.start(settings);
  settings.proxy = { tls: { certificates: [files] } };
  assertEquals((await proxy.roundhouse.reload()).restartNeeded, []);
  assertEquals(await serialFor(proxy.port, undefined), serialOf(pair));
});

Deno.test("/status and /metrics say when certificates end, and events when others come", async () => {
  using directory = new TemporaryDirectory();
  const [long, short] = [
    await makePair({ name: "long.example", names: ["*.long.example"] }),
    await makePair({ name: "short.example", days: 5 }),
  ];
  const certificates = [directory.writePair(long, "long"), directory.writePair(short, "short")];
  await using backend = HttpBackend.named("named");
  await using proxy = await TestProxy.start({
    engine: "wire",
    proxy: { tls: { certificates } },
    backends: [backend.url],
  });
  const endOf = ({ cert }: Pair) => new Date(new X509Certificate(cert).validTo);
  const told = { source: "files", error: null };
  const read = async (path: string) => await (await fetch(`${proxy.adminUrl}${path}`)).text();
  assertEquals(JSON.parse(await read("/status")).certificates, [
    { ...told, names: ["short.example"], expires: endOf(short).toISOString(), endsSoon: true },
    { ...told, names: ["long.example", "*.long.example"], expires: endOf(long).toISOString(), endsSoon: false },
  ]);
  const metrics = await read("/metrics");
  for (const [name, pair] of [["short.example", short], ["long.example", long]] as const) {
    const line = `roundhouse_certificate_expiry_seconds{name="${name}"} ${endOf(pair).getTime() / 1000}`;
    assertStringIncludes(metrics, `${line}\n`);
  }

  const { body } = await fetch(`${proxy.adminUrl}/events`);
  assert(body !== null);
  await using events = new EventReader(body);
  assertEquals((await events.next())?.event, "stats");
  const renewed = await makePair({ name: "short.example", days: 30 });
  directory.writePair(renewed, "short");
  await proxy.roundhouse.reload();
  const change = await events.nextChange(); // of the other one there is nothing to say
  const { names, expires } = change?.data ?? {};
  assertEquals([change?.event, names, expires], [
    "certificate-changed",
    ["short.example"],
    endOf(renewed).toISOString(),
  ]);
  assertEquals((await events.nextChange())?.event, "reload");
  assertEquals(JSON.parse(await read("/status")).certificates[0].expires, endOf(renewed).toISOString());
});

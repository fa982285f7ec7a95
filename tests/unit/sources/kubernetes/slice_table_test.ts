// Which backends the slices of a service stand for, whatever order their events have.

import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { readGoneSlice, readSlice } from "../../../../src/sources/kubernetes/endpoint_slice.ts";
import { isNewer, SliceTable } from "../../../../src/sources/kubernetes/slice_table.ts";
import { SourceError } from "../../../../src/sources/source.ts";
import { type EndpointOptions, sliceJson, type SliceOptions } from "../../../support/kubernetes_api.ts";

const WANTED = { port: null, scheme: "http" } as const;

function stamped(json: Record<string, unknown>, version: number): Record<string, unknown> {
  return { ...json, metadata: { ...json.metadata as Record<string, unknown>, resourceVersion: String(version) } };
}

function slice(name: string, endpoints: readonly (string | EndpointOptions)[], options?: SliceOptions, version = 1) {
  return readSlice(stamped(sliceJson(name, endpoints, options), version), "web");
}

/** The URLs, `-` before those that leave. */
function urlsOf(table: SliceTable, wanted: Parameters<SliceTable["backends"]>[0] = WANTED): string[] {
  return table.backends(wanted).map(({ spec, leaving }) => `${leaving === true ? "-" : ""}${spec.url}`);
}

function tableOf(...slices: Parameters<SliceTable["replace"]>[0]): SliceTable {
  const table = new SliceTable();
  table.replace(slices, "1");
  return table;
}

Deno.test("SliceTable has the ready endpoints, and those that terminate but serve as leaving", () => {
  const table = tableOf(
    slice("web-b", ["10.0.0.9"]),
    slice("web-a", [
      "10.0.0.1",
      { address: "10.0.0.2", ready: null, serving: null, terminating: null },
      { address: "10.0.0.3", ready: false },
      { address: "10.0.0.4", terminating: true, serving: true },
      { address: "10.0.0.5", terminating: true, serving: false },
      { address: "10.0.0.6", ready: true, terminating: true },
    ]),
  );
  assertEquals(urlsOf(table), [
    "http://10.0.0.1:8080",
    "http://10.0.0.2:8080",
    "-http://10.0.0.4:8080",
    "-http://10.0.0.6:8080",
    "http://10.0.0.9:8080",
  ]);
  assertEquals(table.backends(WANTED)[0]?.spec, {
    url: "http://10.0.0.1:8080",
    weight: 1,
    maxConnections: null,
    backup: false,
    tls: { ca: null, insecure: false, serverName: null, cert: null, key: null },
  });
});

Deno.test("SliceTable has an address that is in two slices once, and ready if it is in one of them", () => {
  const leaving = slice("web-a", [{ address: "10.0.0.1", terminating: true, serving: true }, "10.0.0.2"]);
  const ready = slice("web-b", ["10.0.0.1", { address: "10.0.0.2", ready: false }]);
  assertEquals(urlsOf(tableOf(leaving, ready)), ["http://10.0.0.1:8080", "http://10.0.0.2:8080"]);
  assertEquals(urlsOf(tableOf(ready, leaving)), ["http://10.0.0.1:8080", "http://10.0.0.2:8080"]);
});

Deno.test("SliceTable takes one address family: IPv4 if an endpoint has it, and refuses names", () => {
  // In a dual-stack cluster every pod stood in the list twice, and counted twice.
  const four = slice("web-4", [{ address: "10.0.0.1", ready: false }]);
  const six = slice("web-6", ["fd00::1", "fd00:0:0::2"], { family: "IPv6" });
  const names = slice("web-names", ["app.example.com"], { family: "FQDN" });
  assertEquals(urlsOf(tableOf(six, four)), []);
  assertEquals(urlsOf(tableOf(six, slice("web-4", []), names)), ["http://[fd00::1]:8080", "http://[fd00::2]:8080"]);
  assertEquals(urlsOf(tableOf(slice("web-names", [], { family: "FQDN" }))), []);
  assertThrows(
    () => urlsOf(tableOf(names)),
    SourceError,
    'EndpointSlice "web-names" addressType: got "FQDN", want "IPv4" or "IPv6"; names are looked up with "dns:HOST:PORT"',
  );
});

Deno.test("SliceTable finds the port by name, by number, or where there is only one", () => {
  const http = (port: number | null) => ({ name: "http", port });
  const metrics = { name: "metrics", port: 9090 };
  const both = (port: number) => ({ ports: [http(port), metrics, { name: "dns", port: 53, protocol: "UDP" }] });
  const table = tableOf(slice("web-a", ["10.0.0.1"], both(80)), slice("web-b", ["10.0.0.2"], both(8080)));
  assertEquals(urlsOf(table, { port: "http", scheme: "http" }), ["http://10.0.0.1", "http://10.0.0.2:8080"]);
  assertEquals(urlsOf(table, { port: "8080", scheme: "https" }), ["https://10.0.0.2:8080"]);
  const wrong: [string | null, string][] = [
    [null, 'got no port in the setting, want one of "http" (80), "http" (8080), "metrics" (9090)'],
    ["dns", 'got the port "dns", want one of "http" (80), "http" (8080), "metrics" (9090)'],
    ["81", 'got the port "81", want one of '],
  ];
  for (const [port, message] of wrong) {
    assertThrows(() => urlsOf(table, { port, scheme: "http" }), SourceError, message);
  }
  const named = tableOf(
    slice("web-a", ["10.0.0.1"], { ports: [http(1)] }),
    slice("web-b", ["10.0.0.2"], { ports: [http(2)] }),
  );
  assertEquals(urlsOf(named), ["http://10.0.0.1:1", "http://10.0.0.2:2"]);
  const open = tableOf(slice("web-a", ["10.0.0.1"], { ports: [http(null)] }));
  assertEquals(urlsOf(open, { port: "7000", scheme: "http" }), ["http://10.0.0.1:7000"]);
  assertThrows(() => urlsOf(open), SourceError, "leaves its port open, want a number");
  const none = tableOf(slice("web-a", ["10.0.0.1"], { ports: null }));
  assertThrows(() => urlsOf(none), SourceError, "want a TCP port, of which the slices have none");
  // A service without pods has a slice without endpoints and without ports.
  assertEquals(urlsOf(tableOf(slice("web-a", [], { ports: null })), { port: "http", scheme: "http" }), []);
});

Deno.test("SliceTable refuses more than there is room for", () => {
  const many = (name: string, count: number, part: number) =>
    slice(name, Array.from({ length: count }, (_, at) => `10.${part}.${at >> 8}.${at & 255}`));
  const full = Array.from({ length: 4 }, (_, part) => many(`web-${part}`, 1000, part));
  assertEquals(tableOf(...full, many("web-4", 96, 4)).backends(WANTED).length, 4096);
  assertThrows(() => tableOf(...full, many("web-4", 97, 4)).backends(WANTED), SourceError, "at most 4096");
  const parts = Array.from({ length: 17 }, (_, part) => many(`web-${part}`, 1000, part));
  assertThrows(() => tableOf(...parts), SourceError, "got 17000 endpoints in all slices, want at most 16384");
  const slices = Array.from({ length: 4097 }, (_, part) => slice(`web-${part}`, []));
  assertThrows(() => tableOf(...slices), SourceError, "got more than 4096 EndpointSlices");
});

Deno.test("isNewer() compares versions longer than numbers, and takes what it can't compare", () => {
  assertEquals(isNewer("10", "9"), true);
  assertEquals(isNewer("9", "10"), false);
  assertEquals(isNewer("9", "9"), false);
  assertEquals(isNewer("90071992547409930001", "90071992547409930000"), true);
  assertEquals([isNewer("abc", "9"), isNewer("9", "abc"), isNewer("1", "")], [true, true, true]);
});

/** What happens to one of a few slices: changed to these endpoints, or deleted. */
const happening = fc.record({
  name: fc.constantFrom("web-a", "web-b", "web-c"),
  endpoints: fc.option(fc.uniqueArray(fc.nat(5), { maxLength: 4 }), { freq: 4 }),
});

Deno.test("SliceTable ends in the state of a list, whatever the order in which events arrive, and however often", async () => {
  await fc.assert(fc.asyncProperty(
    fc.array(happening, { maxLength: 20 }),
    fc.nat(20),
    fc.infiniteStream(fc.nat()),
    (happenings, listedAfter, random) => {
      const real = new Map<string, Record<string, unknown>>();
      const events: (() => Parameters<SliceTable["apply"]>[0])[] = [];
      const table = new SliceTable();
      const list = (into: SliceTable, version: number) =>
        into.replace(Array.from(real.values(), (json) => readSlice(json, "web")), String(version));
      list(table, 100);
      for (const [index, { name, endpoints }] of happenings.entries()) {
        const version = 101 + index;
        if (endpoints === null) {
          const json = real.get(name);
          if (json === undefined) continue;
          real.delete(name);
          events.push(() => readGoneSlice(stamped(json, version)));
        } else {
          const json = stamped(sliceJson(name, endpoints.map((last) => `10.0.0.${last}`)), version);
          real.set(name, json);
          events.push(() => readSlice(json, "web"));
        }
        if (index === listedAfter) {
          list(table, version);
          if (index % 2 === 0) events.length = 0; // otherwise, they arrive once more after the list
        }
      }
      const repeated = [...events, ...events.filter((_, at) => at % 3 === 0)];
      const shuffled = repeated.map((event) => ({ event, at: random.next().value ?? 0 })).sort((a, b) => a.at - b.at);
      for (const { event } of shuffled) table.apply(event());
      const listed = new SliceTable();
      list(listed, 1000);
      assertEquals(urlsOf(table), urlsOf(listed));
      return Promise.resolve();
    },
  ));
});

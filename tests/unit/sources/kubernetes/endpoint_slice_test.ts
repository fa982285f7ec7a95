// What an EndpointSlice may be. Everything else is refused with its place.

import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { readSlice } from "../../../../src/sources/kubernetes/endpoint_slice.ts";
import { readEvent, readPage } from "../../../../src/sources/kubernetes/responses.ts";
import { SourceError } from "../../../../src/sources/source.ts";
import { sliceJson } from "../../../support/kubernetes_api.ts";

function changed(change: Record<string, unknown>, metadata: Record<string, unknown> = {}) {
  const json = sliceJson("web-x", ["10.0.0.1"]);
  return {
    ...json,
    ...change,
    metadata: { ...json.metadata as Record<string, unknown>, resourceVersion: "7", ...metadata },
  };
}

Deno.test("readSlice() keeps what counts", () => {
  const ports = [{ name: "http", port: 80 }, { name: "dns", port: 53, protocol: "UDP" }, { port: null }];
  assertEquals(readSlice(changed({ ports, endpoints: null, unknown: 1 }), "web"), {
    name: "web-x",
    version: "7",
    family: "IPv4",
    ports: [{ name: "http", number: 80 }, { name: "", number: null }],
    size: 0,
    endpoints: [],
  });
});

Deno.test("readSlice() says what it refuses, and where", () => {
  const endpoint = (address: unknown) => ({ endpoints: [{ addresses: ["10.0.0.1"] }, { addresses: [address] }] });
  const wrong: [unknown, string][] = [
    [null, "EndpointSlice got null, want an object"],
    [[], "EndpointSlice got an empty list, want an object"],
    [changed({ kind: "Pod" }), 'EndpointSlice "web-x" kind: got "Pod", want "EndpointSlice"'],
    [
      changed({}, { resourceVersion: "" }),
      'EndpointSlice "web-x" metadata.resourceVersion: got "", want a resource version',
    ],
    [changed({}, { name: 7 }), "EndpointSlice metadata.name: got 7, want the name of an object"],
    [changed({}, { labels: {} }), 'EndpointSlice "web-x" got no label kubernetes.io/service-name, want "web"'],
    [
      changed({}, { labels: { "kubernetes.io/service-name": "db" } }),
      'EndpointSlice "web-x" got the label "db" kubernetes.io/service-name, want "web"',
    ],
    [changed({ addressType: "IPv5" }), 'EndpointSlice "web-x" addressType: got "IPv5", want'],
    [
      changed({ ports: [{ port: 0 }] }),
      'EndpointSlice "web-x" ports[0].port: got 0, want a whole number from 1 to 65535',
    ],
    [changed({ ports: [{ port: 80 }, { port: 65536 }] }), "ports[1].port: got 65536, want"],
    [changed({ ports: Array.from({ length: 101 }, () => ({ port: 80 })) }), "ports: got 101, want at most 100 ports"],
    [changed({ endpoints: Array.from({ length: 1001 }, () => ({})) }), "endpoints"],
    [
      changed({ endpoints: [{ addresses: [] }] }),
      "endpoints[0].addresses: got an empty list, want a list of addresses",
    ],
    [
      changed({ endpoints: [{ addresses: ["10.0.0.1"], conditions: { ready: "yes" } }] }),
      "endpoints[0].conditions.ready",
    ],
  ];
  const addresses = ["", "10.0.0", "010.0.0.1", "0x7f.1", "fd00::1", "10.0.0.1:80", "a.example", "0.0.0.0", "127.1"];
  for (const address of addresses) {
    wrong.push([
      changed(endpoint(address)),
      `endpoints[1].addresses[0]: got ${JSON.stringify(address)}, want an IPv4 address`,
    ]);
  }
  for (const address of ["::", "fe80::1%eth0", "[fd00::1]", "10.0.0.1", "::1/evil"]) {
    const slice = changed({ addressType: "IPv6", endpoints: [{ addresses: [address] }] });
    wrong.push([slice, `endpoints[0].addresses[0]: got ${JSON.stringify(address)}, want an IPv6 address`]);
  }
  for (const [value, message] of wrong) assertThrows(() => readSlice(value, "web"), SourceError, message);
});

Deno.test("readPage() and readEvent() refuse other kinds", () => {
  const list = { kind: "EndpointSliceList", metadata: { resourceVersion: "9" }, items: [changed({})] };
  assertEquals(readPage(list, "web").slices.map(({ name }) => name), ["web-x"]);
  assertEquals(readPage({ ...list, items: null }, "web"), { slices: [], version: "9", next: "" });
  const wrongLists: [unknown, string][] = [
    ["text", 'the list: got "text", want an object'],
    [{ ...list, kind: "PodList" }, 'the list: kind: got "PodList", want "EndpointSliceList"'],
    [{ ...list, items: "all" }, 'the list: items: got "all", want a list'],
    [{ ...list, metadata: {} }, "the list: metadata.resourceVersion: got nothing, want"],
  ];
  for (const [value, message] of wrongLists) assertThrows(() => readPage(value, "web"), SourceError, message);

  assertEquals(readEvent({ type: "BOOKMARK", object: { metadata: { resourceVersion: "12" } } }, "web"), {
    kind: "bookmark",
    version: "12",
  });
  const wrongEvents: [unknown, string][] = [
    [{ type: "EXPLODED", object: {} }, 'an event: type: got "EXPLODED", want "ADDED"'],
    [{ type: "ADDED", object: { kind: "Pod", metadata: { name: "x" } } }, 'EndpointSlice "x" kind: got "Pod"'],
    [{ type: "DELETED", object: {} }, "EndpointSlice metadata: got nothing"],
    [{ type: "ERROR", object: { kind: "Status", code: 410, message: "too old" } }, "(410): too old"],
    [{ type: "ERROR", object: "?" }, "the API server reports an error"],
  ];
  for (const [value, message] of wrongEvents) assertThrows(() => readEvent(value, "web"), SourceError, message);
});

Deno.test("whatever JSON arrives, it is read or refused", () => {
  fc.assert(fc.property(fc.jsonValue(), fc.jsonValue(), fc.string(), (value, inner, key) => {
    for (
      const candidate of [value, changed({ [key]: inner }), changed({ endpoints: inner }), changed({ ports: inner })]
    ) {
      for (const read of [readSlice, readPage, readEvent]) {
        try {
          read(candidate, "web");
        } catch (error) {
          if (!(error instanceof SourceError)) throw error;
          assertEquals(error.message.includes("\n"), false);
        }
      }
    }
  }));
});

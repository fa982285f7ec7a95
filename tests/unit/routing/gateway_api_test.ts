// The Gateway API (gateway-api.sigs.k8s.io) publishes conformance cases for the matching of hosts, paths, headers, methods and
// query parameters. Here they are as data of our own, with our keys in place of its rules: who knows its rules, knows ours.
// Where ours differ, the case is turned round below; docs/routing.md has the differences as a table.

import { assertEquals } from "@std/assert";
import type { ConfigFile } from "../../../src/config/schema.ts";
import { RoutedBench } from "../../support/routed_bench.ts";

/** Where a request goes: a pool, or the status of an answer without one. */
type Wanted = "v1" | "v2" | "v3" | "404";

interface Asked {
  readonly method?: string;
  readonly host?: string;
  readonly target?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Group {
  /** The short name of the published test, or what differs from it. */
  readonly name: string;
  readonly routes: ConfigFile["routes"];
  readonly cases: readonly (readonly [wanted: Wanted, asked: Asked])[];
}

const POOLS: ConfigFile["pools"] = {
  v1: { backends: ["http://v1"] },
  v2: { backends: ["http://v2"] },
  v3: { backends: ["http://v3"] },
};

const SAME: readonly Group[] = [
  {
    name: "HTTPRouteMatching",
    routes: {
      "*/*": [{ when: { header: { version: "two" } }, pool: "v2" }, { pool: "v1" }],
      "*/v2/*": "v2",
    },
    cases: [
      ["v1", { target: "/" }],
      ["v1", { target: "/example" }],
      ["v1", { target: "/", headers: { Version: "one" } }],
      ["v2", { target: "/v2" }],
      ["v2", { target: "/v2/" }],
      ["v2", { target: "/v2/example" }],
      ["v1", { target: "/v2example" }], // a prefix ends with a segment
      ["v1", { target: "/foo/v2/example" }],
      ["v2", { target: "/", headers: { Version: "two" } }],
    ],
  },
  {
    name: "HTTPExactPathMatching",
    routes: { "*/one": "v1", "*/two": "v2" },
    cases: [
      ["v1", { target: "/one" }],
      ["v2", { target: "/two" }],
      ["404", { target: "/" }],
      ["404", { target: "/one/example" }],
      ["404", { target: "/two/" }],
      ["404", { target: "/Two" }],
    ],
  },
  {
    name: "HTTPRoutePathMatchOrder",
    routes: {
      "*/match": "v1",
      "*/match/*": "v3",
      "*/match/exact": "v2",
      "*/match/exact/one": "v3",
      "*/match/prefix/*": "v1",
      "*/match/prefix/one/*": "v2",
    },
    cases: [
      ["v3", { target: "/match/exact/one" }],
      ["v2", { target: "/match/exact" }],
      ["v1", { target: "/match" }],
      ["v2", { target: "/match/prefix/one/any" }],
      ["v1", { target: "/match/prefix/any" }],
      ["v3", { target: "/match/any" }],
    ],
  },
  {
    name: "HTTPRouteHeaderMatching",
    routes: {
      "*/*": [
        { when: { header: { version: "two", color: "orange" } }, pool: "v1" },
        { when: { header: { version: "one" } }, pool: "v1" },
        { when: { header: { version: "two" } }, pool: "v2" },
        { when: { header: { color: "blue" } }, pool: "v1" },
        { when: { header: { color: "green" } }, pool: "v1" },
        { when: { header: { color: "red" } }, pool: "v2" },
        { when: { header: { color: "yellow" } }, pool: "v2" },
      ],
    },
    cases: [
      ["v1", { headers: { Version: "one" } }],
      ["v2", { headers: { Version: "two" } }],
      ["v1", { headers: { Version: "two", Color: "orange" } }],
      ["v2", { headers: { Version: "two", Color: "blue" } }],
      ["404", { headers: { Color: "orange" } }],
      ["404", { headers: { "Some-Other-Header": "one" } }],
      ["v1", { headers: { Color: "blue" } }],
      ["v1", { headers: { Color: "green" } }],
      ["v2", { headers: { Color: "red" } }],
      ["v2", { headers: { Color: "yellow" } }],
      ["404", { headers: { Color: "purple" } }],
      ["404", { headers: { Color: "Blue" } }],
    ],
  },
  {
    name: "HTTPRouteMethodMatching",
    routes: {
      "*/*": [
        { when: { method: "PUT", header: { version: "one" } }, pool: "v2" },
        { when: { method: "PATCH", header: { version: "four" } }, pool: "v2" },
        { when: { method: "POST" }, pool: "v1" },
        { when: { method: "GET" }, pool: "v2" },
      ],
      "*/path1/*": [{ when: { method: "GET" }, pool: "v1" }],
      "*/path2/*": [{ when: { method: "POST", header: { version: "two" } }, pool: "v3" }],
      "*/path3/*": [{ when: { method: "PATCH" }, pool: "v1" }],
      "*/path4/*": [{ when: { method: "DELETE", header: { version: "three" } }, pool: "v1" }],
      "*/path5/*": [{ when: { method: "PATCH" }, pool: "v1" }],
    },
    cases: [
      ["v1", { method: "POST" }],
      ["v2", { method: "GET" }],
      ["404", { method: "HEAD" }], // not the same as GET
      ["v1", { method: "GET", target: "/path1" }],
      ["v2", { method: "PUT", headers: { version: "one" } }],
      ["v3", { method: "POST", target: "/path2", headers: { version: "two" } }],
      ["v1", { method: "PATCH", target: "/path3" }],
      ["v1", { method: "DELETE", target: "/path4", headers: { version: "three" } }],
      ["404", { method: "PUT" }],
      ["404", { method: "DELETE", target: "/path4" }],
      ["v1", { method: "PATCH", target: "/path5" }],
      ["v1", { method: "PATCH", target: "/path5", headers: { version: "four" } }], // the path comes before headers
      ["v2", { method: "PATCH", headers: { version: "four" } }],
    ],
  },
  {
    name: "HTTPRouteQueryParamMatching",
    routes: {
      "*/*": [
        { when: { header: { version: "one" }, query: { animal: "whale" } }, pool: "v2" },
        { when: { header: { version: "four" } }, pool: "v3" },
        { when: { query: { animal: "dolphin", color: "blue" } }, pool: "v3" },
        { when: { query: { animal: "dolphin" } }, pool: "v2" },
        { when: { query: { animal: "whale" } }, pool: "v1" },
        { when: { query: { ANIMAL: "Whale" } }, pool: "v3" },
      ],
      "*/path1/*": [{ when: { query: { animal: "whale" } }, pool: "v1" }],
      "*/path2/*": [{ when: { header: { version: "two" }, query: { animal: "whale" } }, pool: "v3" }],
      "*/path3/*": [{ when: { query: { animal: "shark" } }, pool: "v1" }],
      "*/path4/*": [{ when: { header: { version: "three" }, query: { animal: "kraken" } }, pool: "v1" }],
      "*/path5/*": [{ when: { query: { animal: "hydra" } }, pool: "v1" }],
    },
    cases: [
      ["v1", { target: "/?animal=whale" }],
      ["v2", { target: "/?animal=dolphin" }],
      ["v3", { target: "/?animal=dolphin&color=blue" }],
      ["v3", { target: "/?ANIMAL=Whale" }],
      ["v1", { target: "/?animal=whale&otherparam=irrelevant" }],
      ["v2", { target: "/?animal=dolphin&color=yellow" }],
      ["404", { target: "/?color=blue" }],
      ["404", { target: "/?animal=dog" }],
      ["404", { target: "/?animal=whaledolphin" }],
      ["404", { target: "/" }],
      ["v1", { target: "/path1?animal=whale" }],
      ["v2", { target: "/?animal=whale", headers: { version: "one" } }],
      ["v3", { target: "/path2?animal=whale", headers: { version: "two" } }],
      ["v1", { target: "/path3?animal=shark" }],
      ["v1", { target: "/path4?animal=kraken", headers: { version: "three" } }],
      ["404", { target: "/?animal=shark" }],
      ["404", { target: "/path4?animal=kraken" }],
      ["v1", { target: "/path5?animal=hydra" }],
      ["v3", { target: "/?animal=hydra", headers: { version: "four" } }],
    ],
  },
  {
    name: "HTTPRouteListenerHostnameMatching",
    routes: { "bar.com/*": "v1", "foo.bar.com/*": "v2", "*.bar.com/*": "v3", "*.foo.com/*": "v3" },
    cases: [
      ["v1", { host: "bar.com" }],
      ["v2", { host: "foo.bar.com" }],
      ["v3", { host: "baz.bar.com" }],
      ["v3", { host: "boo.bar.com" }],
      ["v3", { host: "multiple.prefixes.bar.com" }],
      ["v3", { host: "multiple.prefixes.foo.com" }],
      ["404", { host: "foo.com" }],
      ["404", { host: "no.matching.host" }],
    ],
  },
  {
    name: "HTTPRouteHostnameIntersection",
    routes: {
      "very.specific.com/s1/*": "v1",
      "*.wildcard.io/s2/*": "v2",
      "very.specific.com/s3/*": "v3",
      "*.anotherwildcard.io/s4/*": "v1",
    },
    cases: [
      ["v1", { host: "very.specific.com", target: "/s1" }],
      ["v1", { host: "very.specific.com:1234", target: "/s1" }], // the port does not count
      ["404", { host: "non.matching.com", target: "/s1" }],
      ["404", { host: "foo.nonmatchingwildcard.io", target: "/s1" }],
      ["404", { host: "foo.wildcard.io", target: "/s1" }],
      ["404", { host: "very.specific.com", target: "/non-matching-prefix" }],
      ["v2", { host: "foo.wildcard.io", target: "/s2" }],
      ["v2", { host: "foo.bar.wildcard.io", target: "/s2" }],
      ["404", { host: "wildcard.io", target: "/s2" }],
      ["404", { host: "very.specific.com", target: "/s2" }],
      ["v3", { host: "very.specific.com", target: "/s3" }],
      ["404", { host: "foo.specific.com", target: "/s3" }],
      ["v1", { host: "bar.anotherwildcard.io", target: "/s4" }],
      ["404", { host: "anotherwildcard.io", target: "/s4" }],
      ["404", { host: "foo.wildcard.io", target: "/s4" }],
      ["404", { host: "foo.anotherwildcard.io", target: "/non-matching-prefix" }],
    ],
  },
  {
    name: "HTTPRouteHostnameIntersection, hosts of a list",
    routes: { "first.com/*": "v2", "*.first.com/*": "v2", "second.com/*": "v2", "*.second.com/*": "v2" },
    cases: [
      ["v2", { host: "first.com" }],
      ["v2", { host: "sub.first.com" }],
      ["v2", { host: "second.com" }],
      ["v2", { host: "sub.second.com" }],
      ["404", { host: "third.com" }],
      ["404", { host: "sub.third.com" }],
    ],
  },
  {
    name: "HTTPRouteMatchingAcrossRoutes",
    routes: {
      "example.com/*": [{ when: { header: { version: "two" } }, pool: "v2" }, { pool: "v1" }],
      "example.com/v2/*": "v2",
      "example.net/*": "v1",
    },
    cases: [
      ["v1", { host: "example.com", target: "/" }],
      ["v1", { host: "example.com", target: "/example" }],
      ["v1", { host: "example.net", target: "/example" }],
      ["v1", { host: "example.com", target: "/example", headers: { Version: "one" } }],
      ["v2", { host: "example.com", target: "/v2" }],
      ["v1", { host: "example.net", target: "/v2" }],
      ["v2", { host: "example.com", target: "/v2/example" }],
      ["v2", { host: "example.com", target: "/", headers: { Version: "two" } }],
    ],
  },
];

/** What goes elsewhere under the Gateway API, which is told in brackets. */
const DIFFERENT: readonly Group[] = [
  {
    name: "the longest path decides alone (it goes on to rules with shorter paths)",
    routes: { "*/*": "v1", "*/path/*": [{ when: { method: "GET" }, pool: "v2" }] },
    cases: [["v2", { target: "/path" }], ["404", { target: "/path", method: "POST" }]],
  },
  {
    name: "the most specific host decides alone (it goes on to routes of wildcards)",
    routes: { "*.example.com/*": "v1", "a.example.com/only/*": "v2", "*/*": "v3" },
    cases: [["v2", { host: "a.example.com", target: "/only" }], ["404", { host: "a.example.com", target: "/other" }]],
  },
  {
    name: "the order of a key's list decides (the rule with the most headers, then query parameters)",
    routes: {
      "*/*": [
        { when: { header: { version: "two" } }, pool: "v2" },
        { when: { header: { version: "two", color: "orange" } }, pool: "v1" },
      ],
    },
    cases: [["v2", { headers: { Version: "two", Color: "orange" } }]],
  },
  {
    name: "a method is one condition among others (it comes before headers and query parameters)",
    routes: {
      "*/*": [{ when: { query: { a: "1" } }, pool: "v1" }, { when: { method: "POST" }, pool: "v2" }],
    },
    cases: [["v1", { method: "POST", target: "/?a=1" }]],
  },
  {
    name: "a value may be a beginning, any, or none (it has regular expressions)",
    routes: {
      "*/*": [
        { when: { header: { version: "2.*" } }, pool: "v2" },
        { when: { header: { version: "*", color: null } }, pool: "v1" },
      ],
    },
    cases: [
      ["v2", { headers: { version: "2.1" } }],
      ["v1", { headers: { version: "3" } }],
      ["404", { headers: { version: "3", color: "blue" } }],
      ["404", {}],
    ],
  },
];

for (const { name, routes, cases } of [...SAME, ...DIFFERENT]) {
  Deno.test(`Routes and the Gateway API: ${name}`, async () => {
    using bench = new RoutedBench({ pools: POOLS, routes });
    for (const [wanted, asked] of cases) {
      const { method = "GET", host = "example.com", target = "/", headers = {} } = asked;
      const got = await bench.ask({ method, authority: host, target, headers: Object.entries(headers) });
      assertEquals(got.to, wanted, JSON.stringify(asked));
    }
  });
}

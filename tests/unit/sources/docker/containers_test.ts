// Which containers are backends, and at which address.

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { readContainers, type WantedContainers } from "../../../../src/sources/docker/containers.ts";
import { SourceError } from "../../../../src/sources/source.ts";
import { type ContainerOptions, entryOf } from "../../../support/docker_stand_in.ts";

const WANTED: WantedContainers = { label: "roundhouse.pool", value: "api", port: 8080, scheme: "http", network: null };

function urlsOf(entries: readonly unknown[], wanted: Partial<WantedContainers> = {}): string[] {
  return readContainers(entries, { ...WANTED, ...wanted })
    .map(({ spec, leaving }) => leaving === true ? `${spec.url} leaving` : spec.url);
}

const web = (options: ContainerOptions) => entryOf("web-1", { networks: { app: "172.18.0.2" }, ...options });

Deno.test("readContainers() takes the address in the container's network, in the form of backends' URLs", () => {
  assertEquals(urlsOf([web({})]), ["http://172.18.0.2:8080"]);
  assertEquals(urlsOf([web({})], { port: 80 }), ["http://172.18.0.2"]);
  assertEquals(urlsOf([web({})], { scheme: "https", port: 443 }), ["https://172.18.0.2"]);
  assertEquals(urlsOf([web({})], { scheme: "https", port: 80 }), ["https://172.18.0.2:80"]);
  const six = web({});
  Object.assign(six.NetworkSettings.Networks["app"] ?? {}, { IPAddress: "", GlobalIPv6Address: "FD00::0:2" });
  assertEquals(urlsOf([six]), ["http://[fd00::2]:8080"]);
});

Deno.test("readContainers() sorts by address, so that the order of the answer means nothing", () => {
  const [one, two] = [web({}), entryOf("web-2", { networks: { app: "172.18.0.3" } })];
  assertEquals(urlsOf([two, one]), urlsOf([one, two]));
});

Deno.test("readContainers() goes by the container's own health check, if it has one", () => {
  const cases = [
    ["Up 5 minutes", ["http://172.18.0.2:8080"]],
    ["Up 5 minutes (healthy)", ["http://172.18.0.2:8080"]],
    ["Up 5 seconds (health: starting)", []],
    ["Up 5 minutes (unhealthy)", ["http://172.18.0.2:8080 leaving"]],
    ["Up 5 minutes (Paused)", ["http://172.18.0.2:8080"]],
  ] as const;
  for (const [status, urls] of cases) assertEquals(urlsOf([web({ status })]), [...urls], status);
  // The field that newer versions have.
  const words = [["healthy", 1], ["starting", 0], ["none", 1], ["", 1]] as const;
  for (const [Status, count] of words) assertEquals(urlsOf([{ ...web({}), Health: { Status } }]).length, count, Status);
  assertEquals(urlsOf([web({ state: "paused" }), web({ state: "restarting" })]), []);
});

Deno.test("readContainers() wants to know the network where a container is in several", () => {
  const both = web({ networks: { database: "172.19.0.2", app: "172.18.0.2" } });
  assertEquals(urlsOf([both], { network: "app" }), ["http://172.18.0.2:8080"]);
  const error = assertThrows(() => urlsOf([both]), SourceError);
  assertEquals(error.message, `container "web-1" is in several networks: "network" must name one of "app", "database"`);
  // A network without an address is none.
  assertEquals(urlsOf([web({ networks: { ingress: "", app: "172.18.0.2" } })]), ["http://172.18.0.2:8080"]);
});

const BAD: readonly (readonly [string, unknown, RegExp])[] = [
  ["no list", { message: "no" }, /^the list of containers: got an object with "message", want a list$/],
  ["no container", [5], /^the list of containers: \[0\]: got 5, want an object$/],
  ["too many", Array(4097).fill(web({})), /got 4097, want at most 4096 containers$/],
  [
    "another label",
    [web({ labels: { "roundhouse.pool": "web" } })],
    /^got container "web-1", want only containers with/,
  ],
  ["no network", [web({ networks: {} })], /^container "web-1" has no address in any network \(mode "host"\)$/],
  ["no IP address", [web({ networks: { app: "10.0.0.1/8" } })], /got the address "10.0.0.1\/8", want an IP address$/],
  [
    "one address twice",
    [web({}), entryOf("web-2", { networks: { app: "172.18.0.2" } })],
    /at the address of container "web-1"/,
  ],
];

Deno.test("readContainers() refuses what can't be believed, as a whole", () => {
  for (const [name, value, pattern] of BAD) {
    const error = assertThrows(() => readContainers(value, WANTED), SourceError, "", name);
    assertMatch(error.message, pattern, name);
  }
});

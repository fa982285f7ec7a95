// Backends from Docker, with a stand-in that drops, freezes and lies.

import { assert, assertEquals } from "@std/assert";
import type { Clock } from "../../../../src/net/clock.ts";
import { DockerSource } from "../../../../src/sources/docker/docker.ts";
import { DockerStandIn, entryOf, eventOf } from "../../../support/docker_stand_in.ts";
import { Told } from "../../../support/source.ts";
import { ManualClock, patientClock, waitFor } from "../../../support/wait.ts";

const CONTAINERS = { label: "roundhouse.pool", value: "api", port: 8080, scheme: "http", network: null } as const;

function watching({ host }: { readonly host: string | null }, clock: Clock = patientClock): Told {
  return new Told(new DockerSource({ ...CONTAINERS, host }, { clock, random: () => 0.5 }));
}

const at = (address: string) => ({ networks: { app: address } });

Deno.test("docker: running containers with the label are listed, and followed by events", async () => {
  await using docker = new DockerStandIn();
  docker.set("web-1", at("172.18.0.2"));
  docker.set("web-2", { ...at("172.18.0.3"), state: "exited" });
  docker.set("other", { ...at("172.18.0.9"), labels: { "roundhouse.pool": "web" } });
  await using source = watching(docker);
  await source.finds("http://172.18.0.2:8080");
  docker.start("web-2", at("172.18.0.3"));
  await source.finds("http://172.18.0.2:8080", "http://172.18.0.3:8080");
  docker.stop("web-1");
  await source.finds("http://172.18.0.3:8080");
  docker.stop("web-2");
  await source.finds();
  assertEquals(source.failures, []);
});

Deno.test("docker: an API at a TCP port is the same", async () => {
  await using docker = new DockerStandIn("tcp");
  docker.set("web-1", at("172.18.0.2"));
  await using source = watching(docker);
  await source.finds("http://172.18.0.2:8080");
  docker.start("web-2", at("172.18.0.3"));
  await source.finds("http://172.18.0.2:8080", "http://172.18.0.3:8080");
});

Deno.test("docker: many events at a time make few lists, and those of other containers none", async () => {
  const clock = new ManualClock();
  await using docker = new DockerStandIn();
  await using source = watching(docker, clock);
  await source.finds();
  docker.start("other", { labels: { "roundhouse.pool": "web" } });
  for (let index = 2; index < 200; index++) docker.start(`web-${index}`, at(`172.18.0.${index}`));
  await waitFor(async () => {
    await clock.advance(100);
    return docker.lists > 2;
  }, { what: "lists after the events", timeoutMs: 60_000 });
  await waitFor(() => source.last.length === 198, { what: "all containers" });
  assert(docker.lists <= 6, `${docker.lists} lists`);
  const { lists } = docker;
  for (const { Type, labels } of [{ Type: "container", labels: {} }, { Type: "image", labels: {} }]) {
    docker.send(eventOf(Type, "start", labels));
  }
  await waitFor(() => clock.pending > 0, { what: "a pause" });
  assert(docker.lists - lists <= 1, "only the second list after the events is left");
});

Deno.test("docker: an event of a network counts, because it does not say the labels of the container", async () => {
  await using docker = new DockerStandIn();
  docker.set("web-1", at("172.18.0.2"));
  await using source = watching(docker);
  await source.finds("http://172.18.0.2:8080");
  docker.set("web-1", at("172.19.0.2"));
  docker.send(eventOf("network", "connect", { container: "8dfafdbc3a40", name: "app", type: "bridge" }));
  await source.finds("http://172.19.0.2:8080");
});

Deno.test("docker: a stream of events that is cut off is opened anew, before the next list", async () => {
  await using docker = new DockerStandIn();
  docker.set("web-1", at("172.18.0.2"));
  await using source = watching(docker);
  for (let round = 3; round < 6; round++) {
    await docker.isFollowed();
    await source.finds(`http://172.18.0.${round - 1}:8080`);
    docker.set("web-1", at(`172.18.0.${round}`));
    docker.dropStreams();
    await source.finds(`http://172.18.0.${round}:8080`);
  }
  assertEquals(source.failures, []);
  for (const [index, path] of docker.asked.entries()) {
    if (path === "/events") assertEquals(docker.asked[index + 1], "/containers/json");
  }
});

Deno.test("docker: a stream of events that is silent is found out, and opened anew", async () => {
  const clock = new ManualClock();
  await using docker = new DockerStandIn();
  docker.set("web-1", at("172.18.0.2"));
  await using source = watching(docker, clock);
  await source.finds("http://172.18.0.2:8080");
  await docker.isFollowed();
  docker.set("web-2", at("172.18.0.3"));
  await waitFor(() => clock.pending > 0, { what: "the pause until the next list" });
  await clock.advance(10_000);
  await source.finds("http://172.18.0.2:8080", "http://172.18.0.3:8080");
  await waitFor(async () => {
    await clock.advance(250);
    return docker.asked.filter((path) => path === "/events").length === 2;
  }, { what: "a second stream", timeoutMs: 60_000 });
  assertEquals(source.failures, []);
});

Deno.test("docker: an API that stands still is a failure after its limit, and none once it goes on", async () => {
  const clock = new ManualClock();
  await using docker = new DockerStandIn();
  docker.set("web-1", at("172.18.0.2"));
  await using source = watching(docker, clock);
  await source.finds("http://172.18.0.2:8080");
  docker.isFrozen = true;
  const { lists } = docker;
  await waitFor(async () => {
    await clock.advance(1000);
    return docker.lists > lists;
  }, { what: "another list", timeoutMs: 60_000 });
  await clock.advance(5000);
  await source.fails(/^unix:\/\/.*docker\.sock: no answer within 5 s$/);
  assertEquals(source.lists.at(-1), ["http://172.18.0.2:8080"]);
  docker.set("web-2", at("172.18.0.3"));
  docker.thaw();
  await waitFor(async () => {
    await clock.advance(250);
    return typeof source.all.at(-1) === "object";
  }, { what: "the recovery", timeoutMs: 60_000 });
  await source.finds("http://172.18.0.2:8080", "http://172.18.0.3:8080");
});

Deno.test("docker: when the list fails, the stream of events that was opened before it is closed", async () => {
  // A connection stayed open for each try: nobody had begun to read it, so the end of its request may not have reached it.
  await using docker = new DockerStandIn();
  docker.lie = (path) => path === "/events" ? undefined : new Response("no", { status: 500 });
  await using source = watching(docker);
  await waitFor(() => source.failures.length >= 3, { what: "three tries" });
  await source.stop();
  await waitFor(() => docker.streams === 0, { what: "the end of all streams" });
});

Deno.test("docker: a missing socket is a failure, and is looked for again", async () => {
  let host = "";
  {
    await using docker = new DockerStandIn();
    host = docker.host;
  }
  await using source = watching({ host });
  await source.fails(/docker\.sock: .*No such file or directory$/);
  assertEquals(source.lists, []);
});

Deno.test("docker: without a host in the settings, DOCKER_HOST says where the API is", async () => {
  await using docker = new DockerStandIn();
  docker.set("web-1", at("172.18.0.2"));
  const names = ["DOCKER_HOST", "DOCKER_TLS_VERIFY"] as const;
  const before = names.map((name) => Deno.env.get(name));
  const set = (name: string, value = "") => value === "" ? Deno.env.delete(name) : Deno.env.set(name, value);
  try {
    set("DOCKER_TLS_VERIFY");
    set("DOCKER_HOST", docker.host);
    await using source = watching({ host: null });
    await source.finds("http://172.18.0.2:8080");
    set("DOCKER_HOST", "ssh://somewhere");
    await using foreign = watching({ host: null });
    await foreign.fails(/^ssh:\/\/somewhere: want "unix:\/\/\/PATH" or "tcp:\/\/HOST:PORT" as DOCKER_HOST$/);
    set("DOCKER_HOST", "tcp://127.0.0.1:2376");
    set("DOCKER_TLS_VERIFY", "1");
    await using secured = watching({ host: null });
    await secured.fails(/DOCKER_TLS_VERIFY is set, but TLS to Docker's API is not supported$/);
  } finally {
    names.forEach((name, index) => set(name, before[index]));
  }
});

const LISTS: readonly (readonly [string, () => Response, RegExp])[] = [
  ["no JSON", () => new Response("<html>"), /got "<html>", want JSON$/],
  [
    "an error",
    () => Response.json({ message: "client version 1.24\nis too old" }, { status: 400 }),
    /got status 400: client version 1.24 is too old$/,
  ],
  ["a redirect", () => new Response("", { status: 301, headers: { location: "/x" } }), /got status 301$/],
  ["too many bytes", () => new Response("x".repeat(17 * 1024 * 1024)), /got more than 16777216 bytes/],
  [
    "another container",
    () => Response.json([entryOf("web-9", { ...at("172.18.0.9"), labels: {} })]),
    /got container "web-9", want only/,
  ],
];

Deno.test("docker: a list that can't be believed changes nothing, and the next one is asked for", async (test) => {
  for (const [name, answer, pattern] of LISTS) {
    await test.step(name, async () => {
      await using docker = new DockerStandIn();
      docker.set("web-1", at("172.18.0.2"));
      await using source = watching(docker);
      await source.finds("http://172.18.0.2:8080");
      await docker.isFollowed();
      docker.lie = (path) => path === "/containers/json" ? answer() : undefined;
      docker.start("web-2", at("172.18.0.3"));
      await source.fails(pattern);
      assertEquals(source.lists.at(-1), ["http://172.18.0.2:8080"]);
      docker.lie = () => undefined;
      await source.finds("http://172.18.0.2:8080", "http://172.18.0.3:8080");
    });
  }
});

Deno.test("docker: whatever the stream of events brings, the list stays right and changes go on", async (test) => {
  for (
    const line of ["<html>", "5", "{}", `{"Type": 5}`, `{"Actor": {"Attributes": []}}`, "x".repeat(2 * 1024 * 1024)]
  ) {
    await test.step(line.slice(0, 40), async () => {
      await using docker = new DockerStandIn();
      docker.set("web-1", at("172.18.0.2"));
      await using source = watching(docker);
      await source.finds("http://172.18.0.2:8080");
      await docker.isFollowed();
      docker.send(line);
      docker.set("web-2", at("172.18.0.3"));
      docker.dropStreams();
      await source.finds("http://172.18.0.2:8080", "http://172.18.0.3:8080");
      assert(source.lists.every((list) => list.length > 0));
    });
  }
});

Deno.test("docker: a source that is stopped leaves nothing behind, wherever it is", async () => {
  await using docker = new DockerStandIn();
  docker.isFrozen = true;
  {
    await using _ = watching(docker);
    await waitFor(() => docker.asked.length > 0, { what: "a request" });
  }
  docker.thaw();
  {
    await using source = watching(docker);
    await source.finds();
  }
  await waitFor(() => docker.streams === 0, { what: "the end of the stream" });
});

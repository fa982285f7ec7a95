// Sessions with one of several servers: whose turn it is, what counts as a failure, and how long the pauses are.

import { assertEquals, assertRejects } from "@std/assert";
import { LostError } from "../../../src/sources/json_lines.ts";
import { type HoldSession, keepSessions, together } from "../../../src/sources/sessions.ts";
import { pause } from "../../../src/net/pause.ts";
import { SourceError } from "../../../src/sources/source.ts";
import { ManualClock, settle } from "../../support/wait.ts";

/** Keeps sessions until a time is over. Returns who was tried when, in milliseconds, and what failed. */
async function tried(servers: readonly string[], ms: number, hold: HoldSession, clock = new ManualClock()) {
  const begin = clock.now();
  const stop = new AbortController();
  const [turns, failures]: [string[], string[]] = [[], []];
  const report = { found: () => {}, failed: (error: string) => void failures.push(error) };
  const running = keepSessions((server, answered, stop) => {
    turns.push(`${server} ${clock.now() - begin}`);
    return hold(server, answered, stop);
  }, { servers, clock, random: () => 0.5, report, stop: stop.signal });
  await clock.advance(ms);
  stop.abort();
  await running;
  assertEquals(clock.pending, 0);
  return { turns, failures };
}

const refuse: HoldSession = () => Promise.reject(new SourceError("no"));

Deno.test("keepSessions() tries each server at once, reports when all have failed, and pauses longer and longer", async () => {
  const { turns, failures } = await tried(["a", "b"], 2000, refuse);
  assertEquals(turns, ["a 0", "b 0", "a 250", "b 750", "a 1750"]);
  assertEquals(failures, ["b: no", "a: no", "b: no", "a: no"]);
});

Deno.test("keepSessions() goes back to a server whose session was lost, and reports nothing", async () => {
  const { turns, failures } = await tried(["a", "b"], 1000, (_, answered) => {
    answered();
    return Promise.reject(new LostError("cut"));
  });
  assertEquals([turns, failures], [["a 0", "a 250", "a 750"], []]);
});

Deno.test("keepSessions() goes on to the next server when one fails within a session", async () => {
  const { turns, failures } = await tried(["a", "b"], 240, async (server, answered, stop) => {
    answered();
    if (server === "a") throw new SourceError("garbage");
    return await new Promise<never>((_, reject) => stop.addEventListener("abort", () => reject(new Error("stopped"))));
  });
  assertEquals([turns, failures], [["a 0", "b 0"], []]);
});

Deno.test("keepSessions() pauses between servers that all answer and then fail", async () => {
  // Each first answer made the failures begin anew, so that the servers were tried in turn without any pause.
  const { turns, failures } = await tried(["a", "b"], 1000, (_, answered) => {
    answered();
    return Promise.reject(new SourceError("no watch"));
  });
  assertEquals(turns, ["a 0", "b 0", "a 250", "b 750"]);
  assertEquals(failures, ["b: no watch", "a: no watch", "b: no watch"]);
});

Deno.test("keepSessions() takes the failure after a session that lasted as the first one", async () => {
  const clock = new ManualClock();
  let sessions = 0;
  const { turns, failures } = await tried(["a", "b"], 20_000, async (_, answered, stop) => {
    if (++sessions === 5) {
      answered();
      await pause(10_000, clock, stop);
    }
    throw new SourceError("no");
  }, clock);
  assertEquals(turns, [
    "a 0",
    "b 0",
    "a 250",
    "b 750",
    "a 1750",
    "b 11750",
    "a 12000",
    "b 12500",
    "a 13500",
    "b 15500",
    "a 19500",
  ]);
  assertEquals(failures.length, 9, "all but the first of each row");
});

Deno.test("keepSessions() counts a session that was lost before any list as a failure", async () => {
  const { failures } = await tried(["a"], 100, () => Promise.reject(new LostError("cut")));
  assertEquals(failures, ["a: cut"]);
});

Deno.test("keepSessions() reports whatever is thrown on one line, and never rejects", async () => {
  const { failures } = await tried(["a"], 100, () => {
    throw new TypeError("a bug\nat line 5");
  });
  assertEquals(failures, ["a: a bug at line 5"]);
});

Deno.test("together() stops all tasks when one ends, and gives the first error", async () => {
  const ended: string[] = [];
  const until = (name: string) => (stop: AbortSignal) =>
    new Promise<never>((_, reject) =>
      stop.addEventListener("abort", () => {
        ended.push(name);
        reject(new Error(name));
      })
    );
  const fails = async () => {
    await settle();
    throw new Error("first");
  };
  await assertRejects(() => together(new AbortController().signal, [until("a"), fails, until("b")]), Error, "first");
  assertEquals(ended, ["a", "b"]);
  const stop = new AbortController();
  const all = together(stop.signal, [until("c"), until("d")]);
  stop.abort();
  await assertRejects(() => all, Error, "c");
});

// The dashboard's event stream over several connections.

import { assert, assertEquals } from "@std/assert";
import { ApiError } from "../../../../src/admin/dashboard/api.js";
import { Live } from "../../../../src/admin/dashboard/live.js";
import { settle, waitFor } from "../../../support/wait.ts";

/** A stream on which nothing comes, and which ends as `fetch` has it: by its signal. */
const WAITING = Symbol("waiting");

/** A `Live` whose connections are answered in turn: by a text that ends, an error, or a stream that waits. */
function live(...answers: (string | Error | typeof WAITING)[]) {
  const ids: string[] = [];
  const signals: AbortSignal[] = [];
  const events: string[] = [];
  const losses: string[] = [];
  const live = new Live({
    open: (id, signal) => {
      ids.push(id);
      signals.push(signal);
      const answer = answers.shift() ?? new Error("asked once more than planned");
      if (answer instanceof Error) return Promise.reject(answer);
      return Promise.resolve(typeof answer === "string" ? new Blob([answer]).stream() : waiting(signal));
    },
    onEvent: ({ type, data }) => events.push(`${type} ${data}`),
    onLost: (reason) => losses.push(reason),
  });
  return { live, ids, signals, events, losses };
}

function waiting(signal: AbortSignal): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start: (controller) => signal.addEventListener("abort", () => controller.error(signal.reason)),
  });
}

Deno.test("Live asks for all that is remembered, then for what came after the last event it saw", async () => {
  const { live: stream, ids, events, losses } = live(
    "id: p-7\nevent: reload\ndata: {}\n\nevent: stats\ndata: 1\n\n",
    WAITING,
  );
  stream.start();
  await waitFor(() => losses.length === 1, { what: "the end of the first stream" });
  stream.hurry();
  await waitFor(() => ids.length === 2, { what: "the second stream" });
  assertEquals(ids, ["0", "p-7"]);
  assertEquals(events, ["reload {}", "stats 1"]);
  assertEquals(losses, ["the connection to roundhouse was lost"]);
  stream.stop();
  await settle();
});

Deno.test("Live says what the server says, and tries again by itself", async () => {
  const { live: stream, ids, losses } = live(new ApiError("100 event streams are open", 503), WAITING);
  stream.start();
  await waitFor(() => ids.length === 2, { what: "the second try" });
  assertEquals(losses, ["100 event streams are open"]);
  stream.stop();
  await settle();
});

Deno.test("Live leaves a 401 to who asks for the token, and goes on when it is started again", async () => {
  const { live: stream, ids, losses } = live("id: p-1\ndata: x\n\n", new ApiError("no", 401), WAITING);
  stream.start();
  await waitFor(() => losses.length === 1, { what: "the end of the first stream" });
  stream.hurry();
  await waitFor(() => ids.length === 2, { what: "the refusal" });
  await settle();
  stream.hurry(); // there is nothing to hurry
  await settle();
  assertEquals([ids.length, losses.length], [2, 1]);
  stream.start();
  await waitFor(() => ids.length === 3, { what: "the third stream" });
  assertEquals(ids.at(-1), "p-1");
  stream.stop();
  await settle();
});

Deno.test("Live.stop() gives up the connection, and is no loss", async () => {
  const { live: stream, signals, losses } = live(WAITING);
  stream.start();
  await waitFor(() => signals.length === 1, { what: "the stream" });
  stream.stop();
  assert(signals[0]?.aborted);
  await settle();
  assertEquals(losses, []);
});

// One JSON value a line, from a server that may be slow, lie, or never end.

import { assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { jsonLines, type JsonLinesLimits, LostError } from "../../../src/sources/json_lines.ts";
import { SourceError } from "../../../src/sources/source.ts";
import { readJson } from "../../../src/sources/text_buffer.ts";
import { ManualClock, settle } from "../../support/wait.ts";

const NEVER = new AbortController().signal;
const LIMITS = { maxLineBytes: 1000, maxBytes: 100_000, silenceMs: 5000 };

/** A body that sends these chunks, and then ends, unless `end` is false. */
function bodyOf(chunks: readonly (string | Uint8Array)[], { end = true, cancelled = () => {} } = {}) {
  const left = [...chunks];
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = left.shift();
      if (chunk !== undefined) controller.enqueue(typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk);
      else if (end) controller.close();
    },
    cancel: cancelled,
  });
}

async function valuesOf(body: ReadableStream<Uint8Array>, limits: Partial<JsonLinesLimits> = {}): Promise<unknown[]> {
  return await Array.fromAsync(jsonLines(body, { ...LIMITS, clock: new ManualClock(), stop: NEVER, ...limits }));
}

Deno.test("jsonLines() yields the same values however the bytes are cut", async () => {
  const value = fc.jsonValue().filter((value) => JSON.stringify(value).length < 300);
  await fc.assert(
    fc.asyncProperty(fc.array(value, { maxLength: 8 }), fc.infiniteStream(fc.nat(40)), async (values, cuts) => {
      const lines = values.map((value) => JSON.stringify(value));
      const bytes = new TextEncoder().encode(lines.map((line, at) => line + (at % 2 === 0 ? "\n" : "\r\n\n")).join(""));
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += chunks.at(-1)?.length ?? 0) {
        chunks.push(bytes.slice(at, at + 1 + (cuts.next().value ?? 0)));
      }
      assertEquals(await valuesOf(bodyOf(chunks)), lines.map((line) => JSON.parse(line)));
    }),
    { numRuns: 50 },
  );
});

Deno.test("jsonLines() says what it can't read", async () => {
  const wrong: [readonly (string | Uint8Array)[], string][] = [
    [[`{"a":1}\n<html>`, "\n"], 'got "<html>", want JSON'],
    [[`{"a":1}\n{"a"`], "the response ended within a line"],
    [[`"${"x".repeat(2000)}`], "got more than 1000 bytes as a line"],
    [Array.from({ length: 2000 }, () => "x"), "got more than 1000 bytes as a line"],
    [[new Uint8Array([0x22, 0xff, 0x22, 0x0a])], "got bytes that are not UTF-8 in a line"],
  ];
  for (const [chunks, message] of wrong) {
    await assertRejects(() => valuesOf(bodyOf(chunks)), SourceError, message);
  }
  const endless = bodyOf(Array.from({ length: 1000 }, () => "1\n".repeat(100)));
  await assertRejects(() => valuesOf(endless), SourceError, "got more than 100000 bytes");
});

Deno.test("jsonLines() gives up a body that is silent, and leaves no timer", async () => {
  // A watch whose connection had died stayed open for ever, and its backends never changed again.
  const clock = new ManualClock();
  let cancelled = false;
  const body = bodyOf(["1\n", "2\n"], { end: false, cancelled: () => cancelled = true });
  const reading = assertRejects(() => valuesOf(body, { clock }), LostError, "nothing has arrived for 5 s");
  await settle();
  assertEquals(clock.pending, 1);
  await clock.advance(4999);
  assertEquals(cancelled, false);
  await clock.advance(1);
  await reading;
  assertEquals([cancelled, clock.pending], [true, 0]);
});

Deno.test("jsonLines() cancels the body when the loop is left, and says when the connection is lost", async () => {
  let cancelled = false;
  const body = bodyOf(["1\n2\n"], { end: false, cancelled: () => cancelled = true });
  for await (const value of jsonLines(body, { ...LIMITS, clock: new ManualClock(), stop: NEVER })) {
    assertEquals(value, 1);
    break;
  }
  assertEquals(cancelled, true);
  const lost = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new TypeError("gone")) });
  await assertRejects(() => valuesOf(lost), LostError, "the connection was lost: gone");
});

Deno.test("jsonLines() and readJson() end when they are stopped, although nothing arrives", async () => {
  // The signal of a request did not reach the body of a response that nothing referred to any more.
  const stopping = new AbortController();
  const stopped = [
    valuesOf(bodyOf(["1\n"], { end: false }), { stop: stopping.signal }),
    readJson(bodyOf(["["], { end: false }), 100, stopping.signal),
  ].map((reading) => assertRejects(() => reading, Error, "enough"));
  await settle();
  stopping.abort(new Error("enough"));
  await Promise.all(stopped);
  await assertRejects(() => readJson(bodyOf(["[]"]), 100, stopping.signal), Error, "enough");
});

Deno.test("readJson() reads one value, and no more bytes than it may", async () => {
  assertEquals(await readJson(bodyOf([`[1,`, `"é"]\n`]), 100, NEVER), [1, "é"]);
  await assertRejects(
    () => readJson(bodyOf(["[", "1".repeat(100)]), 100, NEVER),
    SourceError,
    "got more than 100 bytes",
  );
  await assertRejects(() => readJson(bodyOf(["[1,"]), 100, NEVER), SourceError, 'got "[1,", want JSON');
  await assertRejects(() => readJson(null, 100, NEVER), SourceError, 'got "", want JSON');
});

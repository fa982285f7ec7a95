import { assert, assertEquals, assertRejects } from "@std/assert";
import { brokenBody, gather } from "../../../../src/engines/fetch/gather.ts";
import { fed } from "../../../support/fed_stream.ts";
import { settle } from "../../../support/wait.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

async function textOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  return await new Response(stream).text();
}

Deno.test("gather() gives what ends soon in one piece", async () => {
  for (const parts of [[], ["all"], ["al", "l"], ["x".repeat(65_536)]]) {
    const body = fed();
    for (const part of parts) body.push(bytes(part));
    body.end();
    const settled = await gather(body.stream, 50);
    assert(settled instanceof Uint8Array);
    assertEquals(new TextDecoder().decode(settled), parts.join(""));
  }
});

Deno.test("gather() rejects what breaks off soon", async () => {
  const body = fed();
  body.push(bytes("half"));
  const settled = gather(body.stream, 50);
  await settle();
  body.fail();
  await assertRejects(() => settled, Error, "broken off");
});

Deno.test("gather() streams what is long or takes its time, without losing any of it", async () => {
  const long = fed();
  const half = "x".repeat(40_000);
  long.push(bytes(half));
  long.push(bytes(half));
  const streamed = await gather(long.stream, 50);
  assert(streamed instanceof ReadableStream);
  long.push(bytes("end"));
  long.end();
  assertEquals(await textOf(streamed), `${half}${half}end`);

  const slow = fed();
  slow.push(bytes("a"));
  const resumed = await gather(slow.stream, 50);
  assert(resumed instanceof ReadableStream);
  slow.push(bytes("b"));
  slow.push(bytes("c"));
  slow.end();
  assertEquals(await textOf(resumed), "abc");

  const left = fed();
  const unwanted = await gather(left.stream, 50);
  assert(unwanted instanceof ReadableStream);
  await unwanted.cancel();
  assertEquals(left.cancelled, true);
});

Deno.test("gather() streams what breaks off later, and its error", async () => {
  const body = fed();
  body.push(bytes("half"));
  const streamed = await gather(body.stream, 10);
  assert(streamed instanceof ReadableStream);
  body.fail();
  await assertRejects(() => textOf(streamed), Error, "broken off");
});

Deno.test("brokenBody() fails with what went wrong", async () => {
  await assertRejects(() => textOf(brokenBody(new TypeError("reset"))), TypeError, "reset");
});

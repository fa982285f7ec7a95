import { assert, assertEquals, assertRejects } from "@std/assert";
import { relayBesideUpload, settleEarly } from "../../../../src/engines/fetch/early_response.ts";
import { RequestBody } from "../../../../src/engines/fetch/request_body.ts";
import { settle } from "../../../support/wait.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const bytes = (text: string): Bytes => new TextEncoder().encode(text);

/** A stream that a test feeds. */
function fed<Chunk = Bytes>() {
  let controller: ReadableStreamDefaultController<Chunk> | undefined;
  let cancelled = false;
  const stream = new ReadableStream<Chunk>({
    start: (given) => void (controller = given),
    cancel: () => void (cancelled = true),
  });
  return {
    stream,
    get cancelled() {
      return cancelled;
    },
    push: (chunk: Chunk) => controller?.enqueue(chunk),
    end: () => controller?.close(),
    fail: () => controller?.error(new Error("broken off")),
  };
}

async function textOf(stream: ReadableStream<Bytes>): Promise<string> {
  return await new Response(stream).text();
}

Deno.test("settleEarly() gives what ends soon in one piece", async () => {
  for (const parts of [[], ["all"], ["al", "l"], ["x".repeat(65_536)]]) {
    const body = fed();
    for (const part of parts) body.push(bytes(part));
    body.end();
    const settled = await settleEarly(body.stream);
    assert(settled instanceof Uint8Array);
    assertEquals(new TextDecoder().decode(settled), parts.join(""));
  }
});

Deno.test("settleEarly() rejects what breaks off soon", async () => {
  const body = fed();
  body.push(bytes("half"));
  const settled = settleEarly(body.stream);
  await settle();
  body.fail();
  await assertRejects(() => settled, Error, "broken off");
});

Deno.test("settleEarly() streams what is long or takes its time, without losing any of it", async () => {
  const long = fed();
  const half = "x".repeat(40_000);
  long.push(bytes(half));
  long.push(bytes(half));
  const streamed = await settleEarly(long.stream);
  assert(streamed instanceof ReadableStream);
  long.push(bytes("end"));
  long.end();
  assertEquals(await textOf(streamed), `${half}${half}end`);

  const slow = fed();
  slow.push(bytes("a"));
  const resumed = await settleEarly(slow.stream);
  assert(resumed instanceof ReadableStream);
  slow.push(bytes("b"));
  slow.push(bytes("c"));
  slow.end();
  assertEquals(await textOf(resumed), "abc");

  const left = fed();
  const unwanted = await settleEarly(left.stream);
  assert(unwanted instanceof ReadableStream);
  await unwanted.cancel();
  assertEquals(left.cancelled, true);
});

Deno.test("relayBesideUpload() cuts the response only once no read of the upload is under way", async () => {
  // Cut before, the runtime left the client's socket open for ever.
  const client = fed();
  const upload = new RequestBody(client.stream, Infinity, { bodyEnded: () => {} });
  const backend = fed();
  const relayed = relayBesideUpload(backend.stream, upload).getReader();
  const toBackend = upload.stream().getReader();
  const sent = toBackend.read();
  sent.catch(() => {});
  backend.push(bytes("half"));
  assertEquals((await relayed.read()).value, bytes("half"));
  backend.fail();
  let cut = false;
  const end = relayed.read().catch(() => cut = true);
  await settle();
  assertEquals([cut, client.cancelled], [false, false]);
  client.push(bytes("more"));
  await end;
  assertEquals([cut, client.cancelled], [true, true]);
  await assertRejects(() => sent, Error, "given up");
  await assertRejects(() => toBackend.read(), Error, "given up");
});

Deno.test("relayBesideUpload() gives the upload up when the response has ended or its client has left", async () => {
  for (const how of ["end", "leave"]) {
    const client = fed();
    const upload = new RequestBody(client.stream, Infinity, { bodyEnded: () => {} });
    const backend = fed();
    const relayed = relayBesideUpload(backend.stream, upload).getReader();
    const sent = upload.stream().getReader().read();
    sent.catch(() => {});
    if (how === "end") {
      backend.end();
      assertEquals((await relayed.read()).done, true);
    } else {
      await relayed.cancel();
      assertEquals(backend.cancelled, true);
    }
    assertEquals(client.cancelled, true);
    await assertRejects(() => sent, Error, "given up");
  }
});

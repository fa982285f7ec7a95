import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import fc from "fast-check";
import { ChunkReader } from "../../../../src/engines/fetch/chunk_reader.ts";
import { RequestBody } from "../../../../src/engines/fetch/request_body.ts";

/** Of a body whose length no header says. */
function outgoing(body: RequestBody, maxBytes = Infinity): ReadableStream<Uint8Array<ArrayBuffer>> {
  const stream = body.outgoing(maxBytes);
  assert(stream instanceof ReadableStream);
  return stream;
}

function source(chunks: readonly number[][], failAtEnd = false): ReadableStream<Uint8Array<ArrayBuffer>> {
  const left = chunks.map((chunk) => Uint8Array.from(chunk));
  return new ReadableStream({
    pull(controller) {
      const chunk = left.shift();
      if (chunk !== undefined) controller.enqueue(chunk);
      else if (failAtEnd) controller.error(new TypeError("the client left"));
      else controller.close();
    },
  }, { highWaterMark: 0 });
}

function bodyOf(chunks: readonly number[][], failAtEnd = false) {
  const ends: string[] = [];
  const body = new RequestBody(new ChunkReader(source(chunks, failAtEnd)), undefined, {
    bodyEnded: () => ends.push("ended"),
  });
  return { body, ends };
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<number[]> {
  return (await Array.fromAsync(stream)).flatMap((chunk) => [...chunk]);
}

Deno.test("RequestBody hands out the whole body, and again after attempts that read only ahead", async () => {
  const chunks = fc.array(fc.array(fc.nat(255), { minLength: 1, maxLength: 5 }), { maxLength: 6 });
  await fc.assert(fc.asyncProperty(chunks, fc.array(fc.nat(7), { maxLength: 4 }), async (chunks, readsBefore) => {
    const { body, ends } = bodyOf(chunks);
    for (const reads of readsBefore) {
      const reader = outgoing(body).getReader();
      for (let read = 0; read < reads; read++) await reader.read();
      await reader.cancel();
    }
    assertEquals(await readAll(outgoing(body)), chunks.flat());
    assertEquals([body.replayable, ends], [true, ["ended"]]);
  }));
});

Deno.test("RequestBody forgets what it handed out once more is asked for than fetch reads ahead", async () => {
  for (const [size, readAhead] of [[1000, 67], [16_384, 5], [65_536, 2], [200_000, 2]] as const) {
    const chunk = new Array<number>(size).fill(7);
    const { body } = bodyOf(new Array<number[]>(readAhead + 4).fill(chunk));
    const reader = outgoing(body).getReader();
    for (let read = 0; read < readAhead; read++) await reader.read();
    assertEquals(body.replayable, true, `${size}`);
    for (let read = 0; read < 3; read++) await reader.read();
    assertEquals(body.replayable, false, `${size}`);
    assertEquals((await reader.read()).value?.length, size);
  }
});

Deno.test("RequestBody gives a chunk that an abandoned attempt was waiting for to the next one", async () => {
  const { body } = bodyOf([[1], [2], [3]]);
  const abandoned = outgoing(body).getReader();
  const waiting = abandoned.read();
  const next = outgoing(body);
  await waiting;
  assertEquals(await readAll(next), [1, 2, 3]);
});

Deno.test("RequestBody says that the client failed, not the backend", async () => {
  const { body, ends } = bodyOf([[1]], true);
  await assertRejects(() => readAll(outgoing(body)), TypeError, "the client left");
  assertEquals([body.clientGone, body.malformed, ends.length], [true, false, 1]);
});

Deno.test("RequestBody fails once more arrives than is allowed, and not before", async () => {
  const bodyOfFour = () =>
    new RequestBody(new ChunkReader(source([[1, 2], [3], [4]])), undefined, {
      bodyEnded: () => {},
    });
  assertEquals(await readAll(outgoing(bodyOfFour(), 4)), [1, 2, 3, 4]);
  const body = bodyOfFour();
  await assertRejects(() => readAll(outgoing(body, 3)), Error, "larger than allowed");
  assertEquals([body.tooLarge, body.clientGone], [true, false]);
});

Deno.test("RequestBody of known length goes out with it, each time", async () => {
  const body = new RequestBody(new ChunkReader(source([[1, 2], [3]])), 3, {
    bodyEnded: () => {},
  });
  for (let attempt = 0; attempt < 2; attempt++) {
    const sized = body.outgoing(Infinity);
    assert(sized instanceof Blob);
    assertEquals([sized.size, sized.type, await readAll(sized.stream())], [3, "", [1, 2, 3]]);
  }
});

Deno.test("RequestBody holds no more memory than the bytes that it keeps", async () => {
  // Each read of the runtime has a buffer of 64 KiB: whoever sent 30,000 chunks of one byte took 1.4 GB from the proxy.
  const buffers: ArrayBufferLike[] = [];
  const chunk = () => new Uint8Array(65_536).subarray(0, 1);
  const tiny = new ReadableStream({ pull: (controller) => controller.enqueue(chunk()) }, { highWaterMark: 0 });
  const body = new RequestBody(new ChunkReader(tiny), undefined, {
    bodyEnded: () => {},
  });
  const reader = outgoing(body).getReader();
  for (let read = 0; read < 100; read++) buffers.push((await reader.read()).value?.buffer ?? new ArrayBuffer());
  assertLess([...new Set(buffers)].reduce((sum, { byteLength }) => sum + byteLength, 0), 65_536);
  assertEquals(body.replayable, true);
});

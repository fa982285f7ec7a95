import { assert, assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import fc from "fast-check";
import { ChunkReader, Compactor } from "../../../../src/engines/fetch/chunk_reader.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** As the runtime hands chunks out: each in a buffer of 64 KiB. */
function inLargeBuffer(bytes: readonly number[]): Bytes {
  const chunk = new Uint8Array(65_536).subarray(0, bytes.length);
  chunk.set(bytes);
  return chunk;
}

/** With a buffer of the reader's, as the runtime's streams do, or with buffers of its own. */
function source(chunks: readonly number[][], type: "bytes" | undefined): ReadableStream<Bytes> {
  const left = [...chunks];
  if (type === undefined) {
    return new ReadableStream({
      pull(controller) {
        const next = left.shift();
        if (next === undefined) controller.close();
        else controller.enqueue(inLargeBuffer(next));
      },
    }, { highWaterMark: 0 });
  }
  return new ReadableStream({
    type,
    pull(controller) {
      const request = controller.byobRequest;
      assert(request?.view);
      const next = left.shift();
      if (next === undefined) {
        controller.close();
        return request.respond(0);
      }
      new Uint8Array(request.view.buffer, request.view.byteOffset).set(next);
      request.respond(next.length);
    },
  });
}

async function readAll(reader: ChunkReader): Promise<Bytes[]> {
  const chunks: Bytes[] = [];
  for (let chunk = await reader.read(); chunk !== undefined; chunk = await reader.read()) chunks.push(chunk);
  return chunks;
}

Deno.test("ChunkReader reads what there is, and overwrites nothing that it has handed out", async () => {
  const chunks = fc.array(fc.array(fc.nat(255), { minLength: 1, maxLength: 2000 }), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(chunks, fc.constantFrom("bytes" as const, undefined), async (chunks, type) => {
      const read = await readAll(new ChunkReader(source(chunks, type)));
      assertEquals(read.map((chunk) => [...chunk]), chunks);
    }),
    { numRuns: 50 },
  );
});

Deno.test("Compactor gives chunks memory of about their size, and leaves large ones where they are", () => {
  const compactor = new Compactor();
  const buffers = new Set<ArrayBuffer>();
  for (let chunk = 0; chunk < 20_000; chunk++) buffers.add(compactor.compact(inLargeBuffer([7])).buffer);
  for (let chunk = 0; chunk < 10; chunk++) buffers.add(compactor.compact(inLargeBuffer(Array(5000).fill(7))).buffer);
  let held = 0;
  for (const { byteLength } of buffers) held += byteLength;
  assertLessOrEqual(held, 20_000 + 10 * 5000 + 16_384);
  const large = inLargeBuffer(Array(60_000).fill(7));
  assertEquals(compactor.compact(large), large);
});

Deno.test("ChunkReader gives up what is left", async () => {
  for (const type of ["bytes", undefined] as const) {
    const { promise: cancelled, resolve } = Promise.withResolvers<unknown>();
    const reader = new ChunkReader(new ReadableStream({ ...(type && { type }), cancel: resolve } as UnderlyingSource));
    await reader.cancel("enough");
    assertEquals(await cancelled, "enough");
  }
});

// Each POST made a buffer of 64 KiB for its body, however short, and another one to be told that nothing follows.
Deno.test("ChunkReader has no larger buffer than what can follow", async () => {
  const sizes: number[] = [];
  const chunks = [[1, 2, 3], [4]];
  const stream = new ReadableStream({
    type: "bytes",
    pull({ byobRequest: request }) {
      assert(request?.view);
      sizes.push(request.view.byteLength);
      const next = chunks.shift();
      new Uint8Array(request.view.buffer).set(next ?? []);
      if (next === undefined) throw new Error("broken off");
      request.respond(next.length);
    },
  });
  const reader = new ChunkReader(stream);
  let missing = 4;
  for (let read = 0; read < 2; read++) missing -= (await reader.read(missing))?.length ?? 0;
  await assertRejects(() => reader.read(missing), Error, "broken off");
  assertEquals(sizes, [4, 1, 1]);
});

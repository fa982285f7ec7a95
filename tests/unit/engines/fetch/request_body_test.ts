import { assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { RequestBody } from "../../../../src/engines/fetch/request_body.ts";

function source(chunks: readonly number[][], failAtEnd = false): ReadableStream<Uint8Array> {
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
  const body = new RequestBody(source(chunks, failAtEnd), { bodyEnded: () => ends.push("ended") });
  return { body, ends };
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<number[]> {
  return (await Array.fromAsync(stream)).flatMap((chunk) => [...chunk]);
}

Deno.test("RequestBody hands out the whole body, and again while fewer than three chunks were asked for", async () => {
  const chunks = fc.array(fc.array(fc.nat(255), { minLength: 1, maxLength: 5 }), { maxLength: 6 });
  await fc.assert(fc.asyncProperty(chunks, fc.array(fc.nat(2), { maxLength: 4 }), async (chunks, readsBefore) => {
    const { body, ends } = bodyOf(chunks);
    for (const reads of readsBefore) {
      const reader = body.stream().getReader();
      for (let read = 0; read < reads; read++) await reader.read();
      await reader.cancel();
      assertEquals(body.replayable, true);
    }
    assertEquals(await readAll(body.stream()), chunks.flat());
    assertEquals(body.replayable, chunks.length < 2);
    assertEquals(ends, ["ended"]);
  }));
});

Deno.test("RequestBody gives a chunk that an abandoned attempt was waiting for to the next one", async () => {
  const { body } = bodyOf([[1], [2], [3]]);
  const abandoned = body.stream().getReader();
  const waiting = abandoned.read();
  const next = body.stream();
  await waiting;
  assertEquals(await readAll(next), [1, 2, 3]);
});

Deno.test("RequestBody says that the client failed, not the backend", async () => {
  const { body, ends } = bodyOf([[1]], true);
  await assertRejects(() => readAll(body.stream()), TypeError, "the client left");
  assertEquals([body.failed, ends.length], [true, 1]);
});

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
  const body = new RequestBody(source(chunks, failAtEnd), 1e9, { bodyEnded: () => ends.push("ended") });
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
      const reader = body.stream().getReader();
      for (let read = 0; read < reads; read++) await reader.read();
      await reader.cancel();
    }
    assertEquals(await readAll(body.stream()), chunks.flat());
    assertEquals([body.replayable, ends], [true, ["ended"]]);
  }));
});

Deno.test("RequestBody forgets what it handed out once more is asked for than fetch reads ahead", async () => {
  for (const [size, readAhead] of [[1000, 67], [16_384, 5], [65_536, 2], [200_000, 2]] as const) {
    const chunk = new Array<number>(size).fill(7);
    const { body } = bodyOf(new Array<number[]>(readAhead + 4).fill(chunk));
    const reader = body.stream().getReader();
    for (let read = 0; read < readAhead; read++) await reader.read();
    assertEquals(body.replayable, true, `${size}`);
    for (let read = 0; read < 3; read++) await reader.read();
    assertEquals(body.replayable, false, `${size}`);
    assertEquals((await reader.read()).value?.length, size);
  }
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
  assertEquals([body.clientGone, body.malformed, ends.length], [true, false, 1]);
});

Deno.test("RequestBody fails once more arrives than is allowed, and not before", async () => {
  const bodyOfSize = (maxBytes: number) =>
    new RequestBody(source([[1, 2], [3], [4]]), maxBytes, { bodyEnded: () => {} });
  assertEquals(await readAll(bodyOfSize(4).stream()), [1, 2, 3, 4]);
  const body = bodyOfSize(3);
  await assertRejects(() => readAll(body.stream()), Error, "larger than allowed");
  assertEquals([body.tooLarge, body.clientGone], [true, false]);
});

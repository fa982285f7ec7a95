import { Buffer } from "node:buffer";
import { assert, assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import fc from "fast-check";
import { ChunksTooSmall, DrainingReader } from "../../../../src/engines/fetch/draining_reader.ts";
import { UploadPace } from "../../../../src/engines/fetch/upload_pace.ts";
import { Pace } from "../../../../src/net/pace.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Gives these chunks as the runtime does, as far as each fits what is asked for; then ends, or fails. */
function source(
  chunks: readonly number[][],
  { failure, beforeEach }: { failure?: Error; beforeEach?: () => void | Promise<void> | undefined } = {},
): ReadableStreamBYOBReader {
  const left = chunks.map((chunk) => Uint8Array.from(chunk));
  const stream = new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const request = controller.byobRequest;
      assert(request?.view);
      await beforeEach?.();
      const next = left[0];
      if (next === undefined) {
        if (failure !== undefined) return controller.error(failure);
        controller.close();
        return request.respond(0);
      }
      const part = next.subarray(0, request.view.byteLength);
      if (part.length === next.length) left.shift();
      else left[0] = next.subarray(part.length);
      new Uint8Array(request.view.buffer, request.view.byteOffset).set(part);
      request.respond(part.length);
    },
  });
  return stream.getReader({ mode: "byob" });
}

async function readAll(reader: DrainingReader): Promise<Bytes[]> {
  const blocks: Bytes[] = [];
  for (let block = await reader.read(); block !== undefined; block = await reader.read()) blocks.push(block);
  return blocks;
}

Deno.test("DrainingReader reads all that there is in few blocks, and overwrites nothing that it has handed out", async () => {
  using pace = new UploadPace(new Pace(undefined));
  const chunks = fc.array(fc.array(fc.nat(255), { minLength: 1, maxLength: 9000 }), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(chunks, fc.boolean(), async (chunks, secure) => {
      const blocks = await readAll(new DrainingReader(source(chunks), pace, secure));
      const bytes = chunks.flat();
      assertEquals(blocks.flatMap((block) => [...block]), bytes);
      if (!secure) assertLessOrEqual(blocks.length, Math.ceil(bytes.length / 32_768) + 1);
    }),
    { numRuns: 50 },
  );
});

Deno.test("DrainingReader takes chunks that are larger than its blocks", async () => {
  // Over TLS its view grew to more than a block, which could not hold what one read gave: the program ended.
  using pace = new UploadPace(new Pace(undefined));
  const chunks = [100_000, 5, 200_000, 65_536, 65_568, 65_600].map((length, index) => Array(length).fill(index));
  for (const secure of [false, true]) {
    const blocks = await readAll(new DrainingReader(source(chunks), pace, secure));
    assertEquals(Buffer.concat(blocks).equals(Buffer.from(chunks.flat())), true);
  }
});

Deno.test("DrainingReader hands out what has come without waiting for more", async () => {
  using pace = new UploadPace(new Pace(undefined));
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
  const waiting = [...gates];
  const gated = new DrainingReader(source([[1], [2]], { beforeEach: () => waiting.shift()?.promise }), pace, false);
  gates[0].resolve();
  assertEquals(await gated.read(), Uint8Array.of(1));
  const second = gated.read();
  gates[1].resolve();
  assertEquals(await second, Uint8Array.of(2));
  assertEquals(await gated.read(), undefined);
});

// Such a body ended in a TypeError, which was taken for a client that had left: one upload in fifty whose trailers came in
// pieces got 499, and its backend a request that broke off.
Deno.test("DrainingReader knows the end of a body that came while it paused", async () => {
  const end = Promise.withResolvers<void>();
  const pauses = [undefined, Promise.withResolvers<void>()] as const;
  const waiting = [...pauses];
  const relays = new class extends Pace {
    override pause(): Promise<void> | undefined {
      return waiting.shift()?.promise;
    }
  }(undefined);
  using pace = new UploadPace(relays);
  let reads = 0;
  const beforeEach = () => reads++ === 0 ? undefined : end.promise;
  const reader = new DrainingReader(source([[1]], { beforeEach }), pace, false);
  assertEquals(await reader.read(), Uint8Array.of(1));
  const rest = reader.read();
  end.resolve();
  await new Promise((resolve) => setTimeout(resolve, 0));
  pauses[1].resolve();
  assertEquals(await rest, undefined);
});

Deno.test("DrainingReader fails behind what came before the failure, and each time", async () => {
  using pace = new UploadPace(new Pace(undefined));
  const reader = new DrainingReader(source([[1], [2]], { failure: new Error("broken off") }), pace, false);
  assertEquals(await reader.read(), Uint8Array.of(1, 2));
  for (let time = 0; time < 2; time++) await assertRejects(() => reader.read(), Error, "broken off");
});

Deno.test("DrainingReader gives up a body whose small chunks take ever longer, and no other", async () => {
  using pace = new UploadPace(new Pace(undefined));
  // A busy machine would be slow with any chunks.
  const { now } = performance;
  using _real = { [Symbol.dispose]: () => void (performance.now = now) };
  let elapsedMs = 0;
  performance.now = () => elapsedMs;
  const slow = (ms: number) => () => void (elapsedMs += ms);
  const tiny = Array<number[]>(600).fill([7]);
  const lost = new DrainingReader(source(tiny, { beforeEach: slow(0.2) }), pace, false);
  await assertRejects(() => readAll(lost), ChunksTooSmall);
  const large = Array<number[]>(600).fill(Array<number>(4000).fill(7));
  assertEquals(
    (await readAll(new DrainingReader(source(large, { beforeEach: slow(0.2) }), pace, false))).length > 0,
    true,
  );
});

Deno.test("DrainingReader lets no body hold the isolate for most of a second", async () => {
  // The limit was 1.5 s: beside uploads of chunks of one byte, other clients waited for more than a second.
  using pace = new UploadPace(new Pace(undefined));
  const beforeEach = () => {
    for (const until = performance.now() + 0.5; performance.now() < until;);
  };
  const chunks = Array<number[]>(600).fill(Array<number>(1500).fill(7)); // by the formula 0.83 s
  await assertRejects(() => readAll(new DrainingReader(source(chunks, { beforeEach }), pace, false)), ChunksTooSmall);
});

Deno.test("DrainingReader gives up what is left", async () => {
  using pace = new UploadPace(new Pace(undefined));
  const cancelled = Promise.withResolvers<unknown>();
  const stream = new ReadableStream<Bytes>({ type: "bytes", cancel: cancelled.resolve });
  await new DrainingReader(stream.getReader({ mode: "byob" }), pace, true).cancel("enough");
  assertEquals(await cancelled.promise, "enough");
});

const MANY = Array.from({ length: 6000 }, () => [1]);

/** Gives so many chunks in a turn that the next one is a long turn. */
function manyAtOnce(): ReadableStreamBYOBReader {
  let reads = 0;
  const beforeEach = () => ++reads % 1500 === 0 ? new Promise<void>((resolve) => setTimeout(resolve, 0)) : undefined;
  return source(MANY, { beforeEach });
}

Deno.test("DrainingReader: two uploads in small chunks have their long turns one after the other", async () => {
  // While one rested, the other one ran: a new client of the admin API waited for nearly two seconds.
  using pace = new UploadPace(new Pace(undefined));
  let [running, most] = [0, 0];
  const { longTurns } = pace;
  const [take, end] = [longTurns.take.bind(longTurns), longTurns.end.bind(longTurns)];
  longTurns.take = (begin) =>
    take(() => {
      most = Math.max(most, ++running);
      begin();
    });
  longTurns.end = (tookMs) => {
    running--;
    end(tookMs);
  };
  const uploads = [1, 2, 3].map(() => readAll(new DrainingReader(manyAtOnce(), pace, false)));
  for (const blocks of await Promise.all(uploads)) assertEquals(Buffer.concat(blocks).length, MANY.length);
  assertEquals([running, most], [0, 1]);
});

Deno.test("DrainingReader: a cancelled upload gives up its place", async () => {
  using pace = new UploadPace(new Pace(undefined));
  const reader = new DrainingReader(manyAtOnce(), pace, false);
  await reader.read();
  let isTurn = false;
  pace.longTurns.take(() => isTurn = true);
  assertEquals(isTurn, true); // and it lasts
  const waiting = reader.read();
  await new Promise((resolve) => setTimeout(resolve, 0));
  await reader.cancel();
  await waiting;
  pace.longTurns.end(0);
  await new Promise<void>((resolve) => pace.longTurns.take(resolve));
});

import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { LargeBuffers } from "../../../../src/engines/wire/buffers.ts";
import { Inlet } from "../../../../src/engines/wire/inlet.ts";
import { FakeLink } from "../../../support/fake_link.ts";
import { concat } from "../../../support/raw_client.ts";

const SIZE = 16;
const HEADROOM = 4;

function inletOf(link = new FakeLink()) {
  let changes = 0;
  const inlet = new Inlet(link, { inletChanged: () => void changes++ }, Buffer.alloc(SIZE), HEADROOM);
  return { link, inlet, changes: () => changes };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("Inlet loses, repeats and reorders nothing, whatever is read, made room for, widened and narrowed", async () => {
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ does: fc.constant("deliver" as const), bytes: fc.integer({ min: 1, max: 40 }) }),
    },
    { weight: 3, arbitrary: fc.record({ does: fc.constant("consume" as const), bytes: fc.nat(40) }) },
    fc.record({ does: fc.constantFrom("makeRoom" as const, "widen" as const, "narrow" as const, "read" as const) }),
  );
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
    const { link, inlet } = inletOf();
    const buffers = new LargeBuffers(64);
    const sent: number[] = [];
    const got: Uint8Array[] = [];
    let next = 0;
    for (const step of steps) {
      switch (step.does) {
        case "deliver": {
          inlet.read();
          if (!link.isRead) break;
          const bytes = Uint8Array.from({ length: step.bytes }, () => next++);
          const taken = link.deliver(bytes);
          next -= step.bytes - taken;
          sent.push(...bytes.subarray(0, taken));
          await Promise.resolve();
          await Promise.resolve();
          break;
        }
        case "consume": {
          const count = Math.min(step.bytes, inlet.unread);
          got.push(Uint8Array.from(inlet.bytes.subarray(inlet.start, inlet.start + count)));
          inlet.start += count;
          break;
        }
        case "widen":
          inlet.widen(buffers);
          break;
        case "narrow":
          inlet.narrow(buffers);
          break;
        case "makeRoom":
          inlet.makeRoom();
          break;
        case "read":
          inlet.read();
          break;
      }
      assertEquals(inlet.end <= inlet.bytes.length && inlet.start >= HEADROOM, true, "room in front stays free");
    }
    got.push(Uint8Array.from(inlet.bytes.subarray(inlet.start, inlet.end)));
    assertEquals(concat(got), Uint8Array.from(sent));
    link.close();
  }));
});

Deno.test("Inlet tells whoever waits, else its listener; of the end, and why, once", async () => {
  const { link, inlet, changes } = inletOf();
  const more = inlet.more();
  link.deliver(Uint8Array.of(1));
  await more;
  assertEquals([changes(), inlet.unread], [0, 1]);
  inlet.read();
  link.deliver(Uint8Array.of(2));
  await settled();
  assertEquals([changes(), inlet.unread, inlet.ended], [1, 2, false]);
  inlet.read();
  link.end();
  await settled();
  assertEquals([changes(), inlet.ended, inlet.error], [2, true, undefined]);
  inlet.read(); // all is over
  assertEquals(link.isRead, false);

  const broken = inletOf();
  const waiting = broken.inlet.more();
  const error = new Error("reset");
  broken.link.end(error);
  await waiting;
  assertEquals([broken.changes(), broken.inlet.ended, broken.inlet.error], [0, true, error]);
});

Deno.test("Inlet stops reading when its buffer is full, and grows only when asked", async () => {
  const { link, inlet } = inletOf();
  inlet.read();
  assertEquals(link.deliver(new Uint8Array(100)), SIZE - HEADROOM);
  await settled();
  inlet.read();
  assertEquals(link.isRead, false);
  inlet.makeRoom();
  inlet.read();
  assertEquals(link.deliver(new Uint8Array(100)), SIZE);
  await settled();
  assertEquals([inlet.unread, inlet.bytes.length], [2 * SIZE - HEADROOM, 2 * SIZE]);
  link.close();
});

Deno.test("Inlet gives a large buffer back only once what is unread fits its own", async () => {
  const { link, inlet } = inletOf();
  const buffers = new LargeBuffers(64);
  const large = buffers.take();
  buffers.giveBack(large);
  inlet.widen(buffers);
  assertEquals(inlet.bytes, large);
  inlet.read();
  link.deliver(Uint8Array.from({ length: 30 }, (_, at) => at));
  await settled();
  inlet.narrow(buffers);
  assertEquals(inlet.bytes === large, true);
  inlet.start += 25;
  inlet.narrow(buffers);
  assertEquals(inlet.bytes.length, SIZE);
  assertEquals(Uint8Array.from(inlet.bytes.subarray(inlet.start, inlet.end)), Uint8Array.of(25, 26, 27, 28, 29));
  assertEquals(buffers.take() === large, true);
});

Deno.test("LargeBuffers lends what the rest of a body needs, and keeps what comes back", () => {
  // With more uploads than buffers that are kept, each made a new one, and garbage was collected all the time.
  const buffers = new LargeBuffers();
  const lent = Array.from({ length: 100 }, () => buffers.take(62 * 1024));
  assertEquals(new Set(lent.map(({ length }) => length)), new Set([64 * 1024]));
  for (const buffer of lent) buffers.giveBack(buffer);
  const again = Array.from({ length: 100 }, () => buffers.take(1));
  assertEquals(new Set([...lent, ...again]).size, 100);
  const large = buffers.take(64 * 1024 + 1);
  assertEquals(large.length, 256 * 1024);
  buffers.giveBack(large);
  assertEquals(buffers.take() === large, true);
});

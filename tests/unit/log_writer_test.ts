import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { LineWriter } from "../../src/log_writer.ts";
import { settle } from "../support/wait.ts";

/** Standard error whose reader takes a write when the test says so. */
class SlowReader {
  readonly writes: string[] = [];
  #accept: (() => void) | undefined;

  readonly write = async (bytes: Uint8Array): Promise<number> => {
    const text = new TextDecoder().decode(bytes); // the caller uses the bytes again
    await new Promise<void>((resolve) => this.#accept = resolve);
    this.writes.push(text);
    return bytes.length;
  };

  /** Takes what is being written, and whatever comes after it, until nothing does. */
  async takeAll(): Promise<void> {
    while (this.#accept !== undefined) {
      this.#accept();
      this.#accept = undefined;
      await settle();
      await settle(); // the writer's own pause may come first
    }
  }
}

Deno.test("LineWriter writes every line whole and in order, in batches that a pipe takes in one piece", async () => {
  const line = fc.string({ unit: "binary", maxLength: 5000 }).map((text) => text + "\n");
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 20 }), fc.integer({ min: 100, max: 5000 }), async (lines, takes) => {
      let text = "";
      const decoder = new TextDecoder();
      const sizes: number[] = [];
      const writer = new LineWriter({
        write: (chunk) => {
          const taken = chunk.subarray(0, takes);
          text += decoder.decode(taken, { stream: true });
          sizes.push(chunk.length);
          return Promise.resolve(taken.length);
        },
        onDrop: () => assert(false),
      });
      for (const line of lines) writer.push(line);
      await writer.close();
      // Half a surrogate pair is written as U+FFFD.
      assert(text === lines.join("").toWellFormed());
      const longest = Math.max(0, ...lines.map((line) => new TextEncoder().encode(line).length));
      assert(sizes.every((size) => size <= Math.max(4096, longest)));
    }),
    { numRuns: 50 },
  );
});

Deno.test("LineWriter holds a limited number of lines for a slow reader, and says how many it dropped", async () => {
  const reader = new SlowReader();
  const drops: number[] = [];
  const writer = new LineWriter({
    write: reader.write,
    onDrop: (lines) => {
      drops.push(lines);
      writer.push(`dropped ${lines}\n`);
    },
    maxHeld: 100,
    gatherMs: 0,
  });
  for (let line = 10; line < 60; line++) writer.push(`line ${line}.\n`); // 9 characters each
  await reader.takeAll();
  assertEquals(drops, [39]);
  writer.push("after\n");
  await reader.takeAll();
  await writer.close();
  const lines = reader.writes.join("").split("\n");
  assertEquals(lines, [...Array.from({ length: 11 }, (_, index) => `line ${10 + index}.`), "dropped 39", "after", ""]);
});

Deno.test("LineWriter goes on when the reader is gone", async () => {
  let calls = 0;
  const writer = new LineWriter({
    write: () => {
      calls++;
      return Promise.reject(new Deno.errors.BrokenPipe());
    },
    onDrop: () => assert(false),
  });
  writer.push("one\n");
  await writer.close();
  writer.push("two\n");
  await writer.close();
  assertEquals(calls, 2);
});

Deno.test("LineWriter writes a few lines at once that come while it writes, and gathers those after them", async () => {
  // The line `ready` came 5 ms late when a backend was down, because the line about that was being written.
  const writes: string[] = [];
  const toCome = ["two\n", "three\n", "four\n"];
  const writer = new LineWriter({
    async write(bytes) {
      writes.push(new TextDecoder().decode(bytes));
      await Promise.resolve();
      const line = toCome.shift();
      if (line !== undefined) writer.push(line);
      if (writes.length === 1) setTimeout(() => writer.push("later\n"));
      return bytes.length;
    },
    onDrop: () => assert(false),
    gatherMs: 500,
  });
  writer.push("one\n");
  await writer.close();
  assertEquals(writes, ["one\n", "two\n", "three\n", "four\nlater\n"]);
});

// 600 clients asked for 8 MB each and read nothing. All answers began in one turn of the event loop, so for that long
// the runtime did nothing but fill their buffers: other clients waited for over a second, the admin API for over two.
import { assert, assertEquals } from "@std/assert";
import { LargeAnswers } from "../../../../src/engines/fetch/large_answers.ts";

/** Asks for `count` turns at once. Returns how many have begun in each turn of the event loop. */
async function begunByTurn(answers: LargeAnswers, count: number, bytes: number | undefined): Promise<number[]> {
  const order: number[] = [];
  for (let index = 0; index < count; index++) {
    const turn = answers.turnFor(bytes);
    if (turn === undefined) order.push(index);
    else void turn.then(() => order.push(index));
  }
  const turns = [order.length];
  while (order.length < count) {
    const before = order.length;
    await new Promise((resolve) => setTimeout(resolve, 0));
    assert(turns.length < 1000, "answers wait for ever");
    if (order.length > before) turns.push(order.length - before);
  }
  assertEquals(order, order.toSorted((one, other) => one - other), "the order in which they asked");
  return turns;
}

Deno.test("LargeAnswers: few of 600 large answers begin in each turn of the event loop, in their order", async () => {
  const turns = await begunByTurn(new LargeAnswers(), 600, 8_000_000);
  assert(Math.max(...turns) <= 8, `${Math.max(...turns)} began in one turn`);
});

Deno.test("LargeAnswers: answers of unknown length are limited less", async () => {
  const turns = await begunByTurn(new LargeAnswers(), 1000, undefined);
  assert(Math.max(...turns) <= 128, `${Math.max(...turns)} began in one turn`);
  assert(turns.length <= 10, `${turns.length} turns for 1,000 answers`);
});

Deno.test("LargeAnswers: small answers never wait", async () => {
  const answers = new LargeAnswers();
  const large = begunByTurn(answers, 100, Infinity);
  for (let index = 0; index < 10_000; index++) assertEquals(answers.turnFor(1000), undefined);
  await large;
});

// A server that had stopped left the timer of its last answer behind.
Deno.test("LargeAnswers: in the end all that wait begin, and no timer is left", async () => {
  const answers = new LargeAnswers();
  const turns = Array.from({ length: 100 }, () => answers.turnFor(8_000_000));
  answers[Symbol.dispose]();
  await Promise.all(turns);
});

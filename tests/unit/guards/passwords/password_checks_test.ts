// How passwords are checked: few at a time, equal questions once, and nobody learns from the time who is a user.

import { assert, assertEquals } from "@std/assert";
import { parsePasswordHash } from "../../../../src/config/password_hash.ts";
import { BcryptChecks } from "../../../../src/guards/passwords/bcrypt.ts";
import { PasswordChecks, type PasswordQuestion } from "../../../../src/guards/passwords/password_checks.ts";

/** Of "secret", as cheap as it may be. */
const BCRYPT = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

/** Bcrypt that answers when it is told to. */
class HeldBcrypt extends BcryptChecks {
  readonly asked: string[] = [];
  readonly #open: PromiseWithResolvers<boolean>[] = [];

  override matches(password: string): Promise<boolean> {
    this.asked.push(password);
    const answer = Promise.withResolvers<boolean>();
    this.#open.push(answer);
    return answer.promise;
  }

  async answer(matches: boolean): Promise<void> {
    this.#open.shift()?.resolve(matches);
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  }

  async fail(error: Error): Promise<void> {
    this.#open.shift()?.reject(error);
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  }
}

const NEVER = new AbortController().signal;

function question(checks: PasswordChecks, password: string, more: Partial<PasswordQuestion> = {}): PasswordQuestion {
  const hash = parsePasswordHash(BCRYPT);
  assert(hash.kind !== "none");
  return { key: checks.key(BCRYPT, `user:${password}`), password, hash, isKnown: true, client: "c", ...more };
}

Deno.test("PasswordChecks remembers a right password for a minute, and never a wrong one", async () => {
  let nowMs = 0;
  using checks = new PasswordChecks({ now: () => nowMs });
  const [right, wrong] = [question(checks, "secret"), question(checks, "Secret")];
  assertEquals([checks.wereRight(right.key), checks.wereRight(wrong.key)], [false, false]);
  assertEquals(await checks.check(right, NEVER), "right");
  assertEquals(await checks.check(wrong, NEVER), "wrong");
  assertEquals([checks.wereRight(right.key), checks.wereRight(wrong.key)], [true, false]);
  nowMs = 60_000;
  assertEquals(checks.wereRight(right.key), false);
  assertEquals(checks.size, 0);
});

Deno.test("the right password of a hash that only takes time is wrong, and is not remembered", async () => {
  using checks = new PasswordChecks();
  const stranger = question(checks, "secret", { isKnown: false });
  assertEquals(await checks.check(stranger, NEVER), "wrong");
  assertEquals(checks.wereRight(stranger.key), false);
});

Deno.test("PasswordChecks checks one at a time, and equal questions once", async () => {
  const bcrypt = new HeldBcrypt();
  using checks = new PasswordChecks({ bcrypt });
  const asked = ["one", "two", "one", "two", "one"].map((password) => {
    return checks.check(question(checks, password), NEVER);
  });
  assertEquals(bcrypt.asked, ["one"]);
  await bcrypt.answer(true);
  assertEquals(bcrypt.asked, ["one", "two"]);
  await bcrypt.answer(false);
  assertEquals(await Promise.all(asked), ["right", "wrong", "right", "wrong", "right"]);
  assertEquals(checks.size, 0);
});

Deno.test("PasswordChecks is busy when too many wait, and one client does not fill all places", async () => {
  const bcrypt = new HeldBcrypt();
  using checks = new PasswordChecks({ bcrypt });
  const flood = Array.from({ length: 50 }, (_, number) => {
    return checks.check(question(checks, `wrong ${number}`, { client: "flood" }), NEVER);
  });
  const user = checks.check(question(checks, "good", { client: "user" }), NEVER);
  await bcrypt.answer(false);
  await bcrypt.answer(false);
  assertEquals(bcrypt.asked.at(-1), "good", "its turn comes before those of the flood");
  await bcrypt.answer(true);
  assertEquals(await user, "right");
  while (checks.size > 0) await bcrypt.answer(false);
  const outcomes = await Promise.all(flood);
  assertEquals([outcomes.filter((one) => one === "wrong").length, outcomes.filter((one) => one === "busy").length], [
    9,
    41,
  ]);
});

Deno.test("PasswordChecks: two clients do not keep a third one out, and what gives way for it is busy", async () => {
  const bcrypt = new HeldBcrypt();
  using checks = new PasswordChecks({ bcrypt });
  const flood = Array.from({ length: 17 }, (_, number) => {
    return checks.check(question(checks, `wrong ${number}`, { client: `flood ${number % 2}` }), NEVER);
  });
  const user = checks.check(question(checks, "good", { client: "user" }), NEVER);
  for (let answers = 0; answers < 3; answers++) await bcrypt.answer(false);
  assertEquals(bcrypt.asked.at(-1), "good");
  await bcrypt.answer(true);
  assertEquals(await user, "right");
  while (checks.size > 0) await bcrypt.answer(false);
  assertEquals((await Promise.all(flood)).filter((outcome) => outcome !== "wrong"), ["busy"]);
});

Deno.test("a client that leaves gives its place back, unless somebody else waits for the same", async () => {
  const bcrypt = new HeldBcrypt();
  using checks = new PasswordChecks({ bcrypt });
  const [leaving, gone] = [new AbortController(), AbortSignal.abort()];
  const running = checks.check(question(checks, "runs"), leaving.signal);
  const alone = checks.check(question(checks, "alone"), leaving.signal);
  const shared = checks.check(question(checks, "shared"), leaving.signal);
  const other = checks.check(question(checks, "shared"), NEVER);
  assertEquals(await checks.check(question(checks, "gone"), gone), "left");
  assertEquals(checks.size, 3);
  leaving.abort();
  assertEquals(await Promise.all([running, alone, shared]), ["left", "left", "left"]);
  assertEquals(checks.size, 2);
  await bcrypt.answer(true); // the one that runs can't be taken back
  assertEquals(bcrypt.asked, ["runs", "shared"]);
  await bcrypt.answer(true);
  assertEquals(await other, "right");
  assertEquals(checks.size, 0);
});

Deno.test("a check that fails is no answer, and the next begins", async () => {
  const bcrypt = new HeldBcrypt();
  using checks = new PasswordChecks({ bcrypt });
  const [first, second] = ["one", "two"].map((password) => checks.check(question(checks, password), NEVER));
  await bcrypt.fail(new Error("out of order"));
  const failed = await first;
  assert(failed instanceof Error);
  assertEquals(failed.message, "out of order");
  await bcrypt.answer(true);
  assertEquals(await second, "right");
});

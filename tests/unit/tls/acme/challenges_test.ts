import { assert, assertEquals } from "@std/assert";
import { ChallengeFolder } from "../../../../src/tls/acme/challenge_folder.ts";
import { Challenges } from "../../../../src/tls/acme/challenges.ts";
import { SharedAwayError, type SharedChallenges } from "../../../../src/tls/acme/shared.ts";
import { TemporaryDirectory } from "../../../support/certificates.ts";

const TOKEN = "abcdefghijklmnopqrstuvwxyz";

Deno.test("Challenges answer what was put, until it is removed", async () => {
  const challenges = new Challenges();
  assertEquals(await challenges.answer(TOKEN), undefined);
  await challenges.put(TOKEN, "text");
  assertEquals(await challenges.answer(TOKEN), "text");
  await challenges.remove(TOKEN);
  assertEquals(await challenges.answer(TOKEN), undefined);
});

class FakeShared implements SharedChallenges {
  readonly texts = new Map<string, string>();
  readonly asked: string[] = [];
  isAway = false;
  gate: Promise<void> = Promise.resolve();

  async get(token: string): Promise<string | undefined> {
    this.asked.push(token);
    await this.#there();
    return this.texts.get(token);
  }
  async put(token: string, text: string): Promise<void> {
    await this.#there();
    this.texts.set(token, text);
  }
  async remove(token: string): Promise<void> {
    await this.#there();
    this.texts.delete(token);
  }
  async #there(): Promise<void> {
    await this.gate;
    if (this.isAway) throw new SharedAwayError("away");
  }
}

Deno.test("a challenge of one replica is answered by another one, for as long as it lasts", async () => {
  const shared = new FakeShared();
  const [one, other] = [new Challenges(shared), new Challenges(shared)];
  await one.put(TOKEN, "text");
  assertEquals(await other.answer(TOKEN), "text");
  await one.remove(TOKEN);
  assertEquals(await other.answer(TOKEN), undefined);
});

Deno.test("while the store is away, a replica answers its own challenges", async () => {
  const shared = new FakeShared();
  shared.isAway = true;
  const challenges = new Challenges(shared);
  await challenges.put(TOKEN, "text");
  assertEquals(await challenges.answer(TOKEN), "text");
  assertEquals(await challenges.answer(`${TOKEN}2`), undefined);
  await challenges.remove(TOKEN);
});

// Anyone can ask for any token: the store must not be asked for nonsense, nor as often as clients like.
Deno.test("the store is asked for what can be a token, and for few at a time", async () => {
  const shared = new FakeShared();
  const gate = Promise.withResolvers<void>();
  shared.gate = gate.promise;
  const challenges = new Challenges(shared);
  for (const token of ["", "short", "../../../../etc/passwd", `${TOKEN}?x=1`, `${TOKEN}/..`, "a".repeat(10_000)]) {
    assertEquals(await challenges.answer(token), undefined);
  }
  assertEquals(shared.asked, []);
  const answers = Array.from({ length: 100 }, (_, index) => challenges.answer(`${TOKEN}${index}`));
  assertEquals(shared.asked.length, 32);
  gate.resolve();
  await Promise.all(answers);
  await challenges.answer(TOKEN);
  assertEquals(shared.asked.length, 33);
});

// During an upgrade the authority's request came to the old process, which redirected it, and the order failed.
Deno.test("a challenge of one process is answered by another one with the same folder, for as long as it lasts", async () => {
  using state = new TemporaryDirectory();
  const [one, other, apart] = [state.path, state.path, undefined].map((path) => {
    const folder = ChallengeFolder.in(path);
    return new Challenges(...folder === undefined ? [] : [folder]);
  });
  assert(one !== undefined && other !== undefined && apart !== undefined);
  await one.put(TOKEN, "text");
  const file = `${state.path}/acme/challenges/${TOKEN}`;
  assertEquals((Deno.statSync(file).mode ?? 0) & 0o777, 0o600);
  assertEquals([await one.answer(TOKEN), await other.answer(TOKEN), await apart.answer(TOKEN)], [
    "text",
    "text",
    undefined,
  ]);
  assertEquals(await other.answer(`../challenges/${TOKEN}`), undefined);
  assertEquals(await other.answer(`${TOKEN}2`), undefined);
  Deno.utimeSync(file, 1, 1); // a process that was killed left it
  await one.put(`${TOKEN}2`, "next");
  assertEquals([await other.answer(TOKEN), await other.answer(`${TOKEN}2`)], [undefined, "next"]);
  await one.remove(`${TOKEN}2`);
  assertEquals(await other.answer(`${TOKEN}2`), undefined);
  assertEquals([...Deno.readDirSync(`${state.path}/acme/challenges`)], []);
});

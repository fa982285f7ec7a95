// What a stranger can learn from `auth.basic`: nothing, neither from the answer nor from what is done for it.

import { assert, assertEquals } from "@std/assert";
import type { PasswordHash } from "../../../src/config/password_hash.ts";
import type { BasicAuthConfig } from "../../../src/config/schema/auth.ts";
import { basicAuth } from "../../../src/guards/basic_auth.ts";
import type { Decision, PassingRequest } from "../../../src/guards/guard.ts";
import { Holdings } from "../../../src/guards/holdings.ts";
import type { Outcome } from "../../../src/guards/passwords/check.ts";
import { PasswordChecks, type PasswordQuestion } from "../../../src/guards/passwords/password_checks.ts";

const SCRYPT = "$scrypt$ln=10,r=8,p=1$c2FsdHNhbHQ$TP10l/J0v7dq+bTn6BbxXiexUKxCWRjz0KMUH+qZPfQ";
const BCRYPT = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

/** A guard whose checks come out as is said here. */
class Bench {
  readonly asked: PasswordQuestion[] = [];
  readonly told: string[] = [];
  outcome: Outcome = "wrong";
  readonly #holdings = new Holdings();
  readonly #check: (authorization: string, client?: string) => Promise<Decision>;

  constructor(users: BasicAuthConfig["users"]) {
    const checks = this.#holdings.obtain(PasswordChecks, {});
    checks.check = (question) => {
      this.asked.push(question);
      return Promise.resolve(this.outcome);
    };
    const guard = basicAuth({ kind: "basic", users, realm: "r" }, { holdings: this.#holdings });
    this.#check = async (authorization, client = "10.0.0.1") => {
      const request = {
        client,
        signal: new AbortController().signal,
        believed: (name: string) => name === "authorization" ? authorization : undefined,
        tell: ([name, value]: readonly [string, string]) => this.told.push(`${name}: ${value}`),
      };
      return await guard.check(request as unknown as PassingRequest); // it asks for nothing else
    };
  }

  async ask(credentials: string, client?: string): Promise<string> {
    const decision = await this.#check(`Basic ${btoa(credentials)}`, client);
    return decision === undefined ? "passes" : `${decision.code}: ${decision.message}`;
  }
}

function kindOf(hash: PasswordHash | undefined): string {
  return hash?.kind ?? "none";
}

Deno.test("an unknown user is checked against the hash of a user, always the same one, and never let in", async () => {
  const bench = new Bench({ ada: SCRYPT, grace: BCRYPT });
  const known = await bench.ask("ada:wrong");
  const strangers = Array.from({ length: 60 }, (_, number) => `stranger ${number}`);
  for (const name of strangers) assertEquals(await bench.ask(`${name}:wrong`), known);
  const [ada, ...others] = bench.asked;
  assertEquals([ada?.isKnown, kindOf(ada?.hash)], [true, "scrypt"]);
  assert(others.every(({ isKnown }) => !isKnown));
  const kinds = others.map(({ hash }) => kindOf(hash));
  assertEquals(new Set(kinds), new Set(["scrypt", "bcrypt"]), "as often as users have either");
  bench.asked.length = 0;
  for (const name of strangers) await bench.ask(`${name}:wrong`);
  assertEquals(bench.asked.map(({ hash }) => kindOf(hash)), kinds);
  // Isolates chose each for themselves. With two workers, a name that took two different times was no user.
  const other = new Bench({ ada: SCRYPT, grace: BCRYPT });
  for (const name of strangers) await other.ask(`${name}:wrong`);
  assertEquals(other.asked.map(({ hash }) => kindOf(hash)), kinds, "in another isolate");
  assertEquals(new Set(bench.told), new Set(['www-authenticate: Basic realm="r", charset="UTF-8"']));
});

Deno.test("without users nobody gets in, and nothing is checked", async () => {
  const bench = new Bench({});
  assertEquals(await bench.ask("ada:secret"), "unauthorized: the user name or the password is wrong");
  assertEquals(bench.asked, []);
});

Deno.test("only a right password passes: a check that fails, or for which there is no place, is 503", async () => {
  const bench = new Bench({ ada: SCRYPT });
  const cases: [outcome: Outcome, starts: string][] = [
    ["right", "passes"],
    ["wrong", "unauthorized: "],
    ["busy", "auth_unavailable: too many"],
    ["left", "auth_unavailable: the client did not wait"],
    [new Error("out of order"), "auth_unavailable: the password could not be checked: out of order"],
  ];
  for (const [outcome, starts] of cases) {
    bench.outcome = outcome;
    const decision = await bench.ask("ada:secret");
    assert(decision.startsWith(starts), decision);
  }
});

Deno.test("clients take turns by address, an IPv6 client by its network of 64 bits", async () => {
  const bench = new Bench({ ada: SCRYPT });
  for (const client of ["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]) {
    await bench.ask("ada:wrong", client);
  }
  const [one, two, ...networks] = bench.asked.map(({ client }) => client);
  assert(one !== two);
  assertEquals(networks[0], networks[1]);
  assert(networks[1] !== networks[2]);
});

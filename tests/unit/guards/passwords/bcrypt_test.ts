// bcrypt in its own isolate: hashes of other programs are understood, and what fails there fails nothing else.

import { assertEquals, assertRejects } from "@std/assert";
import { BcryptChecks } from "../../../../src/guards/passwords/bcrypt.ts";

Deno.test("BcryptChecks agrees with crypt_blowfish", async () => {
  using checks = new BcryptChecks();
  // printed by crypt(3) of libxcrypt
  const cases: [password: string, hash: string, matches: boolean][] = [
    ["U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", true],
    ["u*u", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", false],
    ["pässwörd:日本", "$2y$10$abcdefghijklmnopqrstuOSqDEJjedEISwGJbZGIEJcJS7BEiTgV2", true],
    ["", "$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq", true],
    ["x".repeat(72), "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i", true],
    ["x".repeat(100), "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i", true], // only 72 bytes count
    ["x".repeat(71), "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i", false],
    ["rasmuslerdorf", "$2a$07$usesomesillystringfore2uDLvp1Ii2e./U9C8sBjqp8I90dH6hi", true],
  ];
  const found = await Promise.all(cases.map(([password, hash]) => checks.matches(password, hash)));
  assertEquals(found, cases.map(([, , expected]) => expected));
});

Deno.test("BcryptChecks rejects what is open when it is disposed of, and what comes later", async () => {
  const checks = new BcryptChecks();
  const open = checks.matches("secret", "$2y$12$abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/IJhW");
  checks[Symbol.dispose]();
  await assertRejects(() => open, Error, "has ended");
  await assertRejects(() => checks.matches("", ""), Error, "no longer");
});

Deno.test("BcryptChecks rejects if its isolate fails, and starts another one, but not within a second", async () => {
  let nowMs = 0;
  const url = new URL(`data:text/javascript,onmessage = () => { throw new Error("broken"); }`);
  using checks = new BcryptChecks({ url, now: () => nowMs });
  await assertRejects(() => checks.matches("secret", ""), Error, "broken");
  nowMs = 999;
  await assertRejects(() => checks.matches("secret", ""), Error, "has just failed");
  nowMs = 1000;
  await assertRejects(() => checks.matches("secret", ""), Error, "broken");
  using absent = new BcryptChecks({ url: new URL("./no_such_module.ts", import.meta.url) });
  await assertRejects(() => absent.matches("secret", ""), Error, "has ended");
});

// Which texts count as the hash of a password: those that hash-password and htpasswd make, and no costlier ones.

import { assertEquals, assertStringIncludes, fail } from "@std/assert";
import fc from "fast-check";
import { formatScrypt, parsePasswordHash } from "../../../src/config/password_hash.ts";

const SALT = "aM15713r3Xsvxbi31lqr1Q";
const DIGEST = "nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E";
const BCRYPT_REST = "abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/IJhW";

function wantFor(text: string): string {
  const hash = parsePasswordHash(text);
  return hash.kind === "none" ? hash.want : fail(`${text} was taken`);
}

Deno.test("parsePasswordHash() reads scrypt in the PHC string format, and formatScrypt() writes it", () => {
  const text = `$scrypt$ln=16,r=8,p=1$${SALT}$${DIGEST}`;
  const hash = parsePasswordHash(text);
  if (hash.kind !== "scrypt") return fail(`got ${hash.kind}`);
  assertEquals([hash.ln, hash.r, hash.p, hash.salt.length, hash.digest.length], [16, 8, 1, 16, 32]);
  assertEquals(formatScrypt(hash), text);
});

Deno.test("parsePasswordHash() reads bcrypt of cost 4 to 12 with each prefix that means the same", () => {
  for (const prefix of ["2a", "2b", "2y"]) {
    for (const cost of [4, 10, 12]) {
      const text = `$${prefix}$${String(cost).padStart(2, "0")}$${BCRYPT_REST}`;
      assertEquals(parsePasswordHash(text), { kind: "bcrypt", cost, text });
    }
  }
});

Deno.test("parsePasswordHash() says what is wanted in place of what is no hash, or a costlier one", () => {
  const cases: [text: string, want: string][] = [
    ["secret", "roundhouse hash-password"],
    ["", "roundhouse hash-password"],
    ["{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "roundhouse hash-password"],
    ["$apr1$x$Zf0Y7Jv0vY0Zf0Y7Jv0vY0", "roundhouse hash-password"],
    ["$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA", "roundhouse hash-password"],
    [` $2y$10$${BCRYPT_REST}`, "roundhouse hash-password"],
    [`$2y$13$${BCRYPT_REST}`, "cost 4 to 12"],
    [`$2y$31$${BCRYPT_REST}`, "cost 4 to 12"],
    [`$2y$03$${BCRYPT_REST}`, "cost 4 to 12"],
    [`$2x$10$${BCRYPT_REST}`, "a whole bcrypt hash"],
    [`$2$10$${BCRYPT_REST}`, "a whole bcrypt hash"],
    [`$2y$10$${BCRYPT_REST.slice(1)}`, "a whole bcrypt hash"],
    [`$2y$10$${BCRYPT_REST}\n`, "a whole bcrypt hash"],
    [`$2y$10$${BCRYPT_REST.slice(0, -1)}X`, "a whole bcrypt hash"], // bits that no hash has: it could never match
    [`$scrypt$ln=17,r=8,p=2$${SALT}$${DIGEST}`, "at most 128 MiB"],
    [`$scrypt$ln=18,r=8,p=1$${SALT}$${DIGEST}`, "at most 128 MiB"],
    [`$scrypt$ln=63,r=1,p=1$${SALT}$${DIGEST}`, "at most 128 MiB"],
    [`$scrypt$ln=14,r=99,p=1$${SALT}$${DIGEST}`, "at most 128 MiB"],
    [`$scrypt$ln=9,r=8,p=1$${SALT}$${DIGEST}`, "ln from 10"],
    [`$scrypt$ln=14,r=8,p=0$${SALT}$${DIGEST}`, "a whole scrypt hash"],
    [`$scrypt$ln=014,r=8,p=1$${SALT}$${DIGEST}`, "a whole scrypt hash"],
    [`$scrypt$r=8,ln=14,p=1$${SALT}$${DIGEST}`, "a whole scrypt hash"],
    [`$scrypt$ln=14,r=8,p=1$${SALT}$${DIGEST}=`, "a whole scrypt hash"],
    [`$scrypt$ln=14,r=8,p=1$${SALT}$`, "a whole scrypt hash"],
    [`$scrypt$ln=14,r=8,p=1$$${DIGEST}`, "a whole scrypt hash"],
    [`$scrypt$ln=14,r=8,p=1$${SALT}$${DIGEST.slice(0, -1)}F`, "a whole scrypt hash"],
  ];
  for (const [text, want] of cases) assertStringIncludes(wantFor(text), want, text);
});

Deno.test("parsePasswordHash() never throws, and what it takes is within bounds", () => {
  const number = fc.integer({ min: 0, max: 120 });
  const base64 = fc.uint8Array({ maxLength: 70 }).map((bytes) => bytes.toBase64({ omitPadding: true }));
  const scrypt = fc.tuple(number, number, number, base64, base64)
    .map(([ln, r, p, salt, digest]) => `$scrypt$ln=${ln},r=${r},p=${p}$${salt}$${digest}`);
  fc.assert(fc.property(fc.oneof(scrypt, fc.string(), fc.string().map((text) => `$2y$${text}`)), (text) => {
    const hash = parsePasswordHash(text);
    if (hash.kind !== "scrypt") return;
    const { ln, r, p, salt, digest } = hash;
    assertEquals(128 * r * 2 ** ln <= 128 * 1024 ** 2 && r * p * 2 ** ln <= 2 ** 20, true);
    assertEquals([salt.length >= 8, digest.length >= 16, formatScrypt(hash)], [true, true, text]);
  }));
});

// Hashes of scrypt: those of others are understood, and no two new ones are the same.

import { assert, assertEquals, assertMatch, assertNotEquals, fail } from "@std/assert";
import { formatScrypt, parsePasswordHash } from "../../../../src/config/password_hash.ts";
import { makeScryptHash, matchesScrypt } from "../../../../src/guards/passwords/scrypt.ts";

async function matches(password: string, text: string): Promise<boolean> {
  const hash = parsePasswordHash(text);
  return hash.kind === "scrypt" ? await matchesScrypt(password, hash) : fail(`got ${hash.kind}`);
}

Deno.test("matchesScrypt() agrees with RFC 7914 and with Python's passlib", async () => {
  const rfc = formatScrypt({
    ...{ ln: 14, r: 8, p: 1, salt: new TextEncoder().encode("SodiumChloride") },
    digest: Uint8Array.fromHex(
      "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2" +
        "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
    ),
  });
  assertEquals(await matches("pleaseletmein", rfc), true);
  assertEquals(await matches("pleaseletmeiN", rfc), false);
  const passlib = "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E";
  assertEquals(await matches("password", passlib), true);
});

Deno.test("makeScryptHash() takes a new salt each time", async () => {
  const password = "pässwörd 日本";
  const [one, two] = await Promise.all([makeScryptHash(password), makeScryptHash(password)]);
  assertMatch(one, /^\$scrypt\$ln=14,r=8,p=5\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assertNotEquals(one, two);
  assert(await matches(password, one));
  assert(!await matches(`${password} `, two));
});

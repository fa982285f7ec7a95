// What counts as credentials of the scheme Basic (RFC 7617). A second spelling of a password would be a way around
// whatever counts attempts, and half a password must never be read.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { MOST_CREDENTIAL_BYTES, parseBasicCredentials } from "../../../src/guards/basic_credentials.ts";

function encode(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

function read(value: string): [user: string, password: string] | undefined {
  const credentials = parseBasicCredentials(value);
  return credentials && [credentials.user, credentials.password];
}

Deno.test("parseBasicCredentials() reads the examples of RFC 7617", () => {
  assertEquals(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), ["Aladdin", "open sesame"]);
  assertEquals(read("Basic dGVzdDoxMjPCow=="), ["test", "123£"]);
});

Deno.test("parseBasicCredentials() splits at the first colon, and takes the scheme in any case", () => {
  assertEquals(read(`Basic ${encode("user:pass:word:")}`), ["user", "pass:word:"]);
  assertEquals(read(`bAsIc   ${encode(":")}`), ["", ""]);
  assertEquals(read(`BASIC ${encode("\ufeffuser:\ufeff")}`), ["\ufeffuser", "\ufeff"]);
});

Deno.test("parseBasicCredentials() refuses everything else", () => {
  const good = encode("user:password"); // dXNlcjpwYXNzd29yZA==
  const bad = [
    "",
    "Basic",
    "Basic ",
    good,
    `Bearer ${good}`,
    `Basic\t${good}`,
    `Basic${good}`,
    ` Basic ${good}`,
    `Basic ${good} `,
    `Basic ${good}, Basic ${good}`,
    `Basic ${good} ${good}`,
    `Basic realm="x", ${good}`,
    `Basic ${good.replace(/=+$/, "")}`,
    `Basic ${good}=`,
    `Basic ${good.replace("A==", "B==")}`, // bits that do not count
    `Basic ${good.slice(0, 8)}\n${good.slice(8)}`,
    `Basic ${good.slice(0, 8)} ${good.slice(8)}`,
    `Basic ${encode("user:pass>word?").replace(/\+/g, "-").replace(/\//g, "_")}-_`,
    `Basic ${encode("nocolon")}`,
    `Basic ${encode("user:pass\0word")}`,
    `Basic ${encode("user:password\n")}`,
    `Basic ${encode("us\x7fer:password")}`,
    `Basic ${btoa("user:caf\xe9")}`, // Latin-1
    `Basic ${new Uint8Array([0x75, 0x3a, 0xc0, 0xba]).toBase64()}`, // an overlong form
    `Basic ${new Uint8Array([0x75, 0x3a, 0xed, 0xa0, 0x80]).toBase64()}`, // a surrogate
    `Basic ${encode("u:" + "x".repeat(MOST_CREDENTIAL_BYTES - 1))}`,
    `Basic ${encode("u:" + "x".repeat(1_000_000))}`,
  ];
  for (const value of bad) assertEquals(read(value), undefined, value.slice(0, 100));
  const longest = "x".repeat(MOST_CREDENTIAL_BYTES - 2);
  assertEquals(read(`Basic ${encode(`u:${longest}`)}`), ["u", longest]);
});

Deno.test("parseBasicCredentials() reads each user and password in one spelling alone", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((text) => !/\p{Cc}/u.test(text));
  fc.assert(fc.property(text.filter((user) => !user.includes(":")), text, (user, password) => {
    assertEquals(read(`Basic ${encode(`${user}:${password}`)}`), [user, password]);
  }));
  const anything = fc.oneof(fc.string(), fc.base64String(), fc.uint8Array().map((bytes) => bytes.toBase64()));
  fc.assert(fc.property(anything, (token) => {
    const credentials = parseBasicCredentials(`Basic ${token}`);
    if (credentials === undefined) return;
    assertEquals(encode(credentials.text), token.trimStart());
  }));
});

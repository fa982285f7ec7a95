// What is verified again when a client resumes its session: never more than the runtime accepts.

import { assertEquals } from "@std/assert";
import * as x509 from "@peculiar/x509";
import { isTrustedChain } from "../../../src/tls/client_chain.ts";
import {
  CA,
  FOR_CLIENTS,
  FOR_SERVERS,
  issue,
  issueAuthority,
  type Issued,
  NAME_CONSTRAINTS,
  NO_CA,
  SIGNS,
  UNKNOWN,
} from "../../support/chains.ts";

const authority = await issueAuthority();
const RSA = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", publicExponent: Uint8Array.of(1, 0, 1) } as const;

function trusted(chain: readonly Issued[], anchors: readonly Issued[] = [authority], now = new Date()) {
  return isTrustedChain(chain.map(({ der }) => der), anchors.map(({ cert }) => cert), now);
}

Deno.test("isTrustedChain() takes what an authority has signed, by itself or through others in any order", async () => {
  const middle = await issueAuthority("middle", { issuer: authority });
  const lower = await issueAuthority("lower", { issuer: middle });
  const other = await issueAuthority("other");
  assertEquals(await trusted([await issue("a", { issuer: authority })]), true);
  assertEquals(await trusted([await issue("a", { issuer: authority, extensions: [] })]), true);
  assertEquals(await trusted([await issue("a", { issuer: lower }), lower, middle]), true);
  assertEquals(await trusted([await issue("a", { issuer: lower }), middle, other, lower]), true);
  assertEquals(await trusted([await issue("a", { issuer: lower }), lower], [other, middle]), true);
  for (const keys of [{ name: "ECDSA", namedCurve: "P-384" }, { ...RSA, modulusLength: 2048 }]) {
    const strong = await issueAuthority("strong", { keys });
    assertEquals(await trusted([await issue("a", { issuer: strong, keys })], [strong]), true, JSON.stringify(keys));
  }
});

Deno.test("isTrustedChain() refuses a client's certificate that is not for that", async () => {
  const impostor = await issueAuthority("authority"); // its name, but other keys
  const weak = { ...RSA, modulusLength: 1024 };
  const cases: [string, Promise<Issued>][] = [
    ["another authority's", issue("a", { issuer: impostor })],
    ["signed by itself", issue("a")],
    ["expired", issue("a", { issuer: authority, from: -9, until: -1 })],
    ["of the future", issue("a", { issuer: authority, from: 1 })],
    ["a server's", issue("a", { issuer: authority, extensions: [NO_CA, FOR_SERVERS] })],
    ["an authority's", issue("a", { issuer: authority, extensions: [CA, SIGNS, FOR_CLIENTS] })],
    ["with something critical that is unknown", issue("a", { issuer: authority, extensions: [NO_CA, UNKNOWN] })],
    ["with the same twice", issue("a", { issuer: authority, extensions: [NO_CA, FOR_SERVERS, FOR_CLIENTS] })],
    ["with a weak signature", issue("a", { issuer: authority, hash: "SHA-1" })],
    ["with a weak key", issue("a", { issuer: authority, keys: weak })],
    ["with another curve", issue("a", { issuer: authority, keys: { name: "ECDSA", namedCurve: "P-521" } })],
  ];
  for (const [what, made] of cases) assertEquals(await trusted([await made, impostor]), false, what);
  assertEquals(await trusted([]), false);
  assertEquals(await isTrustedChain([Uint8Array.of(1, 2, 3)], [authority.cert], new Date()), false);
  assertEquals(await trusted([await issue("a", { issuer: authority })], []), false);
});

Deno.test("isTrustedChain() refuses a way over certificates that may not sign", async () => {
  const middle = (extensions: readonly x509.Extension[], from = -1, until = 30) =>
    issue("middle", { issuer: authority, extensions, from, until });
  const short = await issueAuthority("middle", {
    issuer: authority,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true), SIGNS],
  });
  const signing = new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true);
  const cases: [string, Issued][] = [
    ["no authority", await middle([NO_CA, SIGNS])],
    ["nothing said", await middle([])],
    ["signs no certificates", await middle([CA, signing])],
    ["expired", await middle([CA, SIGNS], -9, -1)],
    ["for servers", await middle([CA, SIGNS, FOR_SERVERS])],
    ["for some names", await middle([CA, SIGNS, NAME_CONSTRAINTS])],
    ["something critical that is unknown", await middle([CA, SIGNS, UNKNOWN])],
  ];
  for (const [what, issuer] of cases) {
    assertEquals(await trusted([await issue("a", { issuer }), issuer]), false, what);
  }
  assertEquals(await trusted([await issue("a", { issuer: short }), short]), true);
  const lower = await issueAuthority("lower", { issuer: short });
  assertEquals(await trusted([await issue("a", { issuer: lower }), lower, short]), false, "too long a way");
  const bound = await issueAuthority("bound", { extensions: [CA, SIGNS, NAME_CONSTRAINTS] });
  assertEquals(await trusted([await issue("a", { issuer: bound })], [bound]), false, "an authority for some names");
});

Deno.test("isTrustedChain() looks at few signatures, even if certificates have all signed each other", async () => {
  // Four of them with the same name and keys are 24 ways, of 64 steps.
  const first = await issueAuthority("crowd");
  const crowd = [first];
  while (crowd.length < 4) crowd.push(await issueAuthority("crowd", { issuer: first, own: first.keys }));
  const leaf = await issue("a", { issuer: first });
  let looked = 0;
  const verify = crypto.subtle.verify;
  crypto.subtle.verify = (...args: Parameters<typeof verify>) => {
    looked++;
    return verify.apply(crypto.subtle, args);
  };
  try {
    assertEquals(await trusted([leaf, ...crowd]), false);
    assertEquals(looked, 16);
  } finally {
    crypto.subtle.verify = verify;
  }
  assertEquals(await trusted([leaf, ...crowd], [first]), true);
  assertEquals(await trusted([leaf, ...crowd, authority], [first]), false, "more than five are not looked at");
});

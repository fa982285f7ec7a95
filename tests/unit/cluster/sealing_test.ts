import { assert, assertEquals, assertRejects } from "@std/assert";
import { SealError, Sealing } from "../../../src/cluster/sealing.ts";

Deno.test("what is sealed is opened with the same secret, at the same place, and by nobody else", async () => {
  const [one, other] = [new Sealing("a secret of the replicas"), new Sealing("another secret of them")];
  const sealed = await one.seal("a private key", "place");
  assert(!atob(sealed).includes("private"));
  assertEquals(await new Sealing("a secret of the replicas").open(sealed, "place"), "a private key");
  assert(sealed !== await one.seal("a private key", "place"), "each time in another way");
  await assertRejects(() => other.open(sealed, "place"), SealError);
  await assertRejects(() => one.open(sealed, "another place"), SealError);
});

Deno.test("a text that was changed anywhere, or is none, is not opened", async () => {
  const one = new Sealing("a secret of the replicas");
  const bytes = Uint8Array.from(atob(await one.seal("a private key", "place")), (letter) => letter.charCodeAt(0));
  for (let index = 0; index < bytes.length; index++) {
    const changed = bytes.slice();
    changed[index] = (changed[index] ?? 0) ^ 1;
    await assertRejects(() => one.open(btoa(String.fromCharCode(...changed)), "place"), SealError);
  }
  for (const text of ["", "AAAA", "no Base64 at all", btoa("a".repeat(27))]) {
    await assertRejects(() => one.open(text, "place"), SealError, undefined, text);
  }
});

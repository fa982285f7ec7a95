// How long and how many good passwords are remembered, and that another hash forgets them.

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { Remembered } from "../../../../src/guards/passwords/remembered.ts";

Deno.test("Remembered knows a key for a minute from when it was added", () => {
  let nowMs = 5000;
  const remembered = new Remembered(() => nowMs);
  const key = remembered.key("hash", "user:password");
  assert(!remembered.has(key));
  remembered.add(key);
  nowMs += 59_999;
  assert(remembered.has(key));
  nowMs += 1;
  assert(!remembered.has(key));
  remembered.add(key);
  assert(remembered.has(key));
});

Deno.test("a key of Remembered depends on the hash, the user, the password and the object, and shows none of them", () => {
  const remembered = new Remembered(() => 0);
  const key = remembered.key("hash", "user:password");
  assertEquals(remembered.key("hash", "user:password"), key);
  const others = [
    remembered.key("hash2", "user:password"),
    remembered.key("hash", "user2:password"),
    remembered.key("hash", "user:password2"),
    new Remembered(() => 0).key("hash", "user:password"),
  ];
  for (const other of others) assertNotEquals(other, key);
  assert(!/hash|user|password/.test(atob(key)));
});

Deno.test("Remembered holds so many keys, the oldest leaving first, and drops those whose time is over", () => {
  let nowMs = 0;
  const remembered = new Remembered(() => nowMs, 3);
  for (const key of ["a", "b", "c", "a", "d"]) remembered.add(key);
  assertEquals(["a", "b", "c", "d"].filter((key) => remembered.has(key)), ["a", "c", "d"]);
  nowMs = 60_000;
  remembered.add("e");
  assertEquals(remembered.size, 1);
});

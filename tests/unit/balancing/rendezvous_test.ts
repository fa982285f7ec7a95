import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import fc from "fast-check";
import { murmur3, Rendezvous } from "../../../src/balancing/rendezvous.ts";
import type { Backend } from "../../../src/pool/backend.ts";
import type { ServerPool } from "../../../src/pool/server_pool.ts";
import { pickRequest, rejecting } from "../../support/pick.ts";
import { backendSpec, poolOf } from "../../support/pool.ts";
import { chiSquare } from "../../support/random.ts";

const KEYS = Array.from({ length: 10_000 }, (_, index) => `/products/${index}/reviews`);

function rendezvousOf(backends: readonly Backend[]): Rendezvous<Backend> {
  return new Rendezvous(backends, backends.map(({ weight }) => weight));
}

/** Where each key goes, by URL. */
function placesOf(backends: readonly Backend[], keys = KEYS, request = pickRequest()): string[] {
  const rendezvous = rendezvousOf(backends);
  return keys.map((key) => rendezvous.pick(key, request)?.url ?? "none");
}

function backendAt(pool: ServerPool, index: number): Backend {
  const backend = pool.backends[index];
  assert(backend !== undefined);
  return backend;
}

/** How far `places` are from the shares that the weights promise. */
function unevenness({ backends }: ServerPool, places: readonly string[]): number {
  const counts = new Map<string, number>();
  for (const url of places) counts.set(url, (counts.get(url) ?? 0) + 1);
  return chiSquare(backends.map(({ url }) => counts.get(url) ?? 0), backends.map(({ weight }) => weight));
}

Deno.test("murmur3() gives the published values of MurmurHash3_x86_32", () => {
  // Of the bytes as UTF-16 code units, lower byte first.
  const vectors: readonly (readonly [text: string, seed: number, hash: number])[] = [
    ["", 0, 0],
    ["", 1, 0x514e28b7],
    ["", 0xffffffff, 0x81f16f39],
    ["\uffff\uffff", 0, 0x76293b50],
    ["\u4321\u8765", 0, 0xf55b516b],
    ["\u4321\u8765", 0x5082edee, 0x2362f9de],
    ["\u4321", 0, 0xa0f7b07a],
    ["\u0000\u0000", 0, 0x2362f9de],
    ["\u0000", 0, 0x30f4c306],
    ["\u6161\u6161", 0x9747b28c, 0x5a97808a], // aaaa
    ["\u6161", 0x9747b28c, 0x5d211726], // aa
    ["\u6261\u6463", 0x9747b28c, 0xf0478627], // abcd
  ];
  for (const [text, seed, hash] of vectors) assertEquals(murmur3(text, seed), hash, `${JSON.stringify(text)}, ${seed}`);
});

Deno.test("murmur3() hashes the first characters as if they were all", () => {
  fc.assert(fc.property(fc.string(), fc.nat(20), (text, length) => {
    const end = Math.min(length, text.length);
    assertEquals(murmur3(text, 5, end), murmur3(text.slice(0, end), 5));
  }));
});

// If this fails, the change moves the keys of every installation: caches turn cold, sessions are lost.
Deno.test("Rendezvous places keys where every release has placed them", () => {
  const pool = poolOf([1, 2, 3, 1, 5]);
  const places = placesOf(pool.backends, [
    "",
    "/",
    "/index.html",
    "/a",
    "/b",
    "192.0.2.1",
    "2001:db8::1",
    "user-42",
    "é",
  ]);
  assertEquals(places.map((url) => url.at(-1)).join(""), "555323354");
});

/** The definition without any short cut: scores in logarithms, lanes in big integers. */
function definition(key: string, backends: readonly Backend[]): Backend | undefined {
  const mask = (1n << 32n) - 1n;
  const mix = (hash: bigint) => {
    hash = ((hash ^ (hash >> 16n)) * 0x85ebca6bn) & mask;
    hash = ((hash ^ (hash >> 13n)) * 0xc2b2ae35n) & mask;
    return hash ^ (hash >> 16n);
  };
  const lane = (text: string, seed: number) => BigInt(murmur3(text, seed));
  const score = ({ id, weight }: Backend) => {
    const x = lane(key, 0x5bd1e995) ^ lane(id, 0x5bd1e995);
    const y = lane(key, 0x1b873593) ^ lane(id, 0x1b873593);
    const upper = mix((x + y * 0x9e3779b1n) & mask);
    const lower = mix((y + upper) & mask) >> 12n;
    return -weight / Math.log1p(-(Number(upper << 20n | lower) + 0.5) / 2 ** 52);
  };
  return [...backends].sort((a, b) => score(b) - score(a))[0];
}

Deno.test("Rendezvous picks the highest score by definition, whatever is excluded", () => {
  const backends = fc.array(fc.record({ weight: fc.integer({ min: 1, max: 256 }), excluded: fc.boolean() }), {
    minLength: 1,
    maxLength: 20,
  });
  fc.assert(fc.property(backends, fc.string(), (kinds, key) => {
    const pool = poolOf(kinds.map(({ weight }) => weight));
    const excluded = pool.backends.filter((_, index) => kinds[index]?.excluded);
    const accepted = pool.backends.filter((backend) => !excluded.includes(backend));
    const picked = rendezvousOf(pool.backends).pick(key, rejecting(...excluded));
    assertEquals(picked?.url, definition(key, accepted)?.url);
  }));
});

Deno.test("Rendezvous moves exactly a leaving backend's keys, and back exactly those when it returns", () => {
  const pool = poolOf(Array.from({ length: 10 }, () => 1));
  const before = placesOf(pool.backends);
  for (const leaving of pool.backends) {
    const after = placesOf(pool.backends.filter((backend) => backend !== leaving));
    const moved = KEYS.filter((_, index) => before[index] !== after[index]);
    const own = KEYS.filter((_, index) => before[index] === leaving.url);
    assertEquals(moved, own);
    assertGreater(own.length, 900); // a tenth, of 10,000
    // The others share them: none gets more than 1.5 times a ninth.
    const heirs = new Map<string, number>();
    before.forEach((url, index) => {
      if (url === leaving.url) heirs.set(after[index] ?? "none", (heirs.get(after[index] ?? "none") ?? 0) + 1);
    });
    assertEquals(heirs.size, 9);
    assertLess(Math.max(...heirs.values()), 1.5 * own.length / 9);
    assertEquals(placesOf([...pool.backends.filter((backend) => backend !== leaving), leaving]), before);
  }
});

Deno.test("Rendezvous sends a request that can't use its backend where the key goes when that has left", () => {
  const pool = poolOf([1, 2, 3, 4]);
  for (const excluded of pool.backends) {
    const left = placesOf(pool.backends.filter((backend) => backend !== excluded));
    assertEquals(placesOf(pool.backends, KEYS, rejecting(excluded)), left);
  }
});

Deno.test("Rendezvous tells backends apart whose draws agree in the upper 32 bits", () => {
  // Found by search: pairs of backends that draw the same upper half for a key, and which of them is ahead.
  const pairs: readonly (readonly [key: string, winner: number, other: number])[] = [
    ["/0", 51916, 8732],
    ["/6", 16808, 32644],
    ["/10", 43224, 3692],
  ];
  for (const [key, winner, other] of pairs) {
    const pool = poolOf([]);
    for (const number of [winner, other]) pool.add(backendSpec(`http://backend-${number}`), "test");
    for (const order of [pool.backends, pool.backends.toReversed()]) {
      assertEquals(placesOf(order, [key]), [`http://backend-${winner}`]);
    }
  }
});

Deno.test("Rendezvous does not depend on the order of the backends", () => {
  const { backends } = poolOf([1, 2, 3, 4, 5]);
  assertEquals(placesOf(backends.toReversed()), placesOf(backends));
});

Deno.test("Rendezvous moves keys only to a backend whose weight grows, and only from one whose weight falls", () => {
  const pool = poolOf([2, 2, 2, 2, 2]);
  const changing = backendAt(pool, 3);
  const before = placesOf(pool.backends);
  for (const weight of [1, 3, 4]) {
    pool.update(changing, { weight }, "test");
    const after = placesOf(pool.backends);
    const moved = KEYS.flatMap((_, index) => before[index] === after[index] ? [] : [[before[index], after[index]]]);
    assertGreater(moved.length, 500);
    for (const [from, to] of moved) assertEquals(weight < 2 ? from : to, changing.url);
  }
});

Deno.test("Rendezvous is not moved by weights that all change by the same factor", () => {
  assertEquals(placesOf(poolOf([10, 30, 70]).backends), placesOf(poolOf([1, 3, 7]).backends));
});

Deno.test("Rendezvous gives each backend its weight's share of the keys", () => {
  const keySets = [
    KEYS,
    Array.from({ length: 10_000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`),
    Array.from({ length: 10_000 }, (_, index) => `2001:db8::${index.toString(16)}`),
    Array.from({ length: 10_000 }, (_, index) => String(index)),
    Array.from({ length: 10_000 }, (_, index) => "a".repeat(index % 100) + "b".repeat(Math.floor(index / 100))),
  ];
  for (const weights of [Array.from({ length: 10 }, () => 1), [1, 2, 3, 4, 5, 10, 20, 50, 100, 256]]) {
    const pool = poolOf(weights);
    // 9 degrees of freedom: above 27.9 once in 1,000 fair sets of keys, and the sets are fixed.
    for (const keys of keySets) {
      assertLess(unevenness(pool, placesOf(pool.backends, keys)), 27.9, `${keys[1]} ${weights}`);
    }
  }
});

Deno.test("Rendezvous gives each of 1,000 backends its weight's share of the keys", () => {
  const pool = poolOf(Array.from({ length: 1000 }, (_, index) => 1 + index % 10));
  const keys = Array.from({ length: 100_000 }, (_, index) => `/${index}`);
  const statistic = unevenness(pool, placesOf(pool.backends, keys));
  // 999 degrees of freedom: outside of this once in 1,000 fair sets of keys.
  assertGreater(statistic, 857);
  assertLess(statistic, 1151);
});

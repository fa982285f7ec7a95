// Whatever bytes arrive, they are read or refused within a moment.

import { Buffer } from "node:buffer";
import { assertEquals, assertLess, assertThrows } from "@std/assert";
import fc from "fast-check";
import { readMessage, writeQuestion } from "../../../../src/sources/dns/message.ts";
import { SourceError } from "../../../../src/sources/source.ts";
import { type Asked, reply, type TestRecord } from "../../../support/dns_server.ts";

const ASKED: Asked = { id: 7, name: "api.test", type: "A", by: "udp", port: 1, extended: true };

function read(bytes: Uint8Array) {
  const message = readMessage(bytes);
  return { message, records: message.records() };
}

const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/);
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
const ttl = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const number = fc.integer({ min: 0, max: 65535 });
const record: fc.Arbitrary<TestRecord> = fc.oneof(
  fc.record({ name, ttl, type: fc.constant("A" as const), data: fc.ipV4() }),
  fc.record({ name, ttl, type: fc.constant("CNAME" as const), data: name }),
  fc.record({
    name,
    ttl,
    type: fc.constant("SRV" as const),
    data: fc.record({ priority: number, weight: number, port: number, target: name }),
  }),
  fc.record({ name, ttl, type: fc.constant("TXT" as const), data: fc.string({ maxLength: 50 }) }),
);

Deno.test("readMessage() reads what others have written, and skips types that do not matter", () => {
  fc.assert(fc.property(fc.array(record, { maxLength: 20 }), (answers) => {
    const { message, records } = read(reply(ASKED, { answers }));
    assertEquals([message.id, message.isAnswer, message.question], [7, true, { name: "api.test", type: "A" }]);
    const wanted = answers.filter(({ type }) => type !== "TXT");
    assertEquals(
      records.answers.map(({ ttlS, ...rest }) => ({ ...rest, ttl: ttlS })) as unknown,
      wanted.map(({ name, ttl, type, data }) => ({ name, type, data, ttl })),
    );
  }));
});

Deno.test("readMessage() refuses every cut message and survives every changed byte", () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 5 }), fc.nat(), fc.nat(255), (answers, at, byte) => {
      const bytes = reply(ASKED, { answers, additionals: answers });
      assertThrows(() => read(bytes.subarray(0, at % bytes.length)), SourceError);
      const changed = Uint8Array.from(bytes);
      changed[at % bytes.length] = byte;
      try {
        read(changed);
      } catch (error) {
        assertEquals(error instanceof SourceError, true, String(error));
      }
    }),
  );
});

Deno.test("readMessage() survives any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    try {
      read(bytes);
    } catch (error) {
      assertEquals(error instanceof SourceError, true, String(error));
    }
  }));
});

Deno.test("writeQuestion() writes what readMessage() reads", () => {
  fc.assert(fc.property(name, number, fc.boolean(), (name, id, extended) => {
    const { message, records } = read(writeQuestion({ name, type: "SRV" }, id, extended));
    assertEquals([message.id, message.isAnswer, message.question], [id, false, { name, type: "SRV" }]);
    assertEquals(records, { answers: [], authorities: [], additionals: [] });
  }));
});

/** A head that announces so many answers, with the question for `api.test`. */
function head(answers: number): number[] {
  const bytes = Array.from(reply(ASKED));
  bytes[6] = answers >> 8;
  bytes[7] = answers & 255;
  return bytes;
}

Deno.test("readMessage() is not led in circles, nor by thousands of pointers for thousands of records", () => {
  const start = head(1).length;
  for (const name of [[0xc0, start], [0xc0, start + 2, 0xc0, start], [1, 97, 0xc0, start], [0xff, 0xff], [0x80, 1]]) {
    assertThrows(
      () => read(new Uint8Array([...head(1), ...name, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4])),
      SourceError,
    );
  }
  // Each record's name points to the end of a chain of pointers that all go back by two bytes.
  const bytes = Buffer.alloc(65_535);
  const chained = head(4000);
  bytes.set(chained);
  let at = chained.length;
  bytes.set([0xc0, at + 14, 0, 99, 0, 1, 0, 0, 0, 0, 0x3e, 0x80], at); // one record of 16,000 bytes holds the chain
  at += 12;
  const chain = at;
  bytes.set([0, 0], at);
  for (let link = at + 2; link < at + 16_000; link += 2) {
    bytes.writeUInt16BE(0xc000 | (link === chain + 2 ? chain : link - 2), link);
  }
  at += 16_000;
  while (at + 16 <= bytes.length) {
    bytes.writeUInt16BE(0xc000 | (chain + 15_998), at);
    bytes.set([0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4], at + 2);
    at += 16;
  }
  const startedAt = performance.now();
  assertThrows(() => read(bytes), SourceError);
  assertLess(performance.now() - startedAt, 2000);
});

Deno.test("readMessage() believes no count and no length of a record", () => {
  const A = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9];
  assertEquals(read(new Uint8Array([...head(1), ...A, 0, 4, 1, 2, 3, 4])).records.answers[0]?.data, "1.2.3.4");
  for (const rest of [[0, 4, 1, 2, 3], [0, 5, 1, 2, 3, 4, 5], [0, 3, 1, 2, 3], [255, 255, 1, 2, 3, 4], [0, 0], [0]]) {
    assertThrows(() => read(new Uint8Array([...head(1), ...A, ...rest])), SourceError);
  }
  assertThrows(() => read(new Uint8Array([...head(65_535), ...A, 0, 4, 1, 2, 3, 4])), SourceError);
});

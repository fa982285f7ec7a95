import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { encodeHead } from "../../../src/http1/writer.ts";

Deno.test("encodeHead() writes each character as one byte, or nothing that counts where there is no room", () => {
  const text = fc.string({ unit: fc.nat(255).map((code) => String.fromCharCode(code)) });
  fc.assert(fc.property(text, fc.nat({ max: 20 }), (head, room) => {
    const into = Buffer.alloc(room);
    const written = encodeHead(head, into);
    assertEquals(written, head.length <= room ? head.length : -1);
    if (written !== -1) assertEquals(into.toString("latin1", 0, written), head);
  }));
});
